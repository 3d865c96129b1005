"""Resolvers whose providers have the names of the migration plan, and answer or fail."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from attrs import define, evolve, field

from kickai_providers_core import (
    BreakerSettings,
    ChatRequest,
    FinishReason,
    KickaiSettings,
    Policy,
    ProviderInfo,
    ProviderUnavailableError,
    Reply,
    Resolver,
    Settings,
    Usage,
    compat,
    hookimpl,
)
from kickai_providers_core.concurrency.clock import REAL_TIME
from kickai_providers_core.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@define
class Plugin:
    """A provider that answers with its name, or fails."""

    name: str
    fails: bool = False
    requests: list[ChatRequest] = field(factory=list)

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name=self.name, summary="answers with its name")

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self, provider: object, request: ChatRequest) -> Reply:
        """Answer with the name."""
        self.requests.append(request)
        if self.fails:
            raise ProviderUnavailableError("out of order", status_code=503)
        return Reply(
            text=f"{self.name} answers",
            provider="",
            model=request.model or "",
            usage=Usage(input_tokens=100, output_tokens=10),
            finish_reason=FinishReason.STOP,
        )


@define
class World:
    """Two vendors, and a clock that can be set forward."""

    huggingface: Plugin = field(factory=lambda: Plugin("huggingface"))
    gemini: Plugin = field(factory=lambda: Plugin("gemini"))
    ahead_s: float = 0.0

    def build(self, *, with_store: bool = True, settings: Settings | None = None) -> Resolver:
        """Return a resolver for them."""
        return Resolver.from_settings(
            settings
            or Settings(
                kickai=KickaiSettings(fallback=("gemini",), plugins=("huggingface", "gemini")),
                policy=Policy(retry_share=0.0, retry_floor=0),
                breaker=BreakerSettings(cooldown_s=5),
            ),
            plugins={"huggingface": self.huggingface, "gemini": self.gemini},
            time=evolve(REAL_TIME, clock=lambda: time.monotonic() + self.ahead_s),
            store=MemoryStore() if with_store else None,
        )


@pytest.fixture
def world() -> World:
    """Two vendors that answer."""
    return World()


@pytest.fixture
def resolver(world: World) -> Iterator[Resolver]:
    """The resolver that `compat` uses in the test."""
    with world.build() as built:
        compat.use(built)
        yield built
        compat.use(None)


@pytest.fixture
def build(world: World) -> Iterator[Callable[..., Resolver]]:
    """Build further resolvers, which are closed after the test."""
    built: list[Resolver] = []

    def build_one(**keywords: object) -> Resolver:
        built.append(world.build(**keywords))
        return built[-1]

    yield build_one
    compat.use(None)
    for one in built:
        one.close()
