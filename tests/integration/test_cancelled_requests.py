"""Requests that their callers leave half-way, cancelled or abandoned, over real sockets: nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
from functools import partial
from typing import TYPE_CHECKING

import pytest
from holdings import nothing_left
from integration.callers import MODES, WAYS, run_in_parallel, run_on_new_loop, wait_until
from integration.services import KestrelWire, make_resolver

from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, Stall
from kickai_providers_core.values.events import Event, RequestEnded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from kickai_providers_core import Chain
    from kickai_providers_core.runtime.streaming import StreamMode

GOOD = Ok("pong", pieces=("po", "ng"))
LONG_S = 60.0


def cancel(ask: Callable[[Chain], Awaitable[object]], server: FaultServer, chain: Chain) -> None:
    """Start a request, and cancel it as soon as the service has received it."""

    async def main() -> None:
        task = asyncio.ensure_future(ask(chain))
        await wait_until(lambda: bool(server.requests))
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_on_new_loop(main)


async def ask(chain: Chain) -> object:
    """Return a whole answer."""
    return await chain.ainvoke("hi")


async def read_stream(chain: Chain, mode: StreamMode) -> object:
    """Read a stream to its end."""
    async with chain.astream("hi", mode=mode) as chunks:
        return [chunk async for chunk in chunks]


CANCELLED = {"ainvoke": ask, **{f"astream, {mode}": partial(read_stream, mode=mode) for mode in MODES}}


@pytest.mark.parametrize("provider", ["kestrel", "careless", "heedless"])
def test_a_cancelled_task_leaves_nothing(provider: str) -> None:
    """It may be cancelled before or after the first token, and the request ends as cancelled."""

    def cell(way: str, fault: Silence | Stall) -> None:
        events: list[Event] = []
        with (
            FaultServer(KestrelWire(), fault) as server,
            make_resolver(server.url, observers=[events.append]) as resolver,
        ):
            cancel(CANCELLED[way], server, resolver.chain(provider, deadline_s=LONG_S))
            assert provider == "careless" or server.wait_closed(20.0)
            assert [event.outcome for event in events if isinstance(event, RequestEnded)] == ["cancelled"]
            server.default = GOOD
            assert WAYS[way](resolver.chain(provider)) == "pong"

    cells = {f"{way}, silence": partial(cell, way, Silence()) for way in CANCELLED}
    cells |= {f"{way}, after a piece": partial(cell, way, Stall(1)) for way in CANCELLED if way != "ainvoke"}
    with nothing_left():
        run_in_parallel(cells)


def close_stream(chain: Chain, mode: StreamMode) -> None:
    """Read a chunk, and close the stream."""
    chunks = chain.stream("hi", mode=mode)
    next(chunks)
    chunks.close()


def leave_block(chain: Chain, mode: StreamMode) -> None:
    """Read a chunk, and leave the block."""
    with chain.stream("hi", mode=mode) as chunks:
        next(chunks)


def aclose_stream(chain: Chain, mode: StreamMode) -> None:
    """Read a chunk, and close the async stream."""

    async def main() -> None:
        chunks = chain.astream("hi", mode=mode)
        await anext(chunks)
        await chunks.aclose()

    run_on_new_loop(main)


def leave_async_block(chain: Chain, mode: StreamMode) -> None:
    """Read a chunk, and leave the async block."""

    async def main() -> None:
        async with chain.astream("hi", mode=mode) as chunks:
            await anext(chunks)

    run_on_new_loop(main)


@pytest.mark.parametrize("provider", ["kestrel", "careless", "heedless"])
def test_an_abandoned_stream_leaves_nothing(provider: str) -> None:
    """Promise 7: closing or leaving a stream after its first chunk closes its connection."""

    def cell(abandon: Callable[[Chain, StreamMode], None], mode: StreamMode) -> None:
        with FaultServer(KestrelWire(), Stall(1)) as server, make_resolver(server.url) as resolver:
            abandon(resolver.chain(provider, deadline_s=LONG_S), mode)
            assert provider == "careless" or server.wait_closed(20.0)
            server.default = GOOD
            assert WAYS["invoke"](resolver.chain(provider)) == "pong"

    ways = (close_stream, leave_block, aclose_stream, leave_async_block)
    if provider == "heedless":
        ways = ways[2:]
    with nothing_left():
        run_in_parallel({f"{way.__name__}, {mode}": partial(cell, way, mode) for way in ways for mode in MODES[:2]})


@pytest.mark.parametrize("provider", ["kestrel", "careless"])
@pytest.mark.parametrize("mode", MODES[:2])
def test_a_dropped_stream_leaves_nothing(provider: str, mode: StreamMode) -> None:
    """A stream that is dropped after a chunk is closed when it is collected."""
    with nothing_left(), FaultServer(KestrelWire(), Stall(1)) as server, make_resolver(server.url) as resolver:
        next(resolver.chain(provider, deadline_s=LONG_S).stream("hi", mode=mode))
        gc.collect()
        assert provider == "careless" or server.wait_closed(20.0)
