"""How many calls of one plugin were left by their callers and are still running."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AbandonedCalls", "TrackedCall"]

T = TypeVar("T")


class AbandonedCalls:
    """The calls of one plugin that were left and have not come back. Safe to use from any thread.

    Attributes:
        limit: With this many, the plugin is not called.
        count: How many there are.
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
        """Start from none: the parent's calls do not run here."""
        self._lock = Lock()
        self.count = 0

    def track(self) -> TrackedCall:
        """Return the record of one call that begins now."""
        return TrackedCall(self)

    def change(self, by: int) -> None:
        """Count calls that were left, or with a negative number those that came back."""
        with self._lock:
            self.count += by


class TrackedCall:
    """One call: it counts as abandoned from the moment it is left until it comes back."""

    __slots__ = ("_abandoned", "_has_returned", "_lock", "_was_left")

    def __init__(self, abandoned: AbandonedCalls) -> None:
        self._abandoned = abandoned
        self._lock = Lock()
        self._was_left = self._has_returned = False

    def wrap(self, function: Callable[[], T]) -> Callable[[], T]:
        """Return the function as one that records when it comes back."""

        def wrapped() -> T:
            try:
                return function()
            finally:
                self.record_return()

        return wrapped

    def abandon(self) -> None:
        """Record that its caller has left; nothing when the call has come back before."""
        with self._lock:
            if not self._was_left and not self._has_returned:
                self._abandoned.change(1)
            self._was_left = True

    def record_return(self) -> None:
        """Record that it has come back."""
        with self._lock:
            if self._was_left and not self._has_returned:
                self._abandoned.change(-1)
            self._has_returned = True
