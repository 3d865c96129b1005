"""How much extra load there may be: for so many requests of the last minute, so many calls beyond the first.

Retries help against a glitch and harm in an outage, when every request is tried again and the load doubles just as
the service can bear it least. A budget for all requests together lets the former happen and stops the latter. After
the retry budgets of Finagle (``com.twitter.finagle.service.RetryBudget``: 20 % of the requests of a sliding window,
and a minimum for light traffic) and of Envoy (``retry_budget`` of its circuit breakers: the larger of the two).
"""

from __future__ import annotations

from threading import Lock

from attrs import evolve, frozen

__all__ = ["Budget", "Tally"]

WINDOW_S = 60.0
"""The sliding minute."""

GRAIN_S = 1.0
"""The tally is kept by the second, so that a window is at most this much longer than a minute."""


@frozen
class Mark:
    """How the totals stood at one time.

    Attributes:
        at: The time.
        requests: The number of requests that had come before.
        spent: The number of extra calls that had been made before.
    """

    at: float
    requests: int
    spent: int


@frozen(eq=False, repr=False)
class Tally:
    """The requests and the extra calls of the last minute, as a value.

    Attributes:
        share: Extra calls for each request of the last minute, from 0; 0.2 means 20 % extra load.
        floor: Extra calls in a minute that are allowed however little traffic there is.
        requests: The number of requests so far.
        spent: The number of extra calls so far.
        marks: How these totals stood at most once a second, from the beginning of the window on.
    """

    share: float
    floor: int
    requests: int = 0
    spent: int = 0
    marks: tuple[Mark, ...] = ()

    def seen(self, requests: int, now: float, *, coming: int = 1) -> Tally:
        """Return the tally at a time when so many requests have come, and so many of them just now.

        A smaller number than before is an old one.
        """
        marks = self.marks
        if not marks or now - marks[-1].at >= GRAIN_S:
            marks = (*marks, Mark(now, max(self.requests, requests - coming), self.spent))
        # What a mark counts happened within a second of it: it goes when that second has left the window.
        while len(marks) > 1 and marks[0].at <= now - WINDOW_S - GRAIN_S:
            marks = marks[1:]
        return evolve(self, requests=max(requests, self.requests), marks=marks)

    def affords(self) -> bool:
        """Return whether one more extra call is within the budget, at the time of the last look."""
        start = self.marks[0] if self.marks else Mark(0.0, 0, 0)
        allowed = max(self.floor, self.share * (self.requests - start.requests))
        return self.spent - start.spent + 1 <= allowed

    def spends(self) -> Tally:
        """Return the tally after one extra call."""
        return evolve(self, spent=self.spent + 1)

    def refunds(self, since: float) -> Tally:
        """Return the tally without one extra call that was counted at that time and not made after all."""
        marks = tuple(evolve(mark, spent=mark.spent - 1) if mark.at > since else mark for mark in self.marks)
        return evolve(self, spent=self.spent - 1, marks=marks)


class Budget:
    """The budget that all requests of a resolver share.

    Safe to use from any thread. A request that needs nothing extra costs one comparison, and a lock once a second.

    Attributes:
        due: The time from which the next request must be counted with `count`.
        latest: The number of the latest request: one that spends may have come long before.
    """

    __slots__ = ("_lock", "_tally", "due", "latest")

    def __init__(self, share: float, floor: int) -> None:
        self.due = float("-inf")
        self.latest = 0
        self._tally = Tally(share, floor)
        self._lock = Lock()

    def renew_after_fork(self) -> None:
        """Take a lock of this process; what the parent counted stays."""
        self._lock = Lock()

    def came(self, number: int, now: float) -> None:
        """Take it that a request came, the latest so far."""
        self.latest = number
        if now >= self.due:
            self.count(number, now)

    def count(self, requests: int, now: float) -> None:
        """Take it that so many requests have come so far, the one that asks included."""
        with self._lock:
            self._tally = self._tally.seen(requests, now)
            self.due = now + GRAIN_S

    def spend(self, requests: int, now: float) -> bool:
        """Take one extra call from the budget; return False when nothing is left."""
        with self._lock:
            self._tally = self._tally.seen(max(requests, self.latest), now, coming=0)
            if not self._tally.affords():
                return False
            self._tally = self._tally.spends()
            return True

    def refund(self, since: float) -> None:
        """Put one extra call back that was taken at that time, since it was not made."""
        with self._lock:
            self._tally = self._tally.refunds(since)
