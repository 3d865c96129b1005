"""The plugin of the provider ``local``: the entry point names this module, so its hooks are here."""

from __future__ import annotations

from kickai_providers_core import Capability, ProviderInfo
from kickai_providers_core.authoring import hooks_for

from kickai_local.options import OPTIONS
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

kickai_provider_info = plugin.kickai_provider_info
kickai_validate_provider = plugin.kickai_validate_provider
kickai_create_provider = plugin.kickai_create_provider
kickai_invoke_provider = plugin.kickai_invoke_provider
kickai_ainvoke_provider = plugin.kickai_ainvoke_provider
kickai_stream_provider = plugin.kickai_stream_provider
kickai_astream_provider = plugin.kickai_astream_provider
kickai_close_provider = plugin.kickai_close_provider
