"""Requests that their callers leave half-way, cancelled or abandoned, over real sockets: nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING

import pytest
from holdings import nothing_left
from integration.callers import MODES, WAYS, abreast, alone, until
from integration.services import KestrelWire, resolver

from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, Stall
from kickai_providers_core.values.events import Event, RequestEnded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kickai_providers_core import Chain
    from kickai_providers_core.runtime.streaming import StreamMode

GOOD = Ok("pong", pieces=("po", "ng"))
LONG_S = 60.0


def cancel(ask: Callable[[Chain], Awaitable[object]], server: FaultServer, chain: Chain) -> None:
    """Begin to ask, and cancel that as soon as the service has been asked."""

    async def main() -> None:
        task = asyncio.ensure_future(ask(chain))
        await until(lambda: bool(server.requests))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    alone(main)


async def asked(chain: Chain) -> object:
    """Ask for a whole answer."""
    return await chain.ainvoke("hi")


async def streamed(chain: Chain, mode: StreamMode) -> object:
    """Read a stream to its end."""
    async with chain.astream("hi", mode=mode) as chunks:
        return [chunk async for chunk in chunks]


CANCELLED = {"ainvoke": asked, **{f"astream, {mode}": partial(streamed, mode=mode) for mode in MODES}}


@pytest.mark.parametrize("provider", ["kestrel", "careless", "heedless"])
def test_a_cancelled_task_leaves_nothing(provider: str) -> None:
    """Whenever it is cancelled, before the first token or after it; and its request counts as cancelled."""

    def cell(way: str, fault: Silence | Stall) -> None:
        message: list[Event] = []
        with FaultServer(KestrelWire(), fault) as server, resolver(server.url, observers=[message.append]) as holder:
            cancel(CANCELLED[way], server, holder.chain(provider, deadline_s=LONG_S))
            assert provider == "careless" or server.wait_closed(20.0)
            assert [event.outcome for event in message if isinstance(event, RequestEnded)] == ["cancelled"]
            server.default = GOOD
            assert WAYS[way](holder.chain(provider)) == "pong"

    cells = {f"{way}, silence": partial(cell, way, Silence()) for way in CANCELLED}
    cells |= {f"{way}, after a piece": partial(cell, way, Stall(1)) for way in CANCELLED if way != "ainvoke"}
    with nothing_left():
        abreast(cells)


def closes(chain: Chain, mode: StreamMode) -> None:
    """Take a piece, and close the stream."""
    chunks = chain.stream("hi", mode=mode)
    next(chunks)
    chunks.close()


def leaves(chain: Chain, mode: StreamMode) -> None:
    """Take a piece, and leave the block."""
    with chain.stream("hi", mode=mode) as chunks:
        next(chunks)


def acloses(chain: Chain, mode: StreamMode) -> None:
    """Take a piece, and close the async stream."""

    async def main() -> None:
        chunks = chain.astream("hi", mode=mode)
        await anext(chunks)
        await chunks.aclose()

    alone(main)


def aleaves(chain: Chain, mode: StreamMode) -> None:
    """Take a piece, and leave the async block."""

    async def main() -> None:
        async with chain.astream("hi", mode=mode) as chunks:
            await anext(chunks)

    alone(main)


@pytest.mark.parametrize("provider", ["kestrel", "careless", "heedless"])
def test_an_abandoned_stream_leaves_nothing(provider: str) -> None:
    """Promise 7: closed or left after its first piece, in the modes that hand one out: its connection is closed."""

    def cell(abandon: Callable[[Chain, StreamMode], None], mode: StreamMode) -> None:
        with FaultServer(KestrelWire(), Stall(1)) as server, resolver(server.url) as holder:
            abandon(holder.chain(provider, deadline_s=LONG_S), mode)
            assert provider == "careless" or server.wait_closed(20.0)
            server.default = GOOD
            assert WAYS["invoke"](holder.chain(provider)) == "pong"

    ways = (closes, leaves, acloses, aleaves)
    if provider == "heedless":
        ways = ways[2:]
    with nothing_left():
        abreast({f"{way.__name__}, {mode}": partial(cell, way, mode) for way in ways for mode in MODES[:2]})


@pytest.mark.parametrize("provider", ["kestrel", "careless"])
@pytest.mark.parametrize("mode", MODES[:2])
def test_a_forgotten_stream_leaves_nothing(provider: str, mode: StreamMode) -> None:
    """Who takes a piece and drops the stream has left it, as soon as it is collected."""
    with nothing_left(), FaultServer(KestrelWire(), Stall(1)) as server, resolver(server.url) as holder:
        next(holder.chain(provider, deadline_s=LONG_S).stream("hi", mode=mode))
        gc.collect()
        assert provider == "careless" or server.wait_closed(20.0)
