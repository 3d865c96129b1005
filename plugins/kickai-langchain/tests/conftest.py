"""Two scripted vendors, and no network."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define
from kickai_mock import Behaviour, Call, MockInCode
from kickai_providers_core import KickaiSettings, Resolver, Role, Settings, Target

from kickai_langchain import ChatKickai

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test may connect to another machine."""
    connect, refused = socket.socket.connect, []

    def refuse(own: socket.socket, address: Any) -> None:
        if own.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1"}:
            refused.append(address)
            raise ConnectionRefusedError(address)
        connect(own, address)

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.delenv("LANGSMITH_TRACING", raising=False)
    monkeypatch.delenv("LANGCHAIN_TRACING_V2", raising=False)
    yield
    assert refused == []  # the code that tried may have hidden the error


@define
class Vendors:
    """A resolver over two vendors, ``first`` and ``second``, which record their calls.

    Attributes:
        resolver: The resolver.
        calls: The calls of both, in order.
    """

    resolver: Resolver
    calls: list[Call]

    @property
    def models(self) -> list[str]:
        """Which vendors were called."""
        return [call.model for call in self.calls]

    @property
    def request(self) -> Any:
        """The request of the last call."""
        return self.calls[-1].request

    def chat(self, role: str | None = "player_coordinator", **fields: Any) -> ChatKickai:
        """Return a chat model for a role."""
        return ChatKickai(role, resolver=self.resolver, **fields)


@pytest.fixture
def vendors() -> Iterator[Callable[..., Vendors]]:
    """Return a function that creates two vendors with an answer, and a script of faults for the first or for both."""
    resolvers: list[Resolver] = []

    def create(answer: Any = "ready", *, script: tuple[str, ...] = (), both: bool = False, **fields: Any) -> Vendors:
        calls: list[Call] = fields.pop("calls", [])
        compute = answer if callable(answer) or answer is None else lambda _request: answer
        first = Behaviour(script=script, repeat=bool(script))
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
