"""The conformance kit, run on this plugin."""

from __future__ import annotations

import pytest
from calling import MODEL
from kickai_providers_core import FinishReason
from kickai_providers_core.testing import ProviderContract
from kickai_providers_core.testing.chat_completions import ChatWire

from kickai_openai.plugin import plugin
from kickai_openai.settings import OpenAISettings


class TestOpenAI(ProviderContract):
    """An OpenAI-compatible service is a provider like any other."""

    plugin = plugin
    wire = ChatWire(MODEL)
    vendor = ("httpx2", "httpcore2")
    model = MODEL
    needs_key = False  # a base_url may need none; test_settings.py tests the presets that need one
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return OpenAISettings(base_url=url, api_key=key, allow_plain_http=True)


@pytest.mark.slow
class TestMistral(TestOpenAI):
    """A service with field names of its own."""

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return OpenAISettings(preset="mistral", base_url=url, api_key=key, allow_plain_http=True)


@pytest.mark.slow
class TestReasoningModel(TestOpenAI):
    """A model that refuses some fields; replies name them."""

    model = "o3"

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return OpenAISettings(preset="openai", base_url=url, api_key=key, allow_plain_http=True)
