"""When a request that takes long is sent to a second target too: the settings, and what they need to know.

After Jeffrey Dean and Luiz André Barroso, "The Tail at Scale", Communications of the ACM 56(2), 2013: a second request
after the 95th percentile of the usual latency cuts the tail for about 5 % more load.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from attrs import field, frozen
from attrs.validators import ge, gt, matches_re, optional

from kickai_providers_core.resilience.retry_budget import Budget

if TYPE_CHECKING:
    from kickai_providers_core.resilience.candidates import Link

__all__ = ["Hedges", "Hedging"]

RECENT = 100
"""How many latencies of a target are kept."""

ENOUGH = 20
"""With fewer latencies than this, the 95th percentile would be the largest or nearly so."""


@frozen(kw_only=True)
class Hedging:
    """The table ``[hedging]``. Without ``after_s`` and ``after`` nothing is hedged.

    Attributes:
        after_s: How long a target may take before the next is asked too, above 0.
        after: The same as a percentile of that target's own recent answers, ``p50`` to ``p99``. While there are too
            few of them, ``after_s`` counts.
        budget: Extra calls for each request of the last minute, from 0: 0.05 means 5 % extra load at most.
        floor: Extra calls in a minute that are allowed however little traffic there is, from 0.
    """

    after_s: float | None = field(default=None, validator=optional(gt(0)))
    after: str | None = field(default=None, validator=optional(matches_re(r"p[5-9][0-9]")))
    budget: float = field(default=0.05, validator=ge(0))
    floor: int = field(default=1, validator=ge(0))

    @property
    def on(self) -> bool:
        """Whether anything is hedged at all."""
        return self.after_s is not None or self.after is not None


class Hedges:
    """What all requests of a resolver know of hedging. Safe to use from any thread.

    Attributes:
        budget: How many extra calls they may make.
    """

    def __init__(self, settings: Hedging) -> None:
        self.budget = Budget(settings.budget, settings.floor)
        self._settings = settings
        self._percentile = int(settings.after[1:]) if settings.after is not None else None
        self._latencies: dict[str, deque[float]] = {}

    def renew_after_fork(self) -> None:
        """Take a lock of this process; what the parent learned stays."""
        self.budget.renew_after_fork()

    def answered(self, link: Link, latency_s: float) -> None:
        """Take it that a target answered after so long."""
        if self._percentile is not None:
            # dict.setdefault and deque.append are atomic.
            self._latencies.setdefault(_key(link), deque(maxlen=RECENT)).append(latency_s)

    def after_s(self, link: Link) -> float | None:
        """Return how long a target may take before the next is asked too; None while that is not known."""
        if self._percentile is not None:
            recent = sorted(self._latencies.get(_key(link), ()))
            if len(recent) >= ENOUGH:
                return recent[len(recent) * self._percentile // 100]
        return self._settings.after_s


def _key(link: Link) -> str:
    return f"{link.provider}:{link.model}"
