"""How often the jobs of the store's thread run, and when each is due. Time is an argument."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from attrs import define

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["COMPACT_AFTER_S", "COMPACT_EVERY_S", "POLL_EVERY_S", "URGENT_GAP_S", "WRITE_EVERY_S", "Schedule"]

WRITE_EVERY_S = 1.0
"""Seconds between two batches of metrics."""

POLL_EVERY_S = 0.25
"""Seconds between two looks at what other processes have changed: it reaches every process within a second."""

COMPACT_EVERY_S = 3600.0
"""Seconds between two compactions of old metrics."""

COMPACT_AFTER_S = 60.0
"""Seconds before the first compaction: a command that ends sooner leaves it to others."""

URGENT_GAP_S = 0.2
"""The shortest time in seconds between two runs of a job that is hastened: five runs a second."""

FAILED_GAP_S = 1.0
"""The shortest time in seconds from the failure of a job to its next run."""


@define
class _Plan:
    """When one job is due."""

    period_s: float
    due_at: float
    earliest_at: float = -inf


class Schedule:
    """The times of periodic jobs, by number. Not thread-safe."""

    def __init__(self) -> None:
        self._plans: list[_Plan] = []

    def add(self, period_s: float, first_at: float) -> int:
        """Add a job, and return its number.

        Args:
            period_s: Seconds from the end of one run to the next.
            first_at: The time of its first run.
        """
        self._plans.append(_Plan(period_s, first_at))
        return len(self._plans) - 1

    def find_due(self, now: float) -> Iterator[int]:
        """Yield the jobs that are due, in the order in which they were added."""
        for number, plan in enumerate(self._plans):
            if plan.due_at <= now:
                yield number

    def find_wait_s(self, now: float) -> float:
        """Return the seconds until a job is due; infinity when there is no job."""
        return max(0.0, min((plan.due_at for plan in self._plans), default=inf) - now)

    def hasten(self, number: int, now: float) -> None:
        """Make a job due at once, or as soon as its last run and its last failure allow."""
        plan = self._plans[number]
        plan.due_at = min(plan.due_at, max(now, plan.earliest_at))

    def record_run(self, number: int, now: float, *, failed: bool) -> None:
        """Plan the next run of a job that has just run."""
        plan = self._plans[number]
        plan.due_at = now + (max(plan.period_s, FAILED_GAP_S) if failed else plan.period_s)
        plan.earliest_at = now + (FAILED_GAP_S if failed else URGENT_GAP_S)
