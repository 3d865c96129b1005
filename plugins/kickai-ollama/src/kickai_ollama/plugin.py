"""The hooks. The ollama client is imported when the first of them needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability, Progress, ProviderInfo, UnusableProviderError, hookimpl

from kickai_ollama.capabilities import capabilities_of
from kickai_ollama.settings import OllamaSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from kickai_providers_core import ChatRequest, Problem, Reply, ReplyChunk

    from kickai_ollama.client import OllamaProvider


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe Ollama."""
    return ProviderInfo(
        name="ollama",
        summary="Models on your own machine or network, served by Ollama",
        settings_class=OllamaSettings,
        capabilities=frozenset(Capability),
        environment={"OLLAMA_HOST": "host", "OLLAMA_API_KEY": "api_key"},
        holds_timeouts=True,
    )


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
def kickai_create_provider(settings: OllamaSettings) -> OllamaProvider:
    """Create the provider; no connection is made."""
    try:
        from kickai_ollama.client import OllamaProvider  # noqa: PLC0415
    except ImportError as exc:
        message = f"{exc.name or 'a module'} cannot be imported: reinstall kickai-ollama and its dependencies"
        raise UnusableProviderError(message) from exc
    return OllamaProvider(settings)


@hookimpl
def kickai_prepare_provider(settings: OllamaSettings, model: str | None) -> Iterator[Progress]:
    """Pull the model when ``pull`` is set and the server lacks it, and yield the progress."""
    from kickai_ollama import checks  # noqa: PLC0415

    return checks.prepare(settings, model)


@hookimpl
def kickai_invoke_provider(provider: OllamaProvider, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request."""
    return provider.invoke(request, timeout_s)


@hookimpl
async def kickai_ainvoke_provider(provider: OllamaProvider, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request without blocking the event loop."""
    return await provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: OllamaProvider, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Stream an answer."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(
    provider: OllamaProvider, request: ChatRequest, timeout_s: float
) -> AsyncIterator[ReplyChunk]:
    """Stream an answer without blocking the event loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: OllamaProvider) -> None:
    """Close all connections."""
    provider.close()


@hookimpl
async def kickai_aclose_provider(provider: OllamaProvider) -> None:
    """Close all connections, those of the running loop at once."""
    await provider.aclose()
