"""An event loop in its own thread, for blocking callers that need to cancel coroutines."""

from __future__ import annotations

import asyncio
import weakref
from concurrent.futures import CancelledError
from contextlib import suppress
from contextvars import copy_context
from os import getpid
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core.concurrency.forking import never_finalize, raise_fork_error

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["Portal"]

T = TypeVar("T")


class Portal:
    """Runs coroutines for blocking callers. Safe to use from any thread.

    The loop starts with the first call. After `stop` it cannot start again. A forked child starts its own loop. If the
    portal is garbage-collected without `stop`, its thread ends too.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stopped = False
        self._waiting: set[SimpleQueue[None]] = set()

    @property
    def is_running(self) -> bool:
        """Whether the loop has started and was not stopped."""
        return self._loop is not None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine on the loop, in the caller's context, and return its result. Blocks the thread.

        An exception that interrupts the caller cancels the coroutine.

        Args:
            make: Creates the coroutine; called on the loop.

        Raises:
            RuntimeError: The portal was stopped before or during the call, or the process was forked during it.
        """
        pid, ended = getpid(), SimpleQueue[None]()
        self._waiting.add(ended)
        future = None
        try:
            future = self._submit(make)
            future.add_done_callback(lambda _: ended.put(None))
            ended.get()
            if pid != getpid():
                raise_fork_error(pid)
            return future.result()
        except CancelledError:
            if self._stopped:
                raise _closed_error() from None
            raise
        except BaseException:
            if future is not None and pid == getpid():
                future.cancel()
            raise
        finally:
            self._waiting.discard(ended)

    def stop(self) -> None:
        """Stop the loop and its thread. Do not call this from the loop itself."""
        with self._lock:
            self._stopped = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            _stop_loop(loop, getpid())
            thread.join()

    def renew_after_fork(self) -> None:
        """Forget the parent's loop in a child, where its thread does not exist. The next call starts a new loop."""
        self._lock = Lock()
        loop, self._loop, self._thread = self._loop, None, None
        if loop is not None:
            never_finalize(loop)
        waiting, self._waiting = self._waiting, set()
        for ended in waiting:  # the thread that forked in a signal handler may be waiting for one of them
            ended.put(None)

    def _submit(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Submit a coroutine to the loop, under the lock, so that `stop` cannot come in between."""
        context = copy_context()
        with self._lock:
            loop = self._get_loop()

            async def inside() -> T:
                return await loop.create_task(make(), context=context)

            return asyncio.run_coroutine_threadsafe(inside(), loop)

    def _get_loop(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise _closed_error()
        if self._loop is None:
            # With a factory, the runner does not set its loop as the current one of the calling thread.
            runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            self._loop = loop = runner.get_loop()
            self._thread = Thread(target=_run_loop, args=(runner,), name="kickai-portal", daemon=True)
            self._thread.start()
            weakref.finalize(self, _stop_loop, loop, getpid()).atexit = False
        return self._loop


def _closed_error() -> RuntimeError:
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
