"""The queue at a provider on the real clock: threads, tasks and streams of several event loops, all in one order."""

from __future__ import annotations

import asyncio
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from holdings import nothing_left
from integration.callers import MODES, best_of_three, run_on_new_loop, wait_until
from integration.services import HeldBack, KestrelWire, instance, make_resolver

from kickai_providers_core import KickaiError, SkipReason
from kickai_providers_core.testing.faults import Cut, FaultServer, Ok, Reset, Stall
from kickai_providers_core.values.events import Event, Queued, RequestEnded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from kickai_providers_core import Chain, Reply
    from kickai_providers_core.resilience.rate_limiter import RateLimiter

LONG_S = 10.0
WAITING_S = 5.0
"""How long a test waits for an event."""


class QueueScenario:
    """A service that serves one call at a time, is busy until it is released, and knows each caller by its prompt."""

    def __init__(self, server: FaultServer, chain: Chain, rate_limiter: RateLimiter, events: list[Event]) -> None:
        self.server = server
        self.chain = chain
        self.rate_limiter = rate_limiter
        self.events = events
        self.release = threading.Event()
        self.ended: dict[str, object] = {}
        self.threads: list[threading.Thread] = []
        self.tasks: dict[str, tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = {}

    @property
    def served(self) -> list[str]:
        """The names of the callers whose calls have arrived, in order."""
        return [request.json()["turns"][0]["says"] for request in self.server.requests]

    @property
    def queued_count(self) -> int:
        """The number of requests that ever had to queue."""
        return sum(isinstance(event, Queued) for event in self.events)

    def wait_until(self, what: Callable[[], bool]) -> None:
        """Wait until a condition is true."""
        ends = time.monotonic() + WAITING_S
        while not what():
            assert time.monotonic() < ends, (
                f"{self.rate_limiter.waiting} are queued, and these have ended: {self.ended}"
            )
            time.sleep(0.002)

    def wait_for_queue(self, count: int) -> None:
        """Wait until `count` requests are queued, and no other one is about to leave."""
        self.wait_until(
            lambda: (
                self.rate_limiter.waiting == count
                and len(self.threads) - len(self.ended) == count + self.rate_limiter.in_flight
            )
        )

    def start(self, name: str, run: Callable[[], object]) -> None:
        """Send a request on a new thread, and wait until it is queued or served."""

        def go() -> None:
            try:
                self.ended[name] = run()
            except BaseException as error:  # noqa: BLE001  looked at by the test
                self.ended[name] = error

        busy, queued_count = bool(self.rate_limiter.in_flight), self.queued_count
        thread = threading.Thread(target=go)
        self.threads.append(thread)
        thread.start()
        if busy:
            self.wait_until(lambda: self.queued_count > queued_count)
        else:
            assert self.server.wait_requests(1, WAITING_S)

    def start_task(self, name: str, ask: Callable[[], Awaitable[object]]) -> None:
        """Send a request on a new event loop, as a task that can be cancelled."""

        async def main() -> object:
            task = asyncio.ensure_future(ask())
            self.tasks[name] = (asyncio.get_running_loop(), task)
            return await task

        self.start(name, partial(run_on_new_loop, main))

    def cancel(self, name: str) -> None:
        """Cancel a caller's task, and wait until it has left the queue."""
        before, (loop, task) = self.rate_limiter.waiting, self.tasks[name]
        loop.call_soon_threadsafe(task.cancel)
        self.wait_for_queue(before - 1)

    def finish(self) -> None:
        """Release the call being served, and wait for all threads."""
        self.release.set()
        for thread in self.threads:
            thread.join(WAITING_S)
        assert not any(thread.is_alive() for thread in self.threads)
        assert (self.rate_limiter.in_flight, self.rate_limiter.waiting) == (0, 0)


@pytest.fixture
def queue() -> Iterator[QueueScenario]:
    """Return a scenario in which a caller named *first* is being served."""
    events: list[Event] = []
    with nothing_left(), FaultServer(KestrelWire(), Ok("pong")) as server:
        narrow = instance("kestrel", server.url, max_concurrency=1)
        with make_resolver(server.url, kestrel=narrow, observers=[events.append]) as resolver:
            found = resolver.registry.find("kestrel")
            assert found is not None
            queue = QueueScenario(server, resolver.chain("kestrel", deadline_s=LONG_S), found.rate_limiter, events)
            server.script(HeldBack(queue.release))
            queue.start("first", lambda: queue.chain.invoke("first"))
            yield queue
            queue.finish()


def streams(chain: Chain, name: str, mode: Any) -> str:
    """Read a stream, and return its text."""
    with chain.stream(name, mode=mode) as chunks:
        return "".join(chunk.text for chunk in chunks)


async def astreams(chain: Chain, name: str, mode: Any) -> str:
    """Read an async stream, and return its text."""
    async with chain.astream(name, mode=mode) as chunks:
        return "".join([chunk.text async for chunk in chunks])


def test_waiting_requests_are_served_in_order(queue: QueueScenario) -> None:
    """Promise 9: in every mode, on any thread or loop; each event says how many requests are ahead."""
    chain = queue.chain
    for number, mode in enumerate(MODES):
        queue.start(f"thread {number}", partial(chain.invoke, f"thread {number}"))
        queue.start_task(f"task {number}", partial(chain.ainvoke, f"task {number}"))
        queue.start(f"stream {number}", partial(streams, chain, f"stream {number}", mode))
        queue.start_task(f"astream {number}", partial(astreams, chain, f"astream {number}", mode))
    kinds = ("thread", "task", "stream", "astream")
    queue.finish()
    assert queue.served == ["first", *(f"{kind} {number}" for number in range(3) for kind in kinds)]
    assert [event.ahead for event in queue.events if isinstance(event, Queued)] == list(range(12))
    assert {str(end) for end in queue.ended.values()} == {"pong"}


def test_a_cancelled_waiter_releases_its_ticket(queue: QueueScenario) -> None:
    """The requests behind it move up, and nothing is sent for it."""
    for name in ("a", "b", "c", "d"):
        queue.start_task(name, partial(queue.chain.ainvoke, name))
    queue.cancel("b")
    queue.cancel("d")
    queue.start("e", partial(queue.chain.invoke, "e"))
    queue.finish()
    assert queue.served == ["first", "a", "c", "e"]
    cancelled = [name for name, end in queue.ended.items() if isinstance(end, asyncio.CancelledError)]
    assert sorted(cancelled) == ["b", "d"]
    assert [event.outcome for event in queue.events if isinstance(event, RequestEnded)].count("cancelled") == 2


def test_a_waiter_cancelled_at_its_admission_passes_it_on(queue: QueueScenario) -> None:
    """It is admitted and cancelled at the same moment, and the next request is served."""
    for name in ("a", "b"):
        queue.start_task(name, partial(queue.chain.ainvoke, name))
    loop, task = queue.tasks["a"]

    def both() -> None:  # on the loop of the one who waits, so that he cannot hear of his ticket in between
        queue.release.set()
        ends = time.monotonic() + WAITING_S
        while queue.rate_limiter.waiting > 1 and time.monotonic() < ends:
            time.sleep(0.002)
        task.cancel()

    loop.call_soon_threadsafe(both)
    queue.finish()
    assert queue.served == ["first", "b"]
    assert isinstance(queue.ended["a"], asyncio.CancelledError)


def test_a_request_that_cannot_be_served_in_time_leaves_the_queue(queue: QueueScenario) -> None:
    """It leaves at its own deadline, in each mode, while the others stay."""
    chain = queue.chain
    ways: dict[str, Callable[[], object]] = {
        "invoke": lambda: chain.invoke("late", deadline_s=0.2),
        "ainvoke": lambda: run_on_new_loop(lambda: chain.ainvoke("late", deadline_s=0.2)),
        "stream": lambda: list(chain.stream("late", deadline_s=0.2)),
        "astream": lambda: run_on_new_loop(lambda: _all_of(chain, "late", 0.2)),
    }
    queue.start("before", partial(chain.invoke, "before"))
    for name, ask in ways.items():
        queue.start(name, ask)
    queue.start("behind", partial(chain.invoke, "behind"))
    queue.wait_for_queue(2)
    for name, ask in ways.items():
        error = queue.ended[name]
        assert isinstance(error, KickaiError)
        assert [skip.reason for skip in error.skipped] == [SkipReason.BUSY]

        def leaves(ask: Callable[[], object] = ask) -> None:
            with pytest.raises(KickaiError):
                ask()

        assert best_of_three(leaves, 5 * (0.2 + 0.25)) <= 5 * (0.2 + 0.25)
    queue.finish()
    assert queue.served == ["first", "before", "behind"]


async def _all_of(chain: Chain, name: str, deadline_s: float) -> list[Any]:
    return [chunk async for chunk in chain.astream(name, deadline_s=deadline_s)]


def test_any_end_of_a_call_admits_the_next_request() -> None:
    """After a reset, a cut, a dropped stream or a cancelled task, the next request in the queue is served."""
    with nothing_left(), FaultServer(KestrelWire(), Ok("pong")) as server:
        narrow = instance("kestrel", server.url, max_concurrency=1, timeout_s=0.3)
        with make_resolver(server.url, kestrel=narrow) as resolver:
            chain = resolver.chain("kestrel:a", deadline_s=LONG_S)
            rate_limiter = resolver.registry.find("kestrel").rate_limiter
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
                await wait_until(lambda: len(server.requests) == 4)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                return await chain.ainvoke("after")

            assert run_on_new_loop(cancelled).text == "pong"
            assert (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0)
            assert server.wait_closed(20.0)
