"""The hooks. The ollama client is imported when the provider is created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability, Progress, ProviderInfo, hookimpl
from kickai_providers_core.authoring import hooks_for

from kickai_ollama.capabilities import capabilities_of
from kickai_ollama.options import OPTIONS
from kickai_ollama.settings import OllamaSettings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from kickai_providers_core import Problem

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
)

kickai_provider_info = plugin.kickai_provider_info
kickai_create_provider = plugin.kickai_create_provider
kickai_invoke_provider = plugin.kickai_invoke_provider
kickai_ainvoke_provider = plugin.kickai_ainvoke_provider
kickai_stream_provider = plugin.kickai_stream_provider
kickai_astream_provider = plugin.kickai_astream_provider
kickai_close_provider = plugin.kickai_close_provider
kickai_aclose_provider = plugin.kickai_aclose_provider


@hookimpl
def kickai_validate_provider(settings: OllamaSettings, online: bool) -> Iterable[Problem]:
    """Return what is unsafe, and, online, whether the server answers and has the model."""
    from kickai_ollama import checks  # noqa: PLC0415

    offline = checks.find_offline_problems(settings)
    return [*offline, *(checks.find_online_problems(settings) if online else ())]


@hookimpl
def kickai_provider_capabilities(settings: OllamaSettings, model: str | None) -> frozenset[Capability] | None:
    """Return the capabilities in the settings, or what is known of the model; None when it is unknown."""
    if settings.capabilities is not None:
        return frozenset(settings.capabilities)
    return capabilities_of(model or settings.model or "")


@hookimpl
def kickai_prepare_provider(settings: OllamaSettings, model: str | None) -> Iterator[Progress]:
    """Pull the model when ``pull`` is set and the server lacks it, and yield the progress."""
    from kickai_ollama import checks  # noqa: PLC0415

    return checks.prepare(settings, model)
