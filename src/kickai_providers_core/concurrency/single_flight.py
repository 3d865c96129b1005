"""Makes a blocking call once for all callers that need its result. Each caller has its own timeout."""

from __future__ import annotations

import asyncio
import copy
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Generic, TypeVar

from kickai_providers_core.concurrency.threads import LONGEST_WAIT_S, post, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SingleFlight"]

T = TypeVar("T")

LOCK_WAIT_S = 0.05
"""Seconds to wait for a lock that is only held for microseconds."""


class SingleFlight(Generic[T]):
    """Makes a blocking call in a thread, once for all callers that need its result.

    The result is kept for later callers, even if no caller waits when it arrives. After a failure, the next caller
    starts a new call. Safe to use from any thread and any event loop.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = Lock()
        self._future: Future[T] | None = None
        self._thread = 0

    @property
    def is_running(self) -> bool:
        """Whether a call is running."""
        future = self._future
        return future is not None and not future.done()

    @property
    def is_done(self) -> bool:
        """Whether a call has ended, with a result or an error."""
        future = self._future
        return future is not None and future.done()

    def begin(self) -> Future[T]:
        """Return the future of the running or successful call; start a call if there is none."""
        with self._lock:
            future = self._future
            if future is None or (future.done() and future.exception() is not None):
                self._future = future = Future()
                future.set_running_or_notify_cancel()  # a caller that leaves cannot cancel it for the others
                start(lambda: self._run(future))
            return future

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` seconds until no call is running, unless this thread makes the call."""
        future = self._future
        if future is not None and self._thread != get_ident():
            wait_for((future,), timeout=timeout_s)

    def block_new_calls(self) -> bool:
        """Prevent new calls until `allow_new_calls`; return False if another thread is just starting one."""
        return self._lock.acquire(timeout=LOCK_WAIT_S)

    def allow_new_calls(self) -> None:
        """Allow new calls again."""
        self._lock.release()

    def _run(self, future: Future[T]) -> None:
        self._thread = get_ident()
        try:
            result = self._function()
        except BaseException as exc:  # noqa: BLE001  the callers raise it
            future.set_exception(exc)
        else:
            future.set_result(result)

    def wait(self, timeout_s: float) -> T:
        """Return the result, blocking the thread.

        Raises:
            TimeoutError: There is no result after ``timeout_s`` seconds. The call continues.
        """
        future = self.begin()
        wait_for((future,), timeout=min(timeout_s, LONGEST_WAIT_S))
        return _unwrap(future)

    async def await_(self, timeout_s: float) -> T:
        """Return the result without blocking the event loop; otherwise as `wait`."""
        future = self.begin()
        if not future.done():
            loop = asyncio.get_running_loop()
            woken: asyncio.Future[None] = loop.create_future()
            future.add_done_callback(lambda _: post(loop, _settle, woken))
            await asyncio.wait((woken,), timeout=min(timeout_s, LONGEST_WAIT_S))
        return _unwrap(future)


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _unwrap(future: Future[T]) -> T:
    if not future.done():
        raise TimeoutError
    error = future.exception()
    if error is None:
        return future.result()
    # Each caller gets its own copy of the exception, since each request adds its attempts to it.
    try:
        own = copy.copy(error)
    except Exception:  # noqa: BLE001  copying may fail for a plugin's own exception class
        own = error
    own.__cause__ = error.__cause__
    raise own
