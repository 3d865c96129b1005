"""The conformance kit, run on this plugin."""

from __future__ import annotations

from kickai_providers_core import FinishReason, Usage
from kickai_providers_core.testing import ProviderContract
from ollama_wire import MODEL, OllamaWire

from kickai_ollama.plugin import plugin
from kickai_ollama.settings import OllamaSettings


class TestOllama(ProviderContract):
    """Ollama is a provider like any other."""

    plugin = plugin
    wire = OllamaWire()
    patience_s = 0.2
    vendor = ("ollama", "httpx", "httpcore")
    model = MODEL
    needs_key = False
    usage = Usage(input_tokens=11, output_tokens=3)
    finish_reasons = frozenset({FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALL})
    unknown_finish_is_stop = True  # an answer with "done": true is whole, and old servers give no reason
    never_says = frozenset({"content_filter"})

    def settings(self, url, key):
        """Return settings for the server of a test."""
        return OllamaSettings(host=url, api_key=key, model=MODEL)
