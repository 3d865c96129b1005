"""The counters of a cell: their names, and how to read the families among them.

docs/metrics.md describes each counter. A name with a part in angle brackets stands for a family, such as
``requests.error.<error>``. Durations are whole microseconds, and costs billionths of a US dollar, so sums are exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "COUNTERS",
    "MICROSECONDS",
    "Counter",
    "CounterCell",
    "Feedback",
    "get_family",
    "read_fallbacks",
    "read_feedback",
]

MICROSECONDS = 1_000_000
"""The microseconds of a second."""

CounterCell = Literal["request", "attempt", "target", "process"]
"""The cell in which a counter is kept: that of the provider and model that answered the request, that of an attempt,
that of a target that was not called, or one that belongs to no provider."""


@frozen
class Counter:
    """One counter, or a family of counters.

    Attributes:
        name: Its name.
        cell: The cell in which it is kept.
        meaning: What it counts.
    """

    name: str
    cell: CounterCell
    meaning: str


COUNTERS = (
    Counter("requests.success", "request", "Requests that were answered."),
    Counter("requests.error", "request", "Requests that ended with an error."),
    Counter("requests.cancelled", "request", "Requests that the caller cancelled."),
    Counter("requests.error.<error>", "request", "Requests that ended with an error of this class."),
    Counter("requests.streamed", "request", "Streamed answers; also in `requests.success`."),
    Counter("requests.latency_us", "request", "Sum of the durations of whole answers, from call to answer."),
    Counter("requests.stream_us", "request", "Sum of the durations of streamed answers, from call to last chunk."),
    Counter(
        "fallback.<provider>.<reason>",
        "request",
        "Answers to requests whose first target was at this provider and did not answer, for this reason.",
    ),
    Counter("attempts.success", "attempt", "Attempts that were answered."),
    Counter("attempts.error", "attempt", "Attempts that failed."),
    Counter("attempts.cancelled", "attempt", "Attempts that were cancelled, for example because another was faster."),
    Counter("attempts.error.<error>", "attempt", "Attempts that failed with an error of this class."),
    Counter("attempts.retry", "attempt", "Attempts at a target that the same request had called before."),
    Counter("attempts.hedge", "attempt", "Attempts that began because another one was slow."),
    Counter("attempts.probe", "attempt", "Attempts that tested a target whose circuit breaker was open."),
    Counter("attempts.latency_us", "attempt", "Sum of the durations of all attempts."),
    Counter("attempts.truncated", "attempt", "Answers that were cut at the token limit."),
    Counter("usage.<k>", "attempt", "Attempts with token counts, and an input of size class k."),
    Counter("tokens.input.<k>", "attempt", "Input tokens of these attempts, including cached ones."),
    Counter("tokens.output.<k>", "attempt", "Output tokens of these attempts, including reasoning."),
    Counter("tokens.cached.<k>", "attempt", "Input tokens of these attempts that came from a cache."),
    Counter("tokens.reasoning.<k>", "attempt", "Output tokens of these attempts that were used for reasoning."),
    Counter("estimated.<k>", "attempt", "Attempts without token counts that the service may have billed."),
    Counter("tokens.estimated.<k>", "attempt", "Low estimate of the input tokens of these attempts."),
    Counter("reported.attempts", "attempt", "Attempts whose cost the service reported; in no `usage.<k>`."),
    Counter("cost.reported_nano_usd", "attempt", "Reported cost of these attempts, in billionths of a US dollar."),
    Counter("reported.input", "attempt", "Input tokens of these attempts, including cached ones."),
    Counter("reported.output", "attempt", "Output tokens of these attempts, including reasoning."),
    Counter("reported.cached", "attempt", "Input tokens of these attempts that came from a cache."),
    Counter("reported.reasoning", "attempt", "Output tokens of these attempts that were used for reasoning."),
    Counter("skips.<reason>", "target", "Requests that skipped this target, for this reason."),
    Counter("breaker.opened", "target", "How often its circuit breaker opened."),
    Counter("retries.withheld", "target", "Retries that were not made because the retry budget was used up."),
    Counter("queued", "target", "Requests that waited in the queue of its rate limiter."),
    Counter("waits_us", "target", "Sum of the planned waits before retries."),
    Counter("feedback.<name>.ok", "request", "Answers that the application rated as good, under this name."),
    Counter("feedback.<name>.bad", "request", "Answers that the application rated as bad, under this name."),
    Counter("store.failures", "process", "How often the store failed."),
    Counter("lost.requests", "process", "Requests whose sums were dropped because the store failed for too long."),
    Counter("lost.attempts", "process", "Attempts whose sums were dropped because the store failed for too long."),
)
"""Every counter."""


class Feedback(NamedTuple):
    """How often an application rated answers as good and as bad."""

    ok: int = 0
    bad: int = 0


def get_family(counters: Mapping[str, int], prefix: str) -> dict[str, int]:
    """Return the counters whose names begin with a prefix, by the rest of the name.

    Args:
        counters: The counters of a cell.
        prefix: For example ``requests.error.``, with the final dot.
    """
    return {name.removeprefix(prefix): count for name, count in counters.items() if name.startswith(prefix)}


def read_fallbacks(counters: Mapping[str, int]) -> dict[tuple[str, str], int]:
    """Return the number of fallbacks by the provider that did not answer, and the reason."""
    found = {}
    for name, count in get_family(counters, "fallback.").items():
        provider, _, reason = name.rpartition(".")
        found[provider, reason] = count
    return found


def read_feedback(counters: Mapping[str, int]) -> dict[str, Feedback]:
    """Return the feedback by its name."""
    found: dict[str, Feedback] = {}
    for key, count in get_family(counters, "feedback.").items():
        name, _, rating = key.rpartition(".")
        found[name] = found.get(name, Feedback())._replace(**{rating: count})
    return found
