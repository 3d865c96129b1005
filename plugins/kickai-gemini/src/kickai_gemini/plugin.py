"""The hooks of the Gemini provider."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from kickai_providers_core import ProviderInfo, hookimpl

from kickai_gemini.capabilities import ALL_CAPABILITIES, find_capabilities
from kickai_gemini.checks import find_problems
from kickai_gemini.client import Gemini, create_provider
from kickai_gemini.models import known_models
from kickai_gemini.settings import GeminiSettings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterable, Iterator

    from kickai_providers_core import Capability, ChatRequest, Problem, Reply, ReplyChunk


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe the provider."""
    return ProviderInfo(
        name="gemini",
        aliases=("google",),
        summary="Google Gemini, through google-genai or google-generativeai",
        settings_class=GeminiSettings,
        capabilities=ALL_CAPABILITIES,
        environment={"GOOGLE_API_KEY": "api_key", "GEMINI_API_KEY": "api_key"},
        models=known_models(datetime.now(UTC).date()),
        holds_timeouts=True,
    )


@hookimpl
def kickai_provider_capabilities(settings: GeminiSettings, model: str | None) -> frozenset[Capability] | None:
    """Return what an instance can do with its client and a model."""
    return find_capabilities(settings, model)


@hookimpl
def kickai_validate_provider(settings: GeminiSettings, online: bool) -> Iterable[Problem]:
    """Return the problems of the settings."""
    return find_problems(settings, datetime.now(UTC).date(), online=online)


@hookimpl
def kickai_create_provider(settings: GeminiSettings) -> Gemini:
    """Create the provider; imports what its client needs."""
    return create_provider(settings)


@hookimpl
def kickai_invoke_provider(provider: Gemini, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer a request."""
    return provider.invoke(request, timeout_s)


@hookimpl
def kickai_ainvoke_provider(provider: Gemini, request: ChatRequest, timeout_s: float) -> Awaitable[Reply]:
    """Answer a request without blocking the event loop."""
    return provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: Gemini, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Stream the answer to a request."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(provider: Gemini, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
    """Stream the answer to a request without blocking the event loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: Gemini) -> None:
    """Close all connections."""
    provider.close()


@hookimpl
def kickai_aclose_provider(provider: Gemini) -> Awaitable[None]:
    """Close all connections on a running loop."""
    return provider.aclose()
