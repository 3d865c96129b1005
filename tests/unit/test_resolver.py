"""Copied chains, resolvers that are dropped, and callers without asyncio."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from typing import Any

import pytest

from kickai_providers_core import Resolver

HEDGED = {"providers": {"mock": {"reply": "hi"}}, "hedging": {"after_s": 30.0}}


def portals() -> list[threading.Thread]:
    """Return the threads with an event loop for blocking callers."""
    return [thread for thread in threading.enumerate() if thread.name == "kickai-portal"]


def test_a_chain_is_hashable_and_its_copies_are_itself() -> None:
    """Agent frameworks copy what they hold deeply, and put it into sets."""
    with Resolver.from_settings({}, env={}) as resolver:
        chain, other = resolver.chain("mock"), resolver.chain("mock")
        assert copy.copy(chain) is chain
        assert copy.deepcopy({"llm": [chain]})["llm"][0] is chain
        assert {chain: 1}[chain] == 1
        assert chain != other
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(chain)


@pytest.mark.parametrize("streamed", [True, False])
def test_a_dropped_resolver_leaves_no_thread(*, streamed: bool) -> None:
    """Hedging uses a portal, which ends with the resolver and its chains."""
    before = portals()
    chain = Resolver.from_settings(HEDGED, env={}).chain("mock:a", "mock:b")
    assert chain.invoke("x").text == "hi"
    if streamed:
        assert "".join(chunk.text for chunk in chain.stream("x")) == "hi"
    assert len(portals()) == len(before) + 1
    del chain
    gc.collect()
    ends = time.monotonic() + 10
    while len(portals()) > len(before) and time.monotonic() < ends:
        time.sleep(0.01)
    assert portals() == before


def step(chain: Any, way: str) -> None:
    """Begin an asynchronous call as an event loop other than asyncio's does."""
    if way == "ainvoke":
        chain.ainvoke("x").send(None)
    else:
        chain.astream("x").__anext__().send(None)


@pytest.mark.parametrize("settings", [{}, HEDGED], ids=["plain", "hedged"])
@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_caller_without_asyncio_gets_a_clear_error(way: str, settings: Any) -> None:
    """The error names asyncio, and nothing is called."""
    events: list[object] = []
    with Resolver.from_settings(settings, env={}, observers=[events.append]) as resolver:
        with pytest.raises(RuntimeError, match="need a running asyncio event loop"):
            step(resolver.chain("mock"), way)
        assert events == []


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
def test_a_trio_caller_gets_a_clear_error(way: str) -> None:
    """The same while trio's loop is running."""
    trio = pytest.importorskip("trio")

    async def main(chain: Any) -> None:
        if way == "ainvoke":
            await chain.ainvoke("x")
        else:
            async for _ in chain.astream("x"):
                pass

    with (
        Resolver.from_settings({}, env={}) as resolver,
        pytest.raises(RuntimeError, match="need a running asyncio event loop"),
    ):
        trio.run(main, resolver.chain("mock"))


def test_the_requests_of_two_resolvers_have_different_numbers() -> None:
    """An observer of several resolvers can tell which events belong to one request."""
    numbers: set[int] = set()
    for _ in range(2):
        with Resolver.from_settings({}, env={}, observers=[lambda event: numbers.add(event.request)]) as resolver:
            resolver.chain("mock").invoke("hi")
    assert len(numbers) == 2
