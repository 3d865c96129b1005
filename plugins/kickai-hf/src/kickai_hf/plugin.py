"""The hooks of the provider ``huggingface``. The HTTP client is imported when a provider is created."""

from __future__ import annotations

from kickai_providers_core import Capability, ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_hf.capabilities import MODELS, find_capabilities
from kickai_hf.offline_checks import validate
from kickai_hf.request_options import OPTIONS
from kickai_hf.settings import HuggingFaceSettings

__all__ = ["plugin"]

plugin = hooks_for(
    ProviderInfo(
        name="huggingface",
        aliases=("hf",),
        summary="Hugging Face Inference: the router, Inference Endpoints, TGI, vLLM and llama.cpp servers",
        settings_class=HuggingFaceSettings,
        capabilities=frozenset(Capability),
        environment={"HUGGINGFACE_API_TOKEN": "hub_token", "HF_TOKEN": "hub_token"},
        models=MODELS,
        options=OPTIONS,
        holds_timeouts=True,
    ),
    "kickai_hf.client:HuggingFace",
    methods=("invoke", "ainvoke", "stream", "astream", "close", "aclose"),
    validate=validate,
    capabilities=find_capabilities,
)
