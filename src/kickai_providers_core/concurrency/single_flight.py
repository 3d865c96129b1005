"""Makes a blocking call once for all callers that need its result. Each caller has its own timeout."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from contextlib import suppress
from functools import partial
from threading import Lock, get_ident
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S, Flag
from kickai_providers_core.concurrency.threads import post, start

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SingleFlight"]

T = TypeVar("T")

LOCK_WAIT_S = 0.05
"""Seconds to wait for a lock that is only held for microseconds."""


class _Flight(Generic[T]):
    """One call. Unlike a `concurrent.futures.Future`, it has no lock that an interrupted wait could leave locked.

    Attributes:
        thread: The thread that makes it; 0 before it begins.
        ended: Set when it has ended.
        error: What it raised; None for nothing, and before its end.
    """

    def __init__(self) -> None:
        self.thread = 0
        self.ended = Flag()
        self.error: BaseException | None = None
        self._result: T | None = None
        self._callbacks: deque[Callable[[], None]] = deque()

    def run(self, function: Callable[[], T]) -> None:
        """Make the call."""
        self.thread = get_ident()
        try:
            self._result = function()
        except BaseException as exc:  # noqa: BLE001  the callers raise it
            self.error = exc
        self.ended.set()
        self._call_back()

    def on_end(self, callback: Callable[[], None]) -> None:
        """Call a function once when the call has ended, in any thread; now, if it already has."""
        self._callbacks.append(callback)
        if self.ended.is_set():
            self._call_back()

    def unwrap(self) -> T:
        """Return the result.

        Raises:
            TimeoutError: The call has not ended.
        """
        if not self.ended.is_set():
            raise TimeoutError
        error = self.error
        if error is None:
            return cast("T", self._result)
        # Each caller gets its own copy of the exception, since each request adds its attempts to it.
        try:
            own = copy.copy(error)
        except Exception:  # noqa: BLE001  copying may fail for a plugin's own exception class
            own = error
        own.__cause__ = error.__cause__
        raise own

    def _call_back(self) -> None:
        with suppress(IndexError):
            while True:
                self._callbacks.popleft()()


class SingleFlight(Generic[T]):
    """Makes a blocking call in a thread, once for all callers that need its result.

    The result is kept for later callers, even if no caller waits when it arrives. After a failure, the next caller
    starts a new call. Safe to use from any thread and any event loop.
    """

    def __init__(self, function: Callable[[], T]) -> None:
        self._function = function
        self._lock = Lock()
        self._flight: _Flight[T] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a call is running."""
        flight = self._flight
        return flight is not None and not flight.ended.is_set()

    @property
    def is_done(self) -> bool:
        """Whether a call has ended, with a result or an error."""
        flight = self._flight
        return flight is not None and flight.ended.is_set()

    def begin(self) -> None:
        """Start a call if there is none, or the latest one has failed."""
        self._get_flight()

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait at most ``timeout_s`` seconds until no call is running, unless this thread makes the call."""
        flight = self._flight
        if flight is not None and flight.thread != get_ident():
            flight.ended.wait(timeout_s)

    def block_new_calls(self) -> bool:
        """Prevent new calls until `allow_new_calls`; return False if another thread is just starting one."""
        return self._lock.acquire(timeout=LOCK_WAIT_S)

    def allow_new_calls(self) -> None:
        """Allow new calls again."""
        self._lock.release()

    def wait(self, timeout_s: float) -> T:
        """Return the result, blocking the thread.

        Raises:
            TimeoutError: There is no result after ``timeout_s`` seconds. The call continues.
        """
        flight = self._get_flight()
        flight.ended.wait(timeout_s)
        return flight.unwrap()

    async def await_(self, timeout_s: float) -> T:
        """Return the result without blocking the event loop; otherwise as `wait`."""
        flight = self._get_flight()
        if not flight.ended.is_set():
            loop = asyncio.get_running_loop()
            woken: asyncio.Future[None] = loop.create_future()
            flight.on_end(lambda: post(loop, _settle, woken))
            await asyncio.wait((woken,), timeout=min(timeout_s, LONGEST_WAIT_S))
        return flight.unwrap()

    def _get_flight(self) -> _Flight[T]:
        with self._lock:
            flight = self._flight
            if flight is None or flight.error is not None:
                self._flight = flight = _Flight()
                try:
                    start(partial(flight.run, self._function))
                except RuntimeError:  # there are too many threads; the next caller tries again
                    self._flight = None
                    raise
            return flight


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)
