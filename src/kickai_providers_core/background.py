"""An event loop of one's own, in a thread of its own, for blocking callers who need to cancel what they started."""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from contextvars import copy_context
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Future

__all__ = ["Background"]

T = TypeVar("T")


class Background:
    """A loop that begins with the first call, and ends for good when it is stopped. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether there is a loop."""
        return self._loop is not None

    def run(self, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what a coroutine returns that runs on the loop, in the caller's context; block until then.

        Whatever interrupts the caller cancels the coroutine.

        Raises:
            RuntimeError: The loop was stopped, before or meanwhile.
        """
        future = self._begun(make)
        try:
            return future.result()
        except CancelledError:
            if self._stopped:
                raise _over() from None
            raise
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop and its thread, if there are any; not to be called from the loop itself."""
        with self._lock:
            self._stopped = True
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()

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
            raise _over()
        if self._loop is None:
            # With a factory, the runner does not make its loop that of the thread that is calling.
            runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
            self._loop = runner.get_loop()
            self._thread = Thread(target=_turn, args=(runner,), name="kickai-background", daemon=True)
            self._thread.start()
        return self._loop


def _over() -> RuntimeError:
    return RuntimeError("the resolver is closed, and with it the loop in its background")


def _turn(runner: asyncio.Runner) -> None:
    """Let a loop turn until it is stopped; leaving the runner cancels what is left on it, and closes it."""
    with runner:
        runner.get_loop().run_forever()
