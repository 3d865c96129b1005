"""Counts the calls of one plugin that were abandoned by their callers and are still running."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AbandonedCalls", "TrackedCall"]

T = TypeVar("T")


class AbandonedCalls:
    """Counts the abandoned calls of one plugin. Safe to use from any thread.

    Attributes:
        limit: The number of abandoned calls at which the plugin is no longer called.
        count: The number of abandoned calls that are still running.
    """

    def __init__(self, limit: int = 8) -> None:
        self.limit = limit
        self.count = 0
        self._lock = Lock()

    @property
    def is_full(self) -> bool:
        """Whether the limit is reached."""
        return self.count >= self.limit

    def renew_after_fork(self) -> None:
        """Reset the count in a child: the parent's calls do not run there."""
        self._lock = Lock()
        self.count = 0

    def track(self) -> TrackedCall:
        """Return a new call to track."""
        return TrackedCall(self)

    def add(self, number: int) -> None:
        """Change the count by a number, which may be negative."""
        with self._lock:
            self.count += number


class TrackedCall:
    """One call. It counts as abandoned from the time its caller abandons it until it returns."""

    __slots__ = ("_counter", "_has_returned", "_lock", "_was_abandoned")

    def __init__(self, counter: AbandonedCalls) -> None:
        self._counter = counter
        self._lock = Lock()
        self._was_abandoned = self._has_returned = False

    def wrap(self, function: Callable[[], T]) -> Callable[[], T]:
        """Return the function, extended so that it records its return."""

        def run() -> T:
            try:
                return function()
            finally:
                self.record_return()

        return run

    def abandon(self) -> None:
        """Record that the caller no longer waits; this has no effect after the call has returned."""
        with self._lock:
            if not self._was_abandoned and not self._has_returned:
                self._counter.add(1)
            self._was_abandoned = True

    def record_return(self) -> None:
        """Record that the call has returned."""
        with self._lock:
            if self._was_abandoned and not self._has_returned:
                self._counter.add(-1)
            self._has_returned = True
