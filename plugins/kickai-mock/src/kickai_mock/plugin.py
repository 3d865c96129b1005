"""The hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from kickai_providers_core import Capability, ProviderInfo, hookimpl

from kickai_mock.client import MockProvider
from kickai_mock.settings import MockSettings, find_conflicts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kickai_providers_core import ChatRequest, Problem, ProviderSettings, Reply, ReplyChunk

__all__: list[str] = []


@hookimpl
def kickai_provider_info() -> ProviderInfo:
    """Describe the mock."""
    return ProviderInfo(
        name="mock",
        aliases=("fake",),
        summary="answers and fails as configured, for tests and drills",
        settings_class=MockSettings,
        capabilities=frozenset(Capability),
        environment={"KICKAI_MOCK_DRILL": "drill", "KICKAI_MOCK_REPLY": "reply", "KICKAI_MOCK_SEED": "seed"},
        holds_timeouts=True,
    )


@hookimpl
def kickai_validate_provider(settings: ProviderSettings) -> list[Problem]:
    """Return the settings that exclude each other."""
    return list(find_conflicts(cast("MockSettings", settings)))


@hookimpl
def kickai_create_provider(settings: ProviderSettings) -> MockProvider:
    """Create the mock."""
    return MockProvider(cast("MockSettings", settings))


@hookimpl
def kickai_invoke_provider(provider: MockProvider, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer or fail."""
    return provider.invoke(request, timeout_s)


@hookimpl
async def kickai_ainvoke_provider(provider: MockProvider, request: ChatRequest, timeout_s: float) -> Reply:
    """Answer or fail without blocking the event loop."""
    return await provider.ainvoke(request, timeout_s)


@hookimpl
def kickai_stream_provider(provider: MockProvider, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
    """Stream the answer word by word, or fail."""
    return provider.stream(request, timeout_s)


@hookimpl
def kickai_astream_provider(
    provider: MockProvider, request: ChatRequest, timeout_s: float
) -> AsyncIterator[ReplyChunk]:
    """Stream the answer word by word, or fail, without blocking the event loop."""
    return provider.astream(request, timeout_s)


@hookimpl
def kickai_close_provider(provider: MockProvider) -> None:
    """End every call that waits."""
    provider.close()


@hookimpl
async def kickai_aclose_provider(provider: MockProvider) -> None:
    """End every call that waits."""
    provider.close()
