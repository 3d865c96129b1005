"""An event loop in its own thread, for blocking callers that need to cancel coroutines."""

from __future__ import annotations

import asyncio
import weakref
from concurrent.futures import CancelledError
from contextlib import aclosing, contextmanager, suppress
from contextvars import copy_context
from os import getpid
from queue import Empty, SimpleQueue
from threading import RLock, Thread, get_ident
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S
from kickai_providers_core.concurrency.forking import never_finalize, raise_fork_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator

__all__ = ["Portal"]

T = TypeVar("T")

CLOSE_S = 0.15
"""Seconds for which closing an iterator early waits until the loop has closed it; the rest happens in the background.
Less than the 0.25 s by which a deadline may be exceeded."""

STOP_S = 2.0
"""Seconds for which stopping waits until the cancelled coroutines have ended."""

END = object()
"""The last item for a waiting caller: its coroutine has ended."""


def _do_nothing() -> None:
    pass


class Portal:
    """Runs coroutines for blocking callers. Safe to use from any thread.

    The loop starts with the first call. After `stop` it cannot start again. A forked child starts its own loop. If the
    portal is garbage-collected without `stop`, its thread ends too.
    """

    def __init__(self) -> None:
        self._lock = RLock()  # the garbage collector may close an iterator in a thread that holds it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stopped = False
        self._calls: set[_Call[Any]] = set()

    @property
    def is_running(self) -> bool:
        """Whether the loop has started and was not stopped."""
        return self._loop is not None

    def run(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        timeout_s: float | None = None,
        on_return: Callable[[], None] = _do_nothing,
    ) -> T:
        """Run a coroutine on the loop, in the caller's context, and return its result. Blocks the thread.

        An exception that interrupts the caller cancels the coroutine, and so does the time limit.

        Args:
            make: Creates the coroutine; called on the loop.
            timeout_s: Seconds to wait at most; None to wait for the coroutine's end.
            on_return: Called on the loop after the coroutine has ended.

        Raises:
            TimeoutError: The coroutine did not end in time. It was cancelled, and ends once the loop resumes it.
            RuntimeError: The portal was stopped before or during the call, or the process was forked during it.
        """
        if self._is_on_loop():  # it blocks this loop, so another one must run the coroutine
            with _open_nested() as nested:
                return nested.run(make, timeout_s, on_return)
        call = _Call(make, on_return)
        with self._calling(call):
            call.wait(timeout_s)
            return self._get_result(call)

    def iterate(
        self,
        open_: Callable[[], AsyncGenerator[T, None]],
        wait_s: Callable[[], float],
        on_return: Callable[[], None] = _do_nothing,
    ) -> Generator[T, None, None]:
        """Yield the items of an async generator that one coroutine on the loop reads, never ahead of the caller.

        Closing it closes the generator, and waits up to 0.15 s until that is done.

        Args:
            open_: Creates the generator; called on the loop, in the context of the caller that reads the first item.
            wait_s: Returns the number of seconds to wait for the next item; called before each item.
            on_return: Called on the loop after the generator is closed.

        Raises:
            TimeoutError: The next item did not arrive in time.
            RuntimeError: As for `run`.
        """
        if self._is_on_loop():
            with _open_nested() as nested:
                yield from nested.iterate(open_, wait_s, on_return)
            return
        call: _Call[None] = _Call(lambda: call.read(open_), on_return)
        with self._calling(call):
            while True:
                item = call.wait(wait_s())
                if item is END:
                    self._get_result(call)
                    return
                yield item
                call.post(call.request_item)

    def stop(self) -> None:
        """Stop the loop and its thread, which cancels what runs there. Do not call this from the loop itself.

        Waits up to 2 s for coroutines that do not end when they are cancelled.
        """
        with self._lock:
            self._stopped = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            _stop_loop(loop, getpid())
            thread.join(STOP_S)

    def renew_after_fork(self) -> None:
        """Forget the parent's loop in a child, where its thread does not exist. The next call starts a new loop."""
        self._lock = RLock()
        loop, self._loop, self._thread = self._loop, None, None
        if loop is not None:
            never_finalize(loop)
        calls, self._calls = self._calls, set()
        for call in calls:  # the thread that forked in a signal handler may be waiting for one of them
            call.arrived.put(END)

    @contextmanager
    def _calling(self, call: _Call[Any]) -> Iterator[None]:
        """Submit a call to the loop, and cancel it if the block ends before it does."""
        self._calls.add(call)
        try:
            self._submit(call)
            yield
        finally:
            self._calls.discard(call)
            if call.pid == getpid():
                call.cancel(is_on_loop=self._is_on_loop())

    def _submit(self, call: _Call[Any]) -> None:
        """Submit a call under the lock, so that `stop` cannot come in between."""
        with self._lock:
            loop = self._get_loop()
            call.loop = loop
            loop.call_soon_threadsafe(call.begin)

    def _is_on_loop(self) -> bool:
        thread = self._thread
        return thread is not None and thread.ident == get_ident()

    def _get_result(self, call: _Call[T]) -> T:
        if call.pid != getpid():
            raise_fork_error(call.pid)
        task = call.task
        del call.task  # an error refers to the frames of the caller; this breaks the reference cycle
        try:
            if task.cancelled():
                raise _build_closed_error() if self._stopped else CancelledError
            return task.result()
        finally:
            del task

    def _get_loop(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise _build_closed_error()
        if self._loop is None:
            # With a factory, the runner does not set its loop as the current one of the calling thread.
            runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            self._loop = loop = runner.get_loop()
            self._thread = Thread(target=_run_loop, args=(runner,), name="kickai-portal", daemon=True)
            self._thread.start()
            weakref.finalize(self, _stop_loop, loop, getpid()).atexit = False
        return self._loop


class _Call(Generic[T]):
    """A coroutine on the loop, and the thread that waits for it.

    Attributes:
        pid: The process in which it began.
        arrived: The items for the waiting thread; then `END`.
        loop: The loop; set when the call is submitted.
        task: The task on the loop; set when it begins.
    """

    loop: asyncio.AbstractEventLoop
    task: asyncio.Task[T]

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]], on_return: Callable[[], None]) -> None:
        self.pid = getpid()
        self.arrived: SimpleQueue[Any] = SimpleQueue()
        self._make = make
        self._on_return = on_return
        self._context = copy_context()
        self._has_ended = False
        self._timed_out = False
        self._requested: asyncio.Event

    # In the thread of the caller

    def wait(self, timeout_s: float | None) -> Any:
        """Return the next item, or `END`.

        Raises:
            TimeoutError: It did not arrive in time.
        """
        try:
            item = self.arrived.get(timeout=None if timeout_s is None else min(timeout_s, LONGEST_WAIT_S))
        except Empty:
            self._timed_out = True
            raise TimeoutError from None
        self._has_ended = item is END
        return item

    def cancel(self, *, is_on_loop: bool) -> None:
        """Cancel the coroutine unless it has ended, and wait briefly for its end where that is possible."""
        if self._has_ended or not hasattr(self, "loop"):
            return
        self.post(self._cancel)
        if is_on_loop or self._timed_out:  # the loop is blocked, so waiting longer does not help
            return
        with suppress(TimeoutError):
            while self.wait(CLOSE_S) is not END:
                continue

    def post(self, step: Callable[[], None]) -> None:
        """Run a function on the loop, unless the loop has ended."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(step)

    # On the loop

    def begin(self) -> None:
        """Start the coroutine, in the context of the caller."""
        self._requested = asyncio.Event()
        self.task = self.loop.create_task(self._run(), context=self._context)
        self.task.add_done_callback(self._end)

    def request_item(self) -> None:
        """Let `read` go on to the next item."""
        self._requested.set()

    async def read(self, open_: Callable[[], AsyncGenerator[Any, None]]) -> None:
        """Read a generator one item at a time, each on request, and close it."""
        async with aclosing(open_()) as items:
            async for item in items:
                self.arrived.put(item)
                await self._requested.wait()
                self._requested.clear()

    async def _run(self) -> T:
        running = self._make()
        del self._make  # it refers to this object, or to a walk whose errors refer to this frame: no reference cycle
        return await running

    def _cancel(self) -> None:
        self.task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # nobody may be waiting: asyncio logs exceptions that were never retrieved
        self._on_return()
        self.arrived.put(END)


@contextmanager
def _open_nested() -> Iterator[Portal]:
    """Give a portal for one call, and stop it afterwards."""
    nested = Portal()
    try:
        yield nested
    finally:
        nested.stop()


def _build_closed_error() -> RuntimeError:
    return RuntimeError("the resolver is closed")


def _stop_loop(loop: asyncio.AbstractEventLoop, started_in: int) -> None:
    """Stop a loop that this process started, unless it has ended."""
    if started_in == getpid():
        with suppress(RuntimeError):  # it is closed already
            loop.call_soon_threadsafe(loop.stop)


def _run_loop(runner: asyncio.Runner) -> None:
    """Run a loop until it is stopped. Leaving the runner cancels the remaining tasks and closes the loop."""
    with runner:
        runner.get_loop().run_forever()
