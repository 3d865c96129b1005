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
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from crewai.events import crewai_event_bus
from crews import Vendors
from kickai_mock import Behaviour, Call, MockInCode
from kickai_providers_core import KickaiSettings, Resolver, Role, Settings, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_crewai import KickaiLLM


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """No test may connect to anything, and CrewAI keeps its files in a folder of the test."""

    def refuse(_socket: Any, address: Any) -> NoReturn:
        pytest.fail(f"a test connected to {address}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setenv("CREWAI_STORAGE_DIR", str(tmp_path))


@pytest.fixture
def vendors() -> Iterator[Callable[..., Vendors]]:
    """Return a function that creates two vendors with an answer, and a script of faults for the first or for both."""
    resolvers: list[Resolver] = []

    def create(answer: Any = "ready", *, script: tuple[str, ...] = (), both: bool = False, **fields: Any) -> Vendors:
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
        settings = Settings(
            kickai=KickaiSettings(primary="mock", fallback=(), plugins=("mock",)),
            providers={"mock": mock},
            roles={"player_coordinator": Role(name="player_coordinator", temperature=0.1, max_tokens=500, chain=chain)},
        )
        resolvers.append(Resolver.from_settings(settings))
        return Vendors(resolvers[-1], calls)

    yield create
    for resolver in resolvers:
        resolver.close()


@pytest.fixture
def events() -> Iterator[Callable[..., list[Any]]]:
    """Return a function that returns a list to which CrewAI's events of some classes are added."""
    with crewai_event_bus.scoped_handlers():

        def record(*kinds: type) -> list[Any]:
            seen: list[Any] = []
            for kind in kinds:
                crewai_event_bus.on(kind)(lambda _source, event: seen.append(event))
            return seen

        yield record


@pytest.fixture(params=["call", "acall"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Call an LLM directly, blocking and on an event loop."""

    def run(llm: KickaiLLM, messages: Any, **fields: Any) -> Any:
        if request.param == "call":
            return llm.call(messages, **fields)
        return asyncio.run(llm.acall(messages, **fields))

    return run
