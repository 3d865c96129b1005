"""The five measures that decide whether the move from Gemini to Hugging Face goes well."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import Factory, evolve, frozen

from kickai_providers_core.operations.fallbacks import REQUEST_CAUSED
from kickai_providers_core.operations.intervals import CONFIDENCE, find_mean_interval, find_share_interval
from kickai_providers_core.operations.number_formats import format_percentage
from kickai_providers_core.operations.services import FALLBACK_KIND, FREE_KIND

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from kickai_providers_core.operations.cell_sums import Sums
    from kickai_providers_core.operations.fallbacks import Fallback
    from kickai_providers_core.operations.savings import Savings

__all__ = ["MEASURES", "Measure", "MeasureData", "MeasureStatus", "evaluate_measures"]

FREE_SHARE_MIN = 0.8
MEAN_RESPONSE_MAX_S = 2.0
SUCCESS_MIN = 0.95
FALLBACK_MAX = 0.05


class MeasureStatus(StrEnum):
    """Whether a measure is met."""

    PASS = "pass"  # noqa: S105  not a password
    FAIL = "fail"
    NOT_APPLICABLE = "not yet applicable"


@frozen(kw_only=True)
class Measure:
    """One measure, for one role or for all.

    Attributes:
        name: Its name in JSON.
        title: What it measures, for a reader.
        target: What it has to be, for a reader.
        unit: ``share``, ``s`` or ``usd``.
        status: Whether it is met.
        value: What was measured, in the unit; None without data.
        requests: The number of requests that it is based on.
        interval: The 95 % confidence interval of the value, or, for a cost, the least and the most that it can be with
            unknown prices; None when there is none.
        reason: Why it is not applicable, or which roles fail; empty otherwise.
        roles: The same measure for each role; empty for a role's own.
    """

    name: str
    title: str
    target: str
    unit: str
    status: MeasureStatus = MeasureStatus.NOT_APPLICABLE
    value: float | None = None
    requests: int = 0
    interval: tuple[float, float] | None = None
    reason: str = ""
    roles: Mapping[str, Measure] = Factory(dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the measure as JSON."""
        own = {
            "title": self.title,
            "target": self.target,
            "unit": self.unit,
            "status": self.status.value,
            "value": self.value,
            "requests": self.requests,
            "interval": None if self.interval is None else [round(bound, 9) for bound in self.interval],
            "confidence": None if self.unit == "usd" else CONFIDENCE,
            "reason": self.reason,
        }
        return own | ({"roles": {role: each.as_dict() for role, each in self.roles.items()}} if self.roles else {})


@frozen(kw_only=True)
class MeasureData:
    """What the measures of one role, or of all, are based on.

    Attributes:
        sums: The sums of all requests of callers.
        served: Answered requests by the service of the instance that answered.
        fallbacks: The fallbacks.
        kind_of: Returns the service of an instance.
        savings: What was saved against Gemini alone.
        share: The share of the rollout's target, from 0 to 1; None without a rollout.
    """

    sums: Sums
    served: Mapping[str, int]
    fallbacks: Iterable[Fallback]
    kind_of: Callable[[str], str]
    savings: Savings
    share: float | None = None

    @property
    def completed(self) -> int:
        """The requests that were answered or failed."""
        return self.sums.get("requests.success") + self.sums.get("requests.error")


def measure_free_share(data: MeasureData) -> Measure:
    """Measure the share of completed requests that Hugging Face answered."""
    free, total = data.served.get(FREE_KIND, 0), data.completed
    measure = Measure(
        name="free_tier_share",
        title="Served by the free tier (Hugging Face)",
        target="at least 80 % of requests",
        unit="share",
        value=free / total if total else None,
        requests=total,
        interval=find_share_interval(free, total),
    )
    if data.share is not None and data.share < FREE_SHARE_MIN:
        return evolve(measure, reason=f"the rollout's share is {format_percentage(data.share)}")
    return _judge(measure, is_met=bool(total) and free >= FREE_SHARE_MIN * total)


def measure_response(data: MeasureData) -> Measure:
    """Measure the mean duration of successful whole answers."""
    total = sum(data.sums.latency.values())
    mean = data.sums.get("requests.latency_us") / 1e6 / total if total else None
    measure = Measure(
        name="mean_response",
        title="Mean response time",
        target="below 2 s",
        unit="s",
        value=mean,
        requests=total,
        interval=None if mean is None else find_mean_interval(mean, data.sums.latency),
    )
    return _judge(measure, is_met=mean is not None and mean < MEAN_RESPONSE_MAX_S, what="whole answers")


def measure_success(data: MeasureData) -> Measure:
    """Measure the share of completed requests that were answered."""
    succeeded, total = data.sums.get("requests.success"), data.completed
    measure = Measure(
        name="success_rate",
        title="Success rate",
        target="above 95 %, for every role",
        unit="share",
        value=succeeded / total if total else None,
        requests=total,
        interval=find_share_interval(succeeded, total),
    )
    return _judge(measure, is_met=succeeded > SUCCESS_MIN * total)


def measure_fallbacks(data: MeasureData) -> Measure:
    """Measure how many of the requests that Hugging Face was to answer fell back to Gemini because it failed."""
    at_first = moved = failed = 0
    for each in data.fallbacks:
        first, answered_by = data.kind_of(each.first), data.kind_of(each.answered_by)
        # Requests that were sent to another plugin first are not fallbacks from Hugging Face.
        at_first += each.requests if first == FREE_KIND and answered_by != FREE_KIND else 0
        moved += each.requests if first != FREE_KIND and answered_by == FREE_KIND else 0
        is_failure = first == FREE_KIND and answered_by == FALLBACK_KIND and each.reason not in REQUEST_CAUSED
        failed += each.requests if is_failure else 0
    total = max(0, data.served.get(FREE_KIND, 0) - moved) + at_first
    measure = Measure(
        name="fallback_rate",
        title="Fell back to Gemini because Hugging Face failed",
        target="below 5 % of requests that Hugging Face was to answer",
        unit="share",
        value=failed / total if total else None,
        requests=total,
        interval=find_share_interval(failed, total),
    )
    return _judge(measure, is_met=failed < FALLBACK_MAX * total, what="requests that Hugging Face was to answer")


def measure_cost(data: MeasureData) -> Measure:
    """Measure what was saved against Gemini alone; the interval is what unknown prices leave open."""
    savings = data.savings
    requests = savings.baseline.requests + savings.baseline.flat_requests
    measure = Measure(
        name="cost_saved",
        title="Cost saved against Gemini alone",
        target="above 0 USD",
        unit="usd",
        value=savings.most_nano_usd / 1e9 if requests else None,
        requests=requests,
        interval=(savings.least_nano_usd / 1e9, savings.most_nano_usd / 1e9) if requests else None,
        reason=savings.describe(),
    )
    if not requests:
        return _judge(measure, is_met=False)
    if savings.least_nano_usd <= 0 < savings.most_nano_usd:
        return evolve(measure, reason=f"undecided, since prices are unknown; {savings.describe()}")
    return _judge(measure, is_met=savings.least_nano_usd > 0)


MEASURES: tuple[Callable[[MeasureData], Measure], ...] = (
    measure_free_share,
    measure_response,
    measure_success,
    measure_fallbacks,
    measure_cost,
)
"""The measures in the order of the plan."""


def evaluate_measures(everything: MeasureData, by_role: Mapping[str, MeasureData]) -> tuple[Measure, ...]:
    """Return the measures for all requests, each with those of the roles.

    The success rate has to be met by every role; the others are judged by all requests together.
    """
    measures = []
    for measure in MEASURES:
        roles = {role: measure(data) for role, data in by_role.items()}
        overall = evolve(measure(everything), roles=roles)
        failing = [role for role, each in roles.items() if each.status is MeasureStatus.FAIL]
        if overall.name == "success_rate" and failing:
            overall = evolve(
                overall, status=MeasureStatus.FAIL, reason=f"fails for {', '.join(map(_name_role, failing))}"
            )
        measures.append(overall)
    return tuple(measures)


def _name_role(role: str) -> str:
    return role or "requests without a role"


def _judge(measure: Measure, *, is_met: bool, what: str = "requests") -> Measure:
    if not measure.requests:
        return evolve(measure, status=MeasureStatus.NOT_APPLICABLE, reason=measure.reason or f"no {what}")
    return evolve(measure, status=MeasureStatus.PASS if is_met else MeasureStatus.FAIL)
