"""The line before a provider on the real clock: threads, tasks and streams of several event loops, all in one order."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from holdings import nothing_left
from integration.callers import MODES, alone, best_of_three, until
from integration.services import HeldBack, KestrelWire, instance, resolver

from kickai_providers_core import KickaiError, SkipReason
from kickai_providers_core.testing.faults import Cut, FaultServer, Ok, Reset, Stall
from kickai_providers_core.values.events import Event, Queued, RequestEnded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kickai_providers_core import Chain, Reply
    from kickai_providers_core.resilience.rate_limiter import RateLimiter

LONG_S = 10.0
WAITING_S = 5.0
"""How long a test waits for what must come."""


class WaitForSlot:
    """A service that serves one at a time, is busy until it is released, and knows by their prompts who comes when."""

    def __init__(self, server: FaultServer, chain: Chain, rate_limiter: RateLimiter, message: list[Event]) -> None:
        self.server = server
        self.chain = chain
        self.rate_limiter = rate_limiter
        self.told = message
        self.release = threading.Event()
        self.ended: dict[str, object] = {}
        self.crew: list[threading.Thread] = []
        self.tasks: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = {}

    @property
    def served(self) -> list[str]:
        """The names of those whose calls have come, in order."""
        return [request.json()["turns"][0]["says"] for request in self.server.requests]

    @property
    def lined_up(self) -> int:
        """How many have ever had to wait."""
        return sum(isinstance(event, Queued) for event in self.told)

    def sees(self, what: Callable[[], bool]) -> None:
        """Wait until something has come true."""
        ends = time.monotonic() + WAITING_S
        while not what():
            assert time.monotonic() < ends, (
                f"{self.rate_limiter.waiting} stand in line, and these have left: {self.ended}"
            )
            time.sleep(0.002)

    def stands(self, count: int) -> None:
        """Wait until so many stand in the line, and nobody else is on his way out of it."""
        self.sees(
            lambda: (
                self.rate_limiter.waiting == count
                and len(self.crew) - len(self.ended) == count + self.rate_limiter.in_flight
            )
        )

    def comes(self, name: str, run: Callable[[], object]) -> None:
        """Have somebody ask on a thread of his own, and wait until he stands in line or is served."""

        def go() -> None:
            try:
                self.ended[name] = run()
            except BaseException as error:  # noqa: BLE001  looked at by the test
                self.ended[name] = error

        busy, lined_up = bool(self.rate_limiter.in_flight), self.lined_up
        thread = threading.Thread(target=go)
        self.crew.append(thread)
        thread.start()
        if busy:
            self.sees(lambda: self.lined_up > lined_up)
        else:
            assert self.server.wait_requests(1, WAITING_S)

    def joins(self, name: str, ask: Callable[[], Awaitable[object]]) -> None:
        """The same on an event loop of his own, as a task that can be cancelled."""

        async def main() -> object:
            task = asyncio.ensure_future(ask())
            self.tasks[name] = (asyncio.get_running_loop(), task)
            return await task

        self.comes(name, partial(alone, main))

    def cancel(self, name: str) -> None:
        """Cancel somebody's task, and wait until he has left the line."""
        before, (loop, task) = self.rate_limiter.waiting, self.tasks[name]
        loop.call_soon_threadsafe(task.cancel)
        self.stands(before - 1)

    def over(self) -> None:
        """Release who is being served, and wait for all."""
        self.release.set()
        for thread in self.crew:
            thread.join(WAITING_S)
        assert not any(thread.is_alive() for thread in self.crew)
        assert (self.rate_limiter.in_flight, self.rate_limiter.waiting) == (0, 0)


@pytest.fixture
def queue() -> Iterator[WaitForSlot]:
    """Return a queue before which somebody called *first* is being served."""
    message: list[Event] = []
    with nothing_left(), FaultServer(KestrelWire(), Ok("pong")) as server:
        narrow = instance("kestrel", server.url, max_concurrency=1)
        with resolver(server.url, kestrel=narrow, observers=[message.append]) as holder:
            found = holder.registry.find("kestrel")
            assert found is not None
            queue = WaitForSlot(server, holder.chain("kestrel", deadline_s=LONG_S), found.rate_limiter, message)
            server.script(HeldBack(queue.release))
            queue.comes("first", lambda: queue.chain.invoke("first"))
            yield queue
            queue.over()


def streams(chain: Chain, name: str, mode: Any) -> str:
    """Ask for a stream, and return its text."""
    with chain.stream(name, mode=mode) as chunks:
        return "".join(chunk.text for chunk in chunks)


async def astreams(chain: Chain, name: str, mode: Any) -> str:
    """Ask for an async stream, and return its text."""
    async with chain.astream(name, mode=mode) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def test_waiting_requests_are_served_in_order(queue: WaitForSlot) -> None:
    """Promise 9: whatever thread or loop each is on and however it asks; and each is told how many stand before it."""
    chain = queue.chain
    for number, mode in enumerate(MODES):
        queue.comes(f"thread {number}", partial(chain.invoke, f"thread {number}"))
        queue.joins(f"task {number}", partial(chain.ainvoke, f"task {number}"))
        queue.comes(f"stream {number}", partial(streams, chain, f"stream {number}", mode))
        queue.joins(f"astream {number}", partial(astreams, chain, f"astream {number}", mode))
    kinds = ("thread", "task", "stream", "astream")
    queue.over()
    assert queue.served == ["first", *(f"{kind} {number}" for number in range(3) for kind in kinds)]
    assert [event.ahead for event in queue.told if isinstance(event, Queued)] == list(range(12))
    assert {str(end) for end in queue.ended.values()} == {"pong"}


def test_a_cancelled_waiter_leaves_no_hole(queue: WaitForSlot) -> None:
    """Those behind him move up, and nothing is sent for him."""
    for name in ("a", "b", "c", "d"):
        queue.joins(name, partial(queue.chain.ainvoke, name))
    queue.cancel("b")
    queue.cancel("d")
    queue.comes("e", partial(queue.chain.invoke, "e"))
    queue.over()
    assert queue.served == ["first", "a", "c", "e"]
    cancelled = [name for name, end in queue.ended.items() if isinstance(end, asyncio.CancelledError)]
    assert sorted(cancelled) == ["b", "d"]
    assert [event.outcome for event in queue.told if isinstance(event, RequestEnded)].count("cancelled") == 2


def test_who_is_cancelled_just_when_his_turn_comes_gives_it_on(queue: WaitForSlot) -> None:
    """Let in and cancelled at the same moment, before he has heard of it: the next one is served."""
    for name in ("a", "b"):
        queue.joins(name, partial(queue.chain.ainvoke, name))
    loop, task = queue.tasks["a"]

    def both() -> None:  # on the loop of the one who waits, so that he cannot hear of his ticket in between
        queue.release.set()
        ends = time.monotonic() + WAITING_S
        while queue.rate_limiter.waiting > 1 and time.monotonic() < ends:
            time.sleep(0.002)
        task.cancel()

    loop.call_soon_threadsafe(both)
    queue.over()
    assert queue.served == ["first", "b"]
    assert isinstance(queue.ended["a"], asyncio.CancelledError)


def test_who_cannot_be_served_in_time_leaves(queue: WaitForSlot) -> None:
    """At his own deadline and not later, in each way of calling, while those before and behind him stay."""
    chain = queue.chain
    ways: dict[str, Callable[[], object]] = {
        "invoke": lambda: chain.invoke("late", deadline_s=0.2),
        "ainvoke": lambda: alone(lambda: chain.ainvoke("late", deadline_s=0.2)),
        "stream": lambda: list(chain.stream("late", deadline_s=0.2)),
        "astream": lambda: alone(lambda: _all_of(chain, "late", 0.2)),
    }
    queue.comes("before", partial(chain.invoke, "before"))
    for name, ask in ways.items():
        queue.comes(name, ask)
    queue.comes("behind", partial(chain.invoke, "behind"))
    queue.stands(2)
    for name, ask in ways.items():
        error = queue.ended[name]
        assert isinstance(error, KickaiError)
        assert [skip.reason for skip in error.skipped] == [SkipReason.BUSY]

        def leaves(ask: Callable[[], object] = ask) -> None:
            with pytest.raises(KickaiError):
                ask()

        assert best_of_three(leaves, 5 * (0.2 + 0.25)) <= 5 * (0.2 + 0.25)
    queue.over()
    assert queue.served == ["first", "before", "behind"]


async def _all_of(chain: Chain, name: str, deadline_s: float) -> list[Any]:
    return [chunk async for chunk in chain.astream(name, deadline_s=deadline_s)]


def test_whatever_ends_a_call_gives_its_place_on() -> None:
    """After a reset, a cut, a dropped stream or a cancelled task, the next request in the queue is served."""
    with nothing_left(), FaultServer(KestrelWire(), Ok("pong")) as server:
        narrow = instance("kestrel", server.url, max_concurrency=1, timeout_s=0.3)
        with resolver(server.url, kestrel=narrow) as holder:
            chain = holder.chain("kestrel:a", deadline_s=LONG_S)
            rate_limiter = holder.registry.find("kestrel").rate_limiter
            server.script(Reset(20), Cut(1), Stall(1))
            with pytest.raises(KickaiError):
                chain.invoke("reset", deadline_s=0.2)
            with pytest.raises(KickaiError):
                list(chain.stream("cut", deadline_s=0.2))
            with chain.stream("left") as chunks:
                next(chunks)
                assert rate_limiter.in_flight == 1
            server.script(HeldBack(threading.Event()))

            async def cancelled() -> Reply:
                task = asyncio.ensure_future(chain.ainvoke("cancelled"))
                await until(lambda: len(server.requests) == 4)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                return await chain.ainvoke("after")

            assert alone(cancelled).text == "pong"
            assert (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0)
            assert server.wait_closed(20.0)
