"""The report: what requests did in a time, from the cells of a store.

`build_report` is a pure function: the same cells, settings, prices and times give the same report, and its sums are
those of the cells, exactly.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import Factory, field, frozen

from kickai_providers_core.operations.acceptance_criteria import MeasureStatus
from kickai_providers_core.operations.figures import Figures, describe_cost
from kickai_providers_core.operations.number_formats import format_time
from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.operations.acceptance_criteria import Measure
    from kickai_providers_core.operations.fallbacks import Fallback
    from kickai_providers_core.operations.savings import Savings
    from kickai_providers_core.operations.timeline import Point

__all__ = ["VERSION", "Report"]

VERSION = 1
"""The version of the report's JSON. It increases when a name is removed or changes its meaning."""

NOT_NEGATIVE = Number(minimum=0)


@frozen(kw_only=True)
class Report:
    """What requests did in a time.

    Attributes:
        since_s: The beginning of the report, in seconds since 1970.
        until_s: Its end.
        observed_s: The time in it that the store has data for, in seconds: from the first cell to the end.
        role: The only role in the report; None for all.
        total: The figures of all requests.
        by_provider: The figures by instance; those of requests that nobody answered have an empty name.
        by_model: The figures by instance and model.
        by_role: The figures by role; requests without a role have an empty name.
        by_arm: The figures by arm of the rollout: candidate, control and shadow; empty without a rollout.
        measures: The five measures.
        savings: The cost against that of Gemini alone.
        fallbacks: Why other targets than the first one answered, the most frequent first.
        skips: Skipped targets by instance and reason.
        counts: Further counts: opened breakers, withheld retries, queued requests.
        feedback: The application's feedback by name and by ok or bad.
        timeline: The figures of each period.
        span_s: The length of these periods, in seconds.
        price_list: The name of the price list; empty without one.
        warnings: What an operator should know, for a reader.
    """

    since_s: int = field(validator=NOT_NEGATIVE)
    until_s: int = field(validator=NOT_NEGATIVE)
    observed_s: float = field(validator=NOT_NEGATIVE)
    role: str | None = None
    total: Figures
    by_provider: Mapping[str, Figures] = Factory(dict)
    by_model: Mapping[tuple[str, str], Figures] = Factory(dict)
    by_role: Mapping[str, Figures] = Factory(dict)
    by_arm: Mapping[str, Figures] = Factory(dict)
    measures: tuple[Measure, ...] = ()
    savings: Savings
    fallbacks: tuple[Fallback, ...] = ()
    skips: Mapping[str, Mapping[str, int]] = Factory(dict)
    counts: Mapping[str, int] = Factory(dict)
    feedback: Mapping[str, Mapping[str, int]] = Factory(dict)
    timeline: tuple[Point, ...] = ()
    span_s: int = 60
    price_list: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not self.total.requests and not self.total.calls

    @property
    def shares(self) -> dict[str, float]:
        """The share of completed requests that each instance answered; the rest failed."""
        completed = self.total.completed
        served = {name: figures.succeeded for name, figures in self.by_provider.items() if name}
        return {name: count / completed for name, count in served.items() if completed and count}

    @property
    def failed_measures(self) -> tuple[Measure, ...]:
        """The measures that fail for all requests together, or for a role."""
        return tuple(
            measure
            for measure in self.measures
            if MeasureStatus.FAIL in {measure.status, *(each.status for each in measure.roles.values())}
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON, in the form that docs/report.md describes."""
        models = [
            {"provider": provider, "model": model, **figures.as_dict()}
            for (provider, model), figures in self.by_model.items()
        ]
        return {
            "version": VERSION,
            "since": format_time(self.since_s),
            "until": format_time(self.until_s),
            "observed_s": self.observed_s,
            "role": self.role,
            **self.total.as_dict(),
            "cost": describe_cost(self.total.cost) | self.savings.as_dict(),
            "shares": self.shares,
            "measures": {measure.name: measure.as_dict() for measure in self.measures},
            "by_provider": {name: figures.as_dict() for name, figures in self.by_provider.items()},
            "by_model": models,
            "by_role": {name: figures.as_dict() for name, figures in self.by_role.items()},
            "arms": {name: figures.as_dict() for name, figures in self.by_arm.items()},
            "fallbacks": [each.as_dict() for each in self.fallbacks],
            "skips": {name: dict(reasons) for name, reasons in self.skips.items()},
            "counts": dict(self.counts),
            "feedback": {name: dict(counts) for name, counts in self.feedback.items()},
            "timeline": {"span_s": self.span_s, "points": [point.as_dict() for point in self.timeline]},
            "price_list": self.price_list or None,
            "warnings": list(self.warnings),
        }
