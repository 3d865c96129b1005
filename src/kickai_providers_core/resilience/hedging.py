"""Hedging: when a slow request is sent to a second target too.

It follows Jeffrey Dean and Luiz André Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013: a second
request after the 95th percentile of the usual latency shortens the tail for about 5 % more load.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge, gt, matches_re, optional

from kickai_providers_core.resilience.retry_budget import RetryBudget
from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from kickai_providers_core.resilience.candidates import Candidate

__all__ = ["HedgeTimer", "Hedging"]

KEPT_LATENCIES = 100
"""The number of latencies that are kept for each target."""

MIN_LATENCIES = 20
"""With fewer latencies than this, a high percentile would be the maximum or nearly so."""

KEPT_TARGETS = 1_000
"""The number of targets whose latencies are kept: a request may name any model."""


@frozen(kw_only=True, eq=False, repr=False)
class Hedging(Value):
    """The table ``[hedging]``. Without ``after_s`` and ``after`` nothing is hedged.

    Attributes:
        after_s: Seconds after which the next target is called too, above 0.
        after: The same as a percentile of the target's own recent answers, ``p50`` to ``p99``. While there are too few
            of them, ``after_s`` applies.
        budget: Extra calls for each request of the last minute, from 0; 0.05 means at most 5 % extra load.
        floor: Extra calls a minute that are allowed with any traffic, from 0.
    """

    after_s: float | None = field(default=None, validator=optional(gt(0)))
    after: str | None = field(default=None, validator=optional(matches_re(r"p[5-9][0-9]")))
    budget: float = field(default=0.05, validator=ge(0))
    floor: int = field(default=1, validator=ge(0))

    @property
    def on(self) -> bool:
        """Whether anything is hedged."""
        return self.after_s is not None or self.after is not None


class HedgeTimer:
    """Decides when a second target is called, for all requests of a resolver. Safe to use from any thread.

    Attributes:
        budget: Limits the extra calls.
    """

    def __init__(self, settings: Hedging) -> None:
        self.budget = RetryBudget(settings.budget, settings.floor)
        self._settings = settings
        self._percentile = int(settings.after[1:]) if settings.after is not None else None
        self._lock = Lock()
        self._latencies: dict[str, deque[float]] = {}  # the most recently used target is last

    def renew_after_fork(self) -> None:
        """Use locks of this process, and keep the latencies."""
        self._lock = Lock()
        self.budget.renew_after_fork()

    def record_latency(self, candidate: Candidate, latency_s: float) -> None:
        """Record how long a target took to answer, in seconds."""
        if self._percentile is None:
            return
        with self._lock:
            key = _build_key(candidate)
            latencies = self._latencies.pop(key, None) or deque(maxlen=KEPT_LATENCIES)
            latencies.append(latency_s)
            self._latencies[key] = latencies
            if len(self._latencies) > KEPT_TARGETS:
                del self._latencies[next(iter(self._latencies))]

    def find_delay_s(self, candidate: Candidate) -> float | None:
        """Return the seconds after which the next target is called too; None while that is unknown."""
        if self._percentile is not None:
            with self._lock:
                latencies = sorted(self._latencies.get(_build_key(candidate), ()))
            if len(latencies) >= MIN_LATENCIES:
                return latencies[len(latencies) * self._percentile // 100]
        return self._settings.after_s


def _build_key(candidate: Candidate) -> str:
    return f"{candidate.provider}:{candidate.model}"
