"""A crew offline: the mock as two vendors, and what CrewAI does with their answers."""

from __future__ import annotations

import os

# Before the first import of CrewAI: no telemetry, no traces, no question about them, and no look at PyPI.
os.environ.update(
    CREWAI_DISABLE_TELEMETRY="true",
    CREWAI_TRACING_ENABLED="false",
    CREWAI_TESTING="true",
    CREWAI_DISABLE_VERSION_CHECK="true",
)

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from crewai.events import crewai_event_bus
from crews import Vendors
from kickai_mock import Behaviour, Call, MockInCode
from kickai_providers_core import KickaiSettings, ProviderInfo, Reply, Resolver, Role, Settings, Target, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_crewai import KickaiLLM


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[None]:
    """No test may connect to another machine, and CrewAI keeps its files in a folder of the test."""
    connect, refused = socket.socket.connect, []

    def refuse(own: socket.socket, address: Any) -> None:
        if own.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1"}:
            refused.append(address)
            raise ConnectionRefusedError(address)
        connect(own, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path))
    yield
    assert refused == []  # the code that tried may have hidden the error


class Plain:
    """A vendor that can do nothing besides text."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="plain", summary="", capabilities=frozenset())

    @hookimpl
    def kickai_create_provider(self) -> Any:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        return Reply(text="plain", finish_reason="stop")


@pytest.fixture
def vendors() -> Iterator[Callable[..., Vendors]]:
    """Return a function that creates two vendors with an answer, and a script of faults for the first or for both."""
    resolvers: list[Resolver] = []

    def create(
        answer: Any = "ready",
        *,
        script: tuple[str, ...] = (),
        both: bool = False,
        without_tools: bool = False,
        **fields: Any,
    ) -> Vendors:
        calls: list[Call] = []
        compute = answer if callable(answer) else lambda _request: answer
        first = Behaviour(script=script, repeat=bool(script) and fields.pop("repeat", True))
        mock = MockInCode(
            answer=compute,
            record=calls,
            models={"first": first, **({"second": first} if both else {})},
            retries=0,
            **fields,
        )
        chain = (Target("mock", "first"), Target("mock", "second"))
        chain += (Target("plain", "third"),) if without_tools else ()
        settings = Settings(
            kickai=KickaiSettings(primary="mock", fallback=(), plugins=("mock",)),
            providers={"mock": mock},
            roles={"player_coordinator": Role(name="player_coordinator", temperature=0.1, max_tokens=500, chain=chain)},
        )
        resolvers.append(Resolver.from_settings(settings, plugins={"plain": Plain()} if without_tools else None))
        return Vendors(resolvers[-1], calls)

    yield create
    for resolver in resolvers:
        resolver.close()


class Recorder:
    """Records CrewAI's events."""

    def __call__(self, *kinds: type) -> list[Any]:
        """Return a list to which the events of some classes are added, in their order within each class."""
        seen: list[Any] = []
        for kind in kinds:
            crewai_event_bus.on(kind)(lambda _source, event: seen.append(event))
        return seen

    def settle(self) -> None:
        """Wait until all events have been handled."""
        assert crewai_event_bus.flush(timeout=60.0)


@pytest.fixture
def events() -> Iterator[Recorder]:
    """Record CrewAI's events for one test."""
    with crewai_event_bus.scoped_handlers():
        yield Recorder()


@pytest.fixture(params=["call", "acall"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call an LLM directly, blocking and on an event loop."""

    def run(llm: KickaiLLM, messages: Any, **fields: Any) -> Any:
        if request.param == "call":
            return llm.call(messages, **fields)
        return asyncio.run(llm.acall(messages, **fields))

    return run
