"""The hooks of the provider ``openai``. The HTTP client is imported when a provider is created."""

from __future__ import annotations

from kickai_providers_core import Capability, Preset, ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_openai import checks, mapping
from kickai_openai.presets import PRESETS
from kickai_openai.request_options import OPTIONS
from kickai_openai.settings import OpenAISettings

__all__ = ["plugin"]

plugin = hooks_for(
    ProviderInfo(
        name="openai",
        summary="OpenAI and every OpenAI-compatible service: Groq, OpenRouter, Mistral, vLLM, llama.cpp and more",
        settings_class=OpenAISettings,
        capabilities=frozenset(Capability),
        environment={"OPENAI_API_KEY": "api_key"},
        presets={
            name: Preset(address=row.base_url, environment={row.key_variable: "api_key"} if row.key_variable else {})
            for name, row in PRESETS.items()
        },
        options=OPTIONS,
        holds_timeouts=True,
    ),
    "kickai_openai.client:OpenAIProvider",
    methods=("invoke", "ainvoke", "stream", "astream", "close", "aclose"),
    validate=checks.validate,
    capabilities=mapping.find_capabilities,
)
