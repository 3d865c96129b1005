"""The timeline of a report: figures for each period, which the charts show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kickai_providers_core.operations.figures import round_s
from kickai_providers_core.operations.number_formats import format_time
from kickai_providers_core.stores.retention import DAY_S, HOUR_S, HOURS_KEPT_S, MINUTE_S, MINUTES_KEPT_S
from kickai_providers_core.values.histogram import find_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.operations.costs import Cost
    from kickai_providers_core.values.histogram import Histogram

__all__ = ["Point", "choose_span"]


def choose_span(since_s: int, until_s: int, now_s: float) -> int:
    """Return the length of a period in seconds: a minute, an hour or a day.

    It is never shorter than the cells of a store at the beginning of the report, and there are at most 400 of them.
    """
    age_s, length_s = now_s - since_s, until_s - since_s
    if age_s > HOURS_KEPT_S or length_s > 8 * DAY_S:
        return DAY_S
    return HOUR_S if age_s > MINUTES_KEPT_S or length_s > 6 * HOUR_S else MINUTE_S


@frozen(kw_only=True)
class Point:
    """The figures of one period.

    Attributes:
        start_s: Its beginning, in seconds since 1970.
        succeeded: Requests that were answered.
        failed: Requests that ended with an error.
        served: Answered requests by instance.
        p50_s: The median duration of whole answers; None without any.
        p95_s: Its 95th percentile.
        cost: The cost of the attempts.
    """

    start_s: int
    succeeded: int
    failed: int
    served: Mapping[str, int]
    p50_s: float | None
    p95_s: float | None
    cost: Cost

    @classmethod
    def from_histogram(
        cls, start_s: int, served: Mapping[str, int], failed: int, latency: Histogram, cost: Cost
    ) -> Point:
        """Return the point of a period: its answered requests by instance, failed ones, durations and cost."""
        return cls(
            start_s=start_s,
            succeeded=sum(served.values()),
            failed=failed,
            served=served,
            p50_s=find_quantile(latency, 0.5),
            p95_s=find_quantile(latency, 0.95),
            cost=cost,
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the point as JSON."""
        return {
            "start": format_time(self.start_s),
            "success": self.succeeded,
            "error": self.failed,
            "served": dict(self.served),
            "p50_s": round_s(self.p50_s),
            "p95_s": round_s(self.p95_s),
            "cost_nano_usd": self.cost.nano_usd,
        }
