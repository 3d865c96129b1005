"""Blocking calls, moved to threads of their own, so that whoever waits for one can leave it.

A thread cannot be stopped from outside: one that is left runs on until its call returns, and what it brings is
dropped. The threads are daemons, so that a call which never returns does not keep the interpreter from ending.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX, Event, Semaphore, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["LONGEST_WAIT_S", "acall", "aiterate", "call", "iterate", "post", "start"]

T = TypeVar("T")

LONGEST_WAIT_S = min(TIMEOUT_MAX, 1_000_000.0)
"""A longer wait than this, in seconds, is cut to it: locks, queues and event loops overflow at some length."""

MAX_BUFFERED = 1_000
"""How many items of an iterator may wait to be taken: more than any answer has pieces, and no load for the memory."""


class _Result:
    """How a call or an iterator ended: with a value, or with an exception."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.value


def start(run: Callable[[], None]) -> None:
    """Run a function in a daemon thread of its own, in a copy of the caller's context."""
    Thread(target=copy_context().run, args=(run,), name="kickai-call", daemon=True).start()


def _capture(function: Callable[[], Any]) -> _Result:
    try:
        return _Result(function())
    except BaseException as exc:  # noqa: BLE001  whoever waits raises it, SystemExit included
        return _Result(error=exc)


def call(function: Callable[[], T], timeout_s: float) -> T:
    """Return what the function returns, or leave it.

    Raises:
        TimeoutError: It did not return within ``timeout_s``.
    """
    ended: SimpleQueue[_Result] = SimpleQueue()
    start(lambda: ended.put(_capture(function)))
    try:
        return ended.get(timeout=min(timeout_s, LONGEST_WAIT_S)).result()  # type: ignore[no-any-return]
    except Empty:
        raise TimeoutError from None


async def acall(function: Callable[[], T]) -> T:
    """Return what the function returns; cancelling leaves it.

    Unlike `asyncio.to_thread` this has no shared pool that calls which hang could fill.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def deliver(ended: _Result) -> None:
        if not future.done():
            future.set_result(ended)

    def run() -> None:
        post(loop, deliver, _capture(function))

    start(run)
    return (await future).result()  # type: ignore[no-any-return]


def post(loop: asyncio.AbstractEventLoop, deliver: Callable[[Any], None], item: Any) -> None:
    """Have an event loop call a function, from any thread; do nothing when the loop is closed."""
    try:
        loop.call_soon_threadsafe(deliver, item)
    except RuntimeError:  # the loop has ended, and with it whoever waited
        return


def _read_in_thread(
    open_: Callable[[], Iterator[T]],
    put: Callable[[T], None],
    end: Callable[[_Result], None],
    stopped: Event,
    returned: Callable[[], None],
) -> None:
    """Read an iterator to its end, or until nobody wants more of it, which is a `TimeoutError`, and close it."""

    def read() -> None:
        items = open_()
        try:
            for item in items:
                put(item)
                if stopped.is_set():
                    raise TimeoutError
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    ended = _capture(read)
    returned()
    end(ended)


def iterate(
    open_: Callable[[], Iterator[T]], wait_s: Callable[[], float], returned: Callable[[], None] = lambda: None
) -> Iterator[T]:
    """Yield what an iterator yields that is read in a thread, a little ahead.

    Args:
        open_: Makes the iterator; called in the thread.
        wait_s: Asked before each item for how long to wait for it. With 0, what has come by now is still handed out,
            and nothing that comes later: an iterator that never pauses ends all the same.
        returned: Called in the thread when it is done with the iterator.

    Raises:
        TimeoutError: The next item did not come in time.
    """
    queue: SimpleQueue[T | _Result] = SimpleQueue()
    room, stopped = Semaphore(MAX_BUFFERED), Event()

    def put(item: T) -> None:
        room.acquire()
        queue.put(item)

    start(lambda: _read_in_thread(open_, put, queue.put, stopped, returned))
    try:
        while True:
            left_s = wait_s()
            if left_s <= 0:
                stopped.set()
            try:
                item = queue.get(timeout=min(left_s, LONGEST_WAIT_S))
            except Empty:
                raise TimeoutError from None
            if isinstance(item, _Result):
                item.result()
                return
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()  # for one item that waits for room; there is none after it


async def aiterate(
    open_: Callable[[], Iterator[T]],
    returned: Callable[[], None] = lambda: None,
    left: Callable[[], None] = lambda: None,
) -> AsyncIterator[T]:
    """Yield what an iterator yields that is read in a thread, a little ahead; closing or cancelling leaves it.

    Args:
        open_: Makes the iterator; called in the thread.
        returned: Called in the thread when it is done with the iterator.
        left: Called when the reader is.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | _Result] = asyncio.Queue()
    room, stopped = Semaphore(MAX_BUFFERED), Event()

    def put(item: T) -> None:
        room.acquire()
        post(loop, queue.put_nowait, item)

    start(lambda: _read_in_thread(open_, put, lambda ended: post(loop, queue.put_nowait, ended), stopped, returned))
    try:
        while True:
            item = await queue.get()
            if isinstance(item, _Result):
                item.result()
                return
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()  # for one item that waits for room; there is none after it
        left()
