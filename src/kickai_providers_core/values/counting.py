"""What one event adds to the sums of a cell. `COUNTERS` lists the names.

Events hold errors with their tracebacks. What is kept of them here is names and numbers only.
"""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from attrs import define, field

from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.counters import MICROSECONDS
from kickai_providers_core.values.errors import (
    ContentFilteredError,
    InvalidReplyError,
    ProviderTimeoutError,
    ProviderUnavailableError,
)
from kickai_providers_core.values.events import (
    AttemptEnded,
    BreakerChanged,
    Queued,
    RequestEnded,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.metrics import SIZE_CLASSES, find_size_class

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core.values.base_errors import AttemptError
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.histogram import Histogram
    from kickai_providers_core.values.messages import Usage

__all__ = ["COUNTED_EVENTS", "Name", "Tally", "Target", "may_be_billed"]

KINDS = ("input", "output", "cached", "reasoning")
USAGE = {k: f"usage.{k}" for k in SIZE_CLASSES}
TOKENS = {k: tuple(f"tokens.{kind}.{k}" for kind in KINDS) for k in SIZE_CLASSES}
ESTIMATED = {k: (f"estimated.{k}", f"tokens.estimated.{k}") for k in SIZE_CLASSES}
REPORTED = tuple(f"reported.{kind}" for kind in KINDS)
REQUESTS = {outcome.value: f"requests.{outcome}" for outcome in Outcome}
SUCCESS = Outcome.SUCCESS

Target = tuple[str, str]
"""The provider and the model of a cell; empty for none."""

Name = tuple[str, str, str]
"""A counter whose name has a part that comes from outside: what precedes it, the part, and what follows."""


@define
class Tally:
    """Sums that grow. Not thread-safe.

    Attributes:
        counters: The counters by name. A counter of 0 may be missing.
        names: The counters whose names have a part from outside. There may be too many of these to keep each.
        latency: The durations of successful whole answers.
        first_token: The times to the first chunk.
    """

    counters: defaultdict[str, int] = field(factory=lambda: defaultdict(int))
    names: defaultdict[Name, int] = field(factory=lambda: defaultdict(int))
    latency: Histogram = field(factory=dict)
    first_token: Histogram = field(factory=dict)


class CountedEvent(NamedTuple):
    """How the events of one class are counted.

    Attributes:
        get_names: Returns the names in an event that decide its cell: events with equal names are in the same one.
        find_target: Returns the provider and the model of the cell.
        add_to: Adds the event to the cell's tally.
    """

    get_names: Callable[[Any], tuple[str | None, ...]]
    find_target: Callable[[Any], Target]
    add_to: Callable[[Any, Tally], None]


def may_be_billed(outcome: Outcome, error: AttemptError | None) -> bool:
    """Return whether a service may bill an attempt that has no token counts.

    A service bills the work of the model. It bills nothing that it refuses before that: 4xx, 5xx, what it cannot do.
    """
    if outcome is not Outcome.ERROR or isinstance(error, InvalidReplyError | ContentFilteredError):
        return True
    if isinstance(error, ProviderTimeoutError):
        return error.phase != "connect"
    # A connection that breaks after the request was sent has no status.
    return isinstance(error, ProviderUnavailableError) and error.reached and error.status_code is None


def _count_attempt(event: AttemptEnded, tally: Tally) -> None:
    attempt, counters = event.attempt, tally.counters
    if attempt.outcome is SUCCESS:
        counters["attempts.success"] += 1
    else:
        counters["attempts.cancelled" if attempt.error is None else "attempts.error"] += 1
    counters["attempts.latency_us"] += round(attempt.latency_s * MICROSECONDS)
    if attempt.number > 1:
        counters["attempts.retry"] += 1
    if event.is_hedge:
        counters["attempts.hedge"] += 1
    if event.is_probe:
        counters["attempts.probe"] += 1
    if event.finish_reason == "length":
        counters["attempts.truncated"] += 1
    if event.usage is not None:
        _count_usage(event.usage, counters)
    elif may_be_billed(attempt.outcome, attempt.error):
        attempts, tokens = ESTIMATED[find_size_class(event.prompt_tokens)]
        counters[attempts] += 1
        counters[tokens] += event.prompt_tokens
    if attempt.error is not None:
        tally.names["attempts.error.", type(attempt.error).__name__, ""] += 1
    if event.first_token_s is not None:
        _count_duration(tally.first_token, event.first_token_s)


def _count_usage(usage: Usage, counters: defaultdict[str, int]) -> None:
    """Add the tokens of an attempt in the class of its input size, or apart when the service states their cost."""
    if usage.cost_nano_usd is None:
        size = find_size_class(usage.input_tokens)
        counters[USAGE[size]] += 1
        sent, received, cached, reasoning = TOKENS[size]
    else:
        counters["reported.attempts"] += 1
        counters["cost.reported_nano_usd"] += usage.cost_nano_usd
        sent, received, cached, reasoning = REPORTED
    counters[sent] += usage.input_tokens
    counters[received] += usage.output_tokens
    if usage.cached_tokens:
        counters[cached] += usage.cached_tokens
    if usage.reasoning_tokens:
        counters[reasoning] += usage.reasoning_tokens


def _count_request(event: RequestEnded, tally: Tally) -> None:
    counters = tally.counters
    counters[REQUESTS[event.outcome]] += 1
    if event.error is not None:
        tally.names["requests.error.", event.error, ""] += 1
    if event.outcome != "success":
        return
    if event.is_streamed:
        counters["requests.streamed"] += 1
        counters["requests.stream_us"] += round(event.latency_s * MICROSECONDS)
    else:
        counters["requests.latency_us"] += round(event.latency_s * MICROSECONDS)
        _count_duration(tally.latency, event.latency_s)
    if event.fallback_reason is not None:
        tally.names[f"fallback.{event.fallback_provider}.", event.fallback_reason, ""] += 1


def _count_duration(histogram: Histogram, duration_s: float) -> None:
    bucket = find_bucket(duration_s)
    histogram[bucket] = histogram.get(bucket, 0) + 1


def _count_skip(event: TargetSkipped, tally: Tally) -> None:
    tally.counters[f"skips.{event.skip.reason.value}"] += 1


def _count_breaker(event: BreakerChanged, tally: Tally) -> None:
    if event.after is BreakerState.OPEN:
        tally.counters["breaker.opened"] += 1


def _count_withheld(_event: RetryWithheld, tally: Tally) -> None:
    tally.counters["retries.withheld"] += 1


def _count_queued(_event: Queued, tally: Tally) -> None:
    tally.counters["queued"] += 1


def _count_wait(event: Waiting, tally: Tally) -> None:
    tally.counters["waits_us"] += round(event.wait_s * MICROSECONDS)


def _count_feedback(event: FeedbackGiven, tally: Tally) -> None:
    tally.names["feedback.", event.name, ".ok" if event.ok else ".bad"] += 1


def _find_attempts_target(event: AttemptEnded) -> Target:
    return event.attempt.provider, event.reply_model or event.attempt.model or ""


def _find_skipped_target(event: TargetSkipped) -> Target:
    return event.skip.provider, event.skip.model or ""


def _find_target(event: Any) -> Target:
    return event.provider, event.model or ""


GET_NAMES = attrgetter("provider", "model", "role", "arm")

COUNTED_EVENTS: Mapping[type[Event], CountedEvent] = {
    AttemptEnded: CountedEvent(
        attrgetter("attempt.provider", "attempt.model", "reply_model", "role", "arm"),
        _find_attempts_target,
        _count_attempt,
    ),
    RequestEnded: CountedEvent(GET_NAMES, _find_target, _count_request),
    TargetSkipped: CountedEvent(
        attrgetter("skip.provider", "skip.model", "role", "arm"), _find_skipped_target, _count_skip
    ),
    BreakerChanged: CountedEvent(GET_NAMES, _find_target, _count_breaker),
    RetryWithheld: CountedEvent(GET_NAMES, _find_target, _count_withheld),
    Queued: CountedEvent(GET_NAMES, _find_target, _count_queued),
    Waiting: CountedEvent(GET_NAMES, _find_target, _count_wait),
    FeedbackGiven: CountedEvent(GET_NAMES, _find_target, _count_feedback),
}
"""How each class of events is counted; others are not."""
