"""The hooks of the Gemini provider."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kickai_providers_core import Capability, ProviderInfo, hookimpl

from kickai_gemini import client, doctor, lifecycle
from kickai_gemini.settings import GeminiSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator

    from kickai_providers_core import ChatRequest, Problem, Reply, ReplyChunk


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe the provider."""
    return ProviderInfo(
        name="gemini",
        aliases=("google",),
        summary="Google Gemini, through google-genai or google-generativeai",
        settings_class=GeminiSettings,
        capabilities=frozenset({Capability.TOOLS, Capability.JSON_SCHEMA, Capability.IMAGES, Capability.SEED}),
        environment={"GOOGLE_API_KEY": "api_key", "GEMINI_API_KEY": "api_key"},
        models=lifecycle.known(datetime.now(UTC).date()),
        holds_timeouts=True,
    )


@hookimpl
def kickai_provider_capabilities(settings: GeminiSettings, model: str | None) -> frozenset[Capability] | None:
    """Say what an instance can do, with the client that it uses and the model that is asked."""
    return client.capabilities(settings, model)


@hookimpl
def kickai_validate_provider(settings: GeminiSettings, online: bool) -> Iterable[Problem]:
    """Say what keeps the provider from being used."""
    return doctor.problems(settings, datetime.now(UTC).date(), online=online)


@hookimpl
def kickai_create_provider(settings: GeminiSettings) -> client.Gemini:
    """Create the provider, importing the client that it uses."""
    return client.create(settings)


@hookimpl
def kickai_invoke_provider(provider: client.Gemini, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request."""
    return provider.invoke(request, timeout_s)


@hookimpl
def kickai_ainvoke_provider(provider: client.Gemini, request: ChatRequest, timeout_s: float) -> Awaitable[Reply]:
    """Answer a request without blocking the event loop."""
    return provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: client.Gemini, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Answer a request piece by piece."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(
    provider: client.Gemini, request: ChatRequest, timeout_s: float
) -> AsyncIterator[ReplyChunk]:
    """Answer a request piece by piece without blocking the event loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: client.Gemini) -> None:
    """Close all connections."""
    provider.close()


@hookimpl
def kickai_aclose_provider(provider: client.Gemini) -> Awaitable[None]:
    """Close all connections on a running loop."""
    return provider.aclose()
