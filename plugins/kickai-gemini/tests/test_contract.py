"""The conformance tests of the core, with each installed client."""

from __future__ import annotations

import pytest
from gemini_service import GeminiService
from kickai_providers_core import FinishReason, Usage
from kickai_providers_core.testing import ProviderContract

from kickai_gemini.plugin import plugin
from kickai_gemini.sdk import is_sdk_usable
from kickai_gemini.settings import GeminiSettings


class Gemini:
    """What is the same for both clients."""

    plugin = plugin
    wire = GeminiService()
    model = "gemini-3.1-flash-lite"
    usage = Usage(input_tokens=3, output_tokens=7, reasoning_tokens=2)
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}
    never_says = frozenset({"content_filter"})


@pytest.mark.filterwarnings("ignore::FutureWarning")  # the kit imports the client bare, and hears that it is old
class TestGoogleGenerativeAI(Gemini, ProviderContract):
    """The provider with google-generativeai."""

    vendor = ("google.generativeai", "google.ai", "grpc", "httpx2")

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return GeminiSettings(base_url=url, api_key=key, client="google-generativeai")


@pytest.mark.skipif(not is_sdk_usable("google-genai"), reason="google-genai is not installed")
class TestGoogleGenAI(Gemini, ProviderContract):
    """The provider with google-genai."""

    vendor = ("google.genai", "httpx2", "httpcore2", "pydantic")

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return GeminiSettings(base_url=url, api_key=key, client="google-genai")
