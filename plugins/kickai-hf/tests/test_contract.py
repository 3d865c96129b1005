"""The conformance kit, run on this plugin."""

from __future__ import annotations

from hf_wire import MODEL, HfWire
from kickai_providers_core import FinishReason
from kickai_providers_core.testing import ProviderContract

from kickai_hf.plugin import plugin
from kickai_hf.settings import HuggingFaceSettings


class TestHuggingFace(ProviderContract):
    """Hugging Face is a provider like any other."""

    plugin = plugin
    wire = HfWire()
    vendor = ("huggingface_hub", "httpx2", "httpcore2")
    model = MODEL
    needs_key = False
    finish_reasons = frozenset(FinishReason) - {FinishReason.ERROR}

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return HuggingFaceSettings(base_url=url, token=key, allow_plain_http=True)
