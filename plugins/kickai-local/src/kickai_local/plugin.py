"""The hooks of the provider ``local``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core import Capability, ProviderInfo, hookimpl

from kickai_local import checks
from kickai_local.settings import LocalSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from kickai_providers_core import ChatRequest, Problem, Reply, ReplyChunk

    from kickai_local.client import LocalProvider


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe the provider."""
    return ProviderInfo(
        name="local",
        summary="A model on this machine through llama.cpp: no token, no network.",
        settings_class=LocalSettings,
        capabilities=frozenset({Capability.JSON_SCHEMA, Capability.SEED}),
        environment={"KICKAI_LOCAL_MODEL": "model_path"},
        holds_timeouts=True,
    )


@hookimpl
def kickai_validate_provider(settings: LocalSettings, online: bool) -> Iterable[Problem]:
    """Look for the runtime and the model file; when online, load the model too."""
    return checks.problems(settings, load=online)


@hookimpl
def kickai_create_provider(settings: LocalSettings) -> LocalProvider:
    """Create the provider; its model is loaded by the first call."""
    from kickai_local.client import LocalProvider  # noqa: PLC0415  discovery does not pay for it

    return LocalProvider.of(settings)


@hookimpl
def kickai_invoke_provider(provider: LocalProvider, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request."""
    return provider.invoke(request, timeout_s)


@hookimpl
async def kickai_ainvoke_provider(provider: LocalProvider, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request without blocking the event loop."""
    return await provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: LocalProvider, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Answer a request piece by piece."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(
    provider: LocalProvider, request: ChatRequest, timeout_s: float
) -> AsyncIterator[ReplyChunk]:
    """Answer a request piece by piece without blocking the event loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: LocalProvider) -> None:
    """End the runtime, and with it whatever is under way."""
    provider.close()
