"""The hooks. The ollama client is imported when the provider is created."""

from __future__ import annotations

from kickai_providers_core import Capability, ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_ollama.capabilities import find_capabilities
from kickai_ollama.checks import prepare, validate
from kickai_ollama.request_options import OPTIONS
from kickai_ollama.settings import OllamaSettings

__all__ = ["plugin"]

plugin = hooks_for(
    ProviderInfo(
        name="ollama",
        summary="Models on your own machine or network, served by Ollama",
        settings_class=OllamaSettings,
        capabilities=frozenset(Capability),
        environment={"OLLAMA_HOST": "host", "OLLAMA_API_KEY": "api_key"},
        options=OPTIONS,
        holds_timeouts=True,
    ),
    "kickai_ollama.client:OllamaProvider",
    methods=("invoke", "ainvoke", "stream", "astream", "close", "aclose"),
    validate=validate,
    capabilities=find_capabilities,
    prepare=prepare,
)
