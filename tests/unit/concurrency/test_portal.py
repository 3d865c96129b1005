"""The portal, and its callers while it stops."""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.concurrency import portal as portals
from kickai_providers_core.concurrency.portal import Portal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


async def answer() -> str:
    """Answer at once."""
    return "yes"


def find_portal_threads() -> list[threading.Thread]:
    """Return the threads that run a portal."""
    return [thread for thread in threading.enumerate() if thread.name == "kickai-portal"]


@pytest.mark.parametrize("used", [True, False])
def test_a_stopped_portal_does_not_start_again(*, used: bool) -> None:
    """A late call is refused, and no thread is left behind."""
    portal = Portal()
    if used:
        assert portal.run(answer) == "yes"
    portal.stop()
    with pytest.raises(RuntimeError, match="closed"):
        portal.run(answer)
    assert not portal.is_running
    assert find_portal_threads() == []


def test_a_waiting_caller_gets_an_error_when_the_portal_stops() -> None:
    """The error is not a cancellation, which would be the caller's own."""
    portal, waits = Portal(), threading.Event()
    ended: list[BaseException] = []

    async def forever() -> None:
        waits.set()
        await asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            portal.run(forever)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is looked at below
            ended.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert waits.wait(5)
    portal.stop()
    caller.join(5)
    assert [type(error) for error in ended] == [RuntimeError]


def test_a_coroutine_that_cancels_itself_stays_cancelled() -> None:
    """The error does not say that the portal was stopped."""
    portal = Portal()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        portal.run(cancelled)
    portal.stop()


def test_stopping_a_portal_that_never_started_does_nothing() -> None:
    """Stopping it twice does nothing either."""
    portal = Portal()
    assert not portal.is_running
    portal.stop()
    portal.stop()
    assert not portal.is_running


def test_a_call_that_is_late_is_cancelled() -> None:
    """The caller gets a timeout, and the coroutine ends at once; the time without a timeout is not limited."""
    portal, ended = Portal(), threading.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        portal.run(hang, 0.05)
    assert ended.wait(20)
    assert portal.run(answer, 1e12) == "yes"
    portal.stop()


def test_stopping_does_not_wait_for_coroutines_that_do_not_end(monkeypatch) -> None:
    """The thread ends later, with them."""
    monkeypatch.setattr(portals, "STOP_S", 0.05)
    portal, begun, may_end = Portal(), threading.Event(), threading.Event()

    async def stubborn() -> None:
        while not may_end.is_set():
            begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    caller = threading.Thread(target=lambda: portal.run(stubborn))
    caller.start()
    assert begun.wait(20)
    portal.stop()
    assert caller.is_alive()
    may_end.set()
    caller.join(20)
    assert not caller.is_alive()
    for thread in find_portal_threads():
        thread.join(20)
    assert find_portal_threads() == []


async def count(closed: list[str]) -> AsyncGenerator[int, None]:
    """Yield numbers for ever."""
    try:
        for number in itertools.count():
            yield number
    finally:
        closed.append(threading.current_thread().name)


def test_an_iterator_that_is_dropped_on_the_loop_is_closed() -> None:
    """The garbage collector may run in the thread of the loop, which must not wait for itself."""
    portal, closed = Portal(), list[str]()
    numbers = portal.iterate(lambda: count(closed), lambda: 10.0)
    assert [next(numbers), next(numbers)] == [0, 1]
    held = [numbers]
    del numbers

    async def drop() -> None:
        held.clear()
        gc.collect()

    portal.run(drop)
    portal.stop()
    assert closed == ["kickai-portal"]


def test_an_iterator_ends_with_its_generator_or_its_error() -> None:
    """What the generator raises is raised to the reader."""
    portal = Portal()

    async def two() -> AsyncGenerator[int, None]:
        yield 1
        yield 2

    async def fail() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("broken")

    assert list(portal.iterate(two, lambda: 10.0)) == [1, 2]
    with pytest.raises(ValueError, match="broken"):
        list(portal.iterate(fail, lambda: 10.0))
    portal.stop()


def test_an_iterator_ends_when_the_portal_stops() -> None:
    """The reader gets an error, and the generator is closed."""
    portal, closed = Portal(), list[str]()
    numbers = portal.iterate(lambda: count(closed), lambda: 10.0)
    next(numbers)
    portal.stop()
    assert closed == ["kickai-portal"]
    with pytest.raises(RuntimeError, match="closed"):
        next(numbers)


@pytest.mark.parametrize("used", [True, False])
def test_an_unused_iterator_starts_nothing(*, used: bool) -> None:
    """The loop starts with the first item."""
    portal, closed = Portal(), list[str]()
    numbers = portal.iterate(lambda: count(closed), lambda: 10.0)
    if used:
        next(numbers)
    assert portal.is_running is used
    numbers.close()
    assert bool(closed) is used
    portal.stop()


INTERRUPTED = """
import asyncio, signal, threading
from kickai_providers_core.concurrency.portal import Portal

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs behind it ignore SIGINT
portal, cancelled = Portal(), threading.Event()

async def forever():
    asyncio.get_running_loop().call_later(0.1, signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.set()

try:
    portal.run(forever)
except KeyboardInterrupt:
    print("cancelled" if cancelled.wait(20) else "left under way")
portal.stop()
"""


def test_interrupting_a_blocking_caller_cancels_its_request() -> None:
    """A KeyboardInterrupt in a waiting caller also ends the call on the portal's loop."""
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip() == "cancelled", ran.stderr
