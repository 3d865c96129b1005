"""A budget of extra calls: a share of the requests of the last minute.

Retries help against a short failure and do harm in an outage, when each request is retried and the load doubles. A
budget that all requests share allows the former and prevents the latter. It follows Finagle's ``RetryBudget`` (20 % of
the requests in a sliding window, and a minimum for light traffic) and Envoy's ``retry_budget`` (the larger of the two).
"""

from __future__ import annotations

from threading import Lock

from attrs import evolve, frozen

from kickai_providers_core.values.base_value import Value

__all__ = ["DEFAULT_FLOOR", "DEFAULT_SHARE", "BudgetWindow", "RetryBudget"]

DEFAULT_SHARE = 0.2
"""Retries for each request of the last minute, unless ``policy.retry_share`` is set."""

DEFAULT_FLOOR = 10
"""Retries a minute that are allowed with any traffic, unless ``policy.retry_floor`` is set."""

WINDOW_S = 60.0
"""The length of the sliding window, in seconds."""

GRAIN_S = 1.0
"""Counts are kept once a second, so a window is at most this much longer than a minute."""


@frozen(eq=False, repr=False)
class Snapshot(Value):
    """The totals at one time.

    Attributes:
        at: The time.
        requests: The number of requests before it.
        withdrawn: The number of extra calls before it.
    """

    at: float
    requests: int
    withdrawn: int


@frozen(eq=False, repr=False)
class BudgetWindow:
    """The requests and the extra calls of the last minute, as a value.

    Attributes:
        share: Extra calls for each request of the last minute, from 0; 0.2 means 20 % extra load.
        floor: Extra calls a minute that are allowed with any traffic.
        requests: The number of requests so far.
        withdrawn: The number of extra calls so far.
        snapshots: The totals at most once a second, since the beginning of the window.
    """

    share: float
    floor: int
    requests: int = 0
    withdrawn: int = 0
    snapshots: tuple[Snapshot, ...] = ()

    def advance(self, requests: int, now: float, *, new: int = 1) -> BudgetWindow:
        """Return the window at a later time.

        Args:
            requests: The number of requests so far. A number lower than before is an old one and is ignored.
            now: The time.
            new: How many of these requests begin at this time.
        """
        snapshots = self.snapshots
        if not snapshots or now - snapshots[-1].at >= GRAIN_S:
            snapshots = (*snapshots, Snapshot(now, max(self.requests, requests - new), self.withdrawn))
        # What a snapshot counts happened within a second after it: it is dropped when that second has left the window.
        while len(snapshots) > 1 and snapshots[0].at <= now - WINDOW_S - GRAIN_S:
            snapshots = snapshots[1:]
        return evolve(self, requests=max(requests, self.requests), snapshots=snapshots)

    def can_withdraw(self) -> bool:
        """Return whether one more extra call is within the budget, at the time of the last `advance`."""
        start = self.snapshots[0] if self.snapshots else Snapshot(0.0, 0, 0)
        allowed = max(self.floor, self.share * (self.requests - start.requests))
        return self.withdrawn - start.withdrawn + 1 <= allowed

    def withdraw(self) -> BudgetWindow:
        """Return the window after one extra call."""
        return evolve(self, withdrawn=self.withdrawn + 1)

    def refund(self, withdrawn_at: float) -> BudgetWindow:
        """Return the window without one extra call that was withdrawn at that time and was not made."""
        snapshots = tuple(
            evolve(each, withdrawn=each.withdrawn - 1) if each.at > withdrawn_at else each for each in self.snapshots
        )
        return evolve(self, withdrawn=self.withdrawn - 1, snapshots=snapshots)


class RetryBudget:
    """The budget that all requests of a resolver share. Safe to use from any thread.

    Args:
        share: Extra calls for each request of the last minute, from 0.
        floor: Extra calls a minute that are allowed with any traffic.
    """

    __slots__ = ("_latest", "_lock", "_next_snapshot", "_window")

    def __init__(self, share: float, floor: int) -> None:
        self._window = BudgetWindow(share, floor)
        self._next_snapshot = float("-inf")
        self._latest = 0
        self._lock = Lock()

    def renew_after_fork(self) -> None:
        """Use a lock of this process, and keep the counts."""
        self._lock = Lock()

    def record_request(self, number: int, now: float) -> None:
        """Record that a request began.

        Args:
            number: The number of requests so far, this one included.
            now: The time.
        """
        self._latest = number  # read by a withdrawal, whose own request may have begun long before
        if now >= self._next_snapshot:
            with self._lock:
                self._window = self._window.advance(number, now)
                self._next_snapshot = now + GRAIN_S

    def try_withdraw(self, number: int, now: float) -> bool:
        """Withdraw one extra call for a request; return False when the budget is used up."""
        with self._lock:
            self._window = self._window.advance(max(number, self._latest), now, new=0)
            if not self._window.can_withdraw():
                return False
            self._window = self._window.withdraw()
            return True

    def refund(self, withdrawn_at: float) -> None:
        """Return one extra call that was withdrawn at that time and was not made."""
        with self._lock:
            self._window = self._window.refund(withdrawn_at)
