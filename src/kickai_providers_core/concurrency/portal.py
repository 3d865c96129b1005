"""An event loop in a thread of its own, for blocking callers who need to cancel what they started."""

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
    """A loop that begins with the first call, and ends for good when it is stopped. Safe to use from any thread.

    A forked child starts a loop of its own. The thread ends when the object is collected without having been stopped.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stopped = False
        self._waiting: set[SimpleQueue[None]] = set()

    @property
    def is_running(self) -> bool:
        """Whether there is a loop."""
        return self._loop is not None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what a coroutine returns that runs on the loop, in the caller's context; block until then.

        Whatever interrupts the caller cancels the coroutine.

        Raises:
            RuntimeError: The loop was stopped, before or meanwhile; or this is a child that was forked meanwhile.
        """
        pid, ended = getpid(), SimpleQueue[None]()
        self._waiting.add(ended)
        future = None
        try:
            future = self._begun(make)
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
        """End the loop and its thread, if there are any; not to be called from the loop itself."""
        with self._lock:
            self._stopped = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            _stop_loop(loop, getpid())
            thread.join()

    def renew_after_fork(self) -> None:
        """Admission the parent's loop alone: its thread does not exist here. The next call starts another."""
        self._lock = Lock()
        loop, self._loop, self._thread = self._loop, None, None
        if loop is not None:
            never_finalize(loop)
        waiting, self._waiting = self._waiting, set()
        for ended in waiting:  # one of them may be waited for by the thread that forked, in a signal handler
            ended.put(None)

    def _begun(self, make: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Hand a coroutine to the loop, which must not be stopped meanwhile: nobody would ever hear of it again."""
        context = copy_context()
        with self._lock:
            loop = self._started()

            async def inside() -> T:
                return await loop.create_task(make(), context=context)

            return asyncio.run_coroutine_threadsafe(inside(), loop)

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._stopped:
            raise _closed_error()
        if self._loop is None:
            # With a factory, the runner does not make its loop that of the thread that is calling.
            runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            self._loop = loop = runner.get_loop()
            self._thread = Thread(target=_run_loop, args=(runner,), name="kickai-portal", daemon=True)
            self._thread.start()
            weakref.finalize(self, _stop_loop, loop, getpid()).atexit = False
        return self._loop


def _closed_error() -> RuntimeError:
    return RuntimeError("the resolver is closed, and with it the loop in its background")


def _stop_loop(loop: asyncio.AbstractEventLoop, started_in: int) -> None:
    """Stop a loop that this process started, if it still runs."""
    if started_in == getpid():
        with suppress(RuntimeError):  # it is closed already
            loop.call_soon_threadsafe(loop.stop)


def _run_loop(runner: asyncio.Runner) -> None:
    """Let a loop turn until it is stopped; leaving the runner cancels what is left on it, and closes it."""
    with runner:
        runner.get_loop().run_forever()
