"""Figures: what a report says about a group of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import Factory, field, frozen

from kickai_providers_core.operations.costs import Cost
from kickai_providers_core.operations.intervals import find_share_interval
from kickai_providers_core.values.histogram import find_quantile, get_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.operations.cell_sums import Sums
    from kickai_providers_core.values.histogram import Histogram

__all__ = ["Distribution", "Figures", "Tokens"]

DIGITS = 6


def round_s(seconds: float | None) -> float | None:
    """Return seconds rounded to microseconds."""
    return None if seconds is None else round(seconds, DIGITS)


@frozen(kw_only=True)
class Distribution:
    """Durations in seconds. Quantiles are within 1 % of the true value.

    Attributes:
        count: The number of durations.
        mean_s: Their mean; None without durations, as are the quantiles.
        p50_s: The median.
        p95_s: The 95th percentile.
        p99_s: The 99th percentile.
    """

    count: int = 0
    mean_s: float | None = None
    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None

    @classmethod
    def from_histogram(cls, histogram: Histogram, total_us: int | None = None) -> Distribution:
        """Return the distribution of a histogram.

        Args:
            histogram: The durations.
            total_us: Their exact sum in microseconds; None to use that of the histogram, which is within 1 %.
        """
        count = sum(histogram.values())
        if not count:
            return cls()
        if total_us is None:
            total_s = sum(get_value(bucket) * number for bucket, number in histogram.items())
        else:
            total_s = total_us / 1e6
        p50, p95, p99 = (find_quantile(histogram, quantile) for quantile in (0.5, 0.95, 0.99))
        return cls(count=count, mean_s=total_s / count, p50_s=p50, p95_s=p95, p99_s=p99)

    def as_dict(self) -> dict[str, Any]:
        """Return the distribution as JSON."""
        names = {"mean": self.mean_s, "p50": self.p50_s, "p95": self.p95_s, "p99": self.p99_s}
        return {"count": self.count, **{name: round_s(value) for name, value in names.items()}}


@frozen(kw_only=True)
class Tokens:
    """Token counts.

    Attributes:
        input: Reported input tokens, including cached ones.
        output: Reported output tokens, including reasoning.
        cached: Input tokens that came from a cache.
        reasoning: Output tokens that were used for reasoning.
        estimated_input: Estimated input tokens of attempts for which the service reported none.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    estimated_input: int = 0

    @classmethod
    def from_sums(cls, sums: Sums) -> Tokens:
        """Return the tokens of all size classes."""

        def sum_tokens(kind: str) -> int:
            return sum(sums.find(f"tokens.{kind}.").values()) + sums.get(f"reported.{kind}")

        return cls(
            input=sum_tokens("input"),
            output=sum_tokens("output"),
            cached=sum_tokens("cached"),
            reasoning=sum_tokens("reasoning"),
            estimated_input=sum_tokens("estimated"),
        )

    def as_dict(self) -> dict[str, int]:
        """Return the counts as JSON, with the total of reported tokens."""
        return {
            "input": self.input,
            "output": self.output,
            "cached": self.cached,
            "reasoning": self.reasoning,
            "total": self.input + self.output,
            "estimated_input": self.estimated_input,
        }


@frozen(kw_only=True)
class Figures:
    """What a report says about a group of requests and attempts.

    Attributes:
        succeeded: Requests that were answered.
        failed: Requests that ended with an error.
        cancelled: Requests that their callers cancelled; they count neither as answered nor as failed.
        streamed: Streamed requests among them.
        errors: Failed requests by the class of the error.
        latency: Durations of whole answers, from the start of the request; streams are not in it.
        first_token: Times from the start of a streamed attempt to its first chunk.
        attempts: Attempts by outcome and kind: success, error, cancelled, retry, hedge, probe, truncated.
        attempt_errors: Failed attempts by the class of the error.
        tokens: The tokens of all attempts.
        cost: The cost of all attempts.
    """

    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    streamed: int = 0
    errors: Mapping[str, int] = Factory(dict)
    latency: Distribution = field(factory=Distribution)
    first_token: Distribution = field(factory=Distribution)
    attempts: Mapping[str, int] = Factory(dict)
    attempt_errors: Mapping[str, int] = Factory(dict)
    tokens: Tokens = field(factory=Tokens)
    cost: Cost = field(factory=Cost)

    @classmethod
    def from_sums(cls, requests: Sums, attempts: Sums, cost: Cost) -> Figures:
        """Return the figures of a group.

        Args:
            requests: The sums with the requests; those of shadow calls are not requests of a caller.
            attempts: The sums with the attempts.
            cost: The cost of the attempts.
        """
        names = ("success", "error", "cancelled", "retry", "hedge", "probe", "truncated")
        return cls(
            succeeded=requests.get("requests.success"),
            failed=requests.get("requests.error"),
            cancelled=requests.get("requests.cancelled"),
            streamed=requests.get("requests.streamed"),
            errors=requests.find("requests.error."),
            latency=Distribution.from_histogram(requests.latency, requests.get("requests.latency_us")),
            first_token=Distribution.from_histogram(attempts.first_token),
            attempts={name: attempts.get(f"attempts.{name}") for name in names},
            attempt_errors=attempts.find("attempts.error."),
            tokens=Tokens.from_sums(attempts),
            cost=cost,
        )

    @property
    def requests(self) -> int:
        """All requests, including cancelled ones."""
        return self.succeeded + self.failed + self.cancelled

    @property
    def completed(self) -> int:
        """The requests that were answered or failed."""
        return self.succeeded + self.failed

    @property
    def success_rate(self) -> float | None:
        """The share of completed requests that were answered; None without any."""
        return self.succeeded / self.completed if self.completed else None

    @property
    def attempt_success_rate(self) -> float | None:
        """The share of attempts that were answered, without cancelled ones; None without any."""
        succeeded = self.attempts.get("success", 0)
        completed = succeeded + self.attempts.get("error", 0)
        return succeeded / completed if completed else None

    @property
    def calls(self) -> int:
        """All attempts."""
        return sum(self.attempts.get(name, 0) for name in ("success", "error", "cancelled"))

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        interval = find_share_interval(self.succeeded, self.completed)
        return {
            "requests": self.requests,
            "outcomes": {"success": self.succeeded, "error": self.failed, "cancelled": self.cancelled},
            "streamed": self.streamed,
            "success_rate": self.success_rate,
            "success_rate_interval": None if interval is None else list(interval),
            "errors": dict(self.errors),
            "latency_s": self.latency.as_dict(),
            "first_token_s": self.first_token.as_dict(),
            "attempts": {"total": self.calls, **self.attempts, "success_rate": self.attempt_success_rate},
            "attempt_errors": dict(self.attempt_errors),
            "tokens": self.tokens.as_dict(),
            "cost": describe_cost(self.cost),
            "unpriced_share": self.cost.unpriced_share,
        }


def describe_cost(cost: Cost) -> dict[str, Any]:
    """Return a cost as JSON, in nano-USD and, for readers, in USD."""
    return {
        "nano_usd": cost.nano_usd,
        "usd": cost.nano_usd / 1e9,
        "reported_nano_usd": cost.reported_nano_usd,
        "calculated_nano_usd": cost.calculated_nano_usd,
        "estimated_nano_usd": cost.estimated_nano_usd,
    }
