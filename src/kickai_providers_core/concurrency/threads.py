"""Runs blocking calls in their own threads, so that callers can stop waiting for them.

A thread cannot be stopped from outside. A call whose caller has left runs to its end, and its result is discarded. The
threads are daemons, so a call that never returns does not prevent the interpreter from exiting.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S, Flag

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

__all__ = ["acall", "aiterate", "call", "iterate", "post", "start"]

T = TypeVar("T")

MAX_BUFFERED = 1_000
"""The maximum number of items that are read ahead: more than an answer has chunks, but little memory."""


class _Result:
    """The result of a call or an iterator: a value or an exception."""

    __slots__ = ("error", "value")

    def __init__(self, value: Any = None, error: BaseException | None = None) -> None:
        self.value = value
        self.error = error

    def unwrap(self) -> Any:
        error, self.error = self.error, None  # the error refers to this frame; this breaks the reference cycle
        try:
            if error is not None:
                raise error
            return self.value
        finally:
            del error


def start(run: Callable[[], None]) -> None:
    """Run a function in a new daemon thread, in a copy of the caller's context."""
    Thread(target=copy_context().run, args=(run,), name="kickai-call", daemon=True).start()


def _capture(function: Callable[[], Any]) -> _Result:
    try:
        return _Result(function())
    except BaseException as exc:  # noqa: BLE001  the caller raises it, including SystemExit
        return _Result(error=exc)


def call(function: Callable[[], T], timeout_s: float) -> T:
    """Return the result of a function that runs in a thread.

    Raises:
        TimeoutError: It did not return within ``timeout_s`` seconds. It continues in its thread.
    """
    ended: SimpleQueue[_Result] = SimpleQueue()
    start(lambda: ended.put(_capture(function)))
    try:
        return ended.get(timeout=min(timeout_s, LONGEST_WAIT_S)).unwrap()  # type: ignore[no-any-return]
    except Empty:
        raise TimeoutError from None


async def acall(function: Callable[[], T]) -> T:
    """Return the result of a function that runs in a thread. If this is cancelled, the function continues.

    Unlike `asyncio.to_thread`, it does not use a shared pool, which hanging calls could fill.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[_Result] = loop.create_future()

    def deliver(ended: _Result) -> None:
        if not future.done():
            future.set_result(ended)

    def run() -> None:
        post(loop, deliver, _capture(function))

    start(run)
    return (await future).unwrap()  # type: ignore[no-any-return]


def post(loop: asyncio.AbstractEventLoop, deliver: Callable[[Any], None], item: Any) -> None:
    """Schedule a function on an event loop, from any thread; do nothing if the loop is closed."""
    try:
        loop.call_soon_threadsafe(deliver, item)
    except RuntimeError:  # the loop has ended, so no caller is waiting
        return


class _Room:
    """The room for items that are read ahead of their reader; an interrupted call leaves nothing locked."""

    def __init__(self) -> None:
        self._taken = 0  # by the thread that reads ahead, the only one to call `acquire`
        self._released: SimpleQueue[None] = SimpleQueue()

    def acquire(self) -> None:
        """Take the room of one item; wait for it while there is none."""
        self._taken += 1
        if self._taken > MAX_BUFFERED:
            self._released.get()

    def release(self) -> None:
        """Give back the room of one item."""
        self._released.put(None)


def _read_in_thread(
    open_: Callable[[], Iterator[T]],
    put: Callable[[T], None],
    end: Callable[[_Result], None],
    stopped: Flag,
    on_return: Callable[[], None],
) -> None:
    """Read an iterator until it ends or the reader stops (then the result is a `TimeoutError`), and close it."""

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
    on_return()
    end(ended)


def iterate(
    open_: Callable[[], Iterator[T]], wait_s: Callable[[], float], on_return: Callable[[], None] = lambda: None
) -> Iterator[T]:
    """Yield the items of an iterator that a thread reads, slightly ahead.

    Args:
        open_: Creates the iterator; called in the thread.
        wait_s: Returns the number of seconds to wait for the next item; called before each item. Once it returns 0,
            only the items that have already arrived are yielded, so that even an iterator that never pauses ends.
        on_return: Called in the thread after it has closed the iterator.

    Raises:
        TimeoutError: The next item did not arrive in time.
    """
    queue: SimpleQueue[T | _Result] = SimpleQueue()
    room, stopped = _Room(), Flag()

    def put(item: T) -> None:
        room.acquire()
        queue.put(item)

    start(lambda: _read_in_thread(open_, put, queue.put, stopped, on_return))
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
                item.unwrap()
                return
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()  # for the one item that may be waiting for room


async def aiterate(
    open_: Callable[[], Iterator[T]],
    on_return: Callable[[], None] = lambda: None,
    on_leave: Callable[[], None] = lambda: None,
) -> AsyncIterator[T]:
    """Yield the items of an iterator that a thread reads, slightly ahead, without blocking the event loop.

    If this is closed or cancelled, the thread stops after its next item.

    Args:
        open_: Creates the iterator; called in the thread.
        on_return: Called in the thread after it has closed the iterator.
        on_leave: Called when the reader stops or has read everything.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[T | _Result] = asyncio.Queue()
    room, stopped = _Room(), Flag()

    def put(item: T) -> None:
        room.acquire()
        post(loop, queue.put_nowait, item)

    start(lambda: _read_in_thread(open_, put, lambda ended: post(loop, queue.put_nowait, ended), stopped, on_return))
    try:
        while True:
            item = await queue.get()
            if isinstance(item, _Result):
                item.unwrap()
                return
            room.release()
            yield item
    finally:
        stopped.set()
        room.release()  # for the one item that may be waiting for room
        on_leave()
