"""The hooks of the provider ``local``. llama.cpp is imported when a provider is created."""

from __future__ import annotations

from kickai_providers_core import Capability, ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_local.request_options import OPTIONS
from kickai_local.settings import LocalSettings

__all__ = ["plugin"]

plugin = hooks_for(
    ProviderInfo(
        name="local",
        summary="A model on this machine through llama.cpp: no token, no network.",
        settings_class=LocalSettings,
        capabilities=frozenset({Capability.JSON_SCHEMA, Capability.SEED}),
        environment={"KICKAI_LOCAL_MODEL": "model_path"},
        options=OPTIONS,
        holds_timeouts=True,
    ),
    "kickai_local.client:LocalProvider",
    methods=("validate", "invoke", "ainvoke", "stream", "astream", "close"),
)
