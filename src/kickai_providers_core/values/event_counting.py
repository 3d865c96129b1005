"""What events add to the sums of a cell. `COUNTERS` lists the names.

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
    from collections.abc import Callable, Mapping, Sequence

    from kickai_providers_core.values.base_errors import AttemptError
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.histogram import Histogram
    from kickai_providers_core.values.usage import Usage

__all__ = ["COUNTED_EVENTS", "KINDS", "REPORTED", "CellTally", "CounterName", "TargetKey", "may_be_billed"]

KINDS = ("input", "output", "cached", "reasoning")
USAGE = {k: (f"usage.{k}", *(f"tokens.{kind}.{k}" for kind in KINDS)) for k in SIZE_CLASSES}
ESTIMATED = {k: (f"estimated.{k}", f"tokens.estimated.{k}") for k in SIZE_CLASSES}
REPORTED = ("reported.attempts", *(f"reported.{kind}" for kind in KINDS))
"""The counters of all attempts whose service has reported the tokens: these attempts, and the tokens of each kind."""
GET_INPUT, GET_OUTPUT, GET_CACHED, GET_REASONING = (attrgetter(f"{kind}_tokens") for kind in KINDS)
REQUESTS = {outcome.value: f"requests.{outcome}" for outcome in Outcome}
SUCCESS = Outcome.SUCCESS

TargetKey = tuple[str, str]
"""The provider and the model of a cell; empty for none."""

CounterName = tuple[str, str, str]
"""A counter whose name has a part that comes from outside: what precedes it, the part, and what follows."""


@define
class CellTally:
    """Sums that grow. Not thread-safe.

    Attributes:
        counters: The counters by name. A counter of 0 may be missing.
        names: The counters whose names have a part from outside. There may be too many of these to keep each.
        latency: The durations of successful whole answers.
        first_token: The times to the first chunk.
    """

    counters: defaultdict[str, int] = field(factory=lambda: defaultdict(int))
    names: defaultdict[CounterName, int] = field(factory=lambda: defaultdict(int))
    latency: Histogram = field(factory=dict)
    first_token: Histogram = field(factory=dict)


class CountedEvent(NamedTuple):
    """How the events of one class are counted.

    Attributes:
        get_names: Returns the class of an event and the names that decide its cell: events with equal ones are added
            together.
        find_target: Returns the provider and the model of the cell.
        add_to: Adds events of one cell to its tally.
    """

    get_names: Callable[[Any], tuple[object, ...]]
    find_target: Callable[[Any], TargetKey]
    add_to: Callable[[Sequence[Any], CellTally], None]


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


def _count_attempts(events: Sequence[AttemptEnded], tally: CellTally) -> None:
    successes = latency_us = retries = hedges = probes = truncated = 0
    usages = []
    for event in events:
        attempt = event.attempt
        latency_us += round(attempt.latency_s * MICROSECONDS)
        successes += attempt.outcome is SUCCESS
        retries += attempt.number > 1
        hedges += event.is_hedge
        probes += event.is_probe
        truncated += event.finish_reason == "length"
        if event.usage is not None:
            usages.append(event.usage)
        elif may_be_billed(attempt.outcome, attempt.error):
            _count_estimate(event.prompt_tokens, tally.counters)
        if event.first_token_s is not None:
            _count_duration(tally.first_token, event.first_token_s)
    if successes < len(events):
        _count_ends_without_answer(events, tally)
    counters = tally.counters
    counters["attempts.success"] += successes
    counters["attempts.latency_us"] += latency_us
    counters["attempts.retry"] += retries
    counters["attempts.hedge"] += hedges
    counters["attempts.probe"] += probes
    counters["attempts.truncated"] += truncated
    _count_usages(usages, counters)


def _count_ends_without_answer(events: Sequence[AttemptEnded], tally: CellTally) -> None:
    for event in events:
        error = event.attempt.error
        if error is not None:
            tally.counters["attempts.error"] += 1
            tally.names["attempts.error.", type(error).__name__, ""] += 1
        elif event.attempt.outcome is not SUCCESS:
            tally.counters["attempts.cancelled"] += 1


def _count_estimate(prompt_tokens: int, counters: defaultdict[str, int]) -> None:
    attempts, tokens = ESTIMATED[find_size_class(prompt_tokens)]
    counters[attempts] += 1
    counters[tokens] += prompt_tokens


def _count_usages(usages: Sequence[Usage], counters: defaultdict[str, int]) -> None:
    """Add the tokens of attempts in the classes of their input sizes, or apart when the service states their cost."""
    by_names: defaultdict[tuple[str, ...], list[Usage]] = defaultdict(list)
    for usage in usages:
        if usage.cost_nano_usd is None:
            by_names[USAGE[find_size_class(usage.input_tokens)]].append(usage)
        else:
            by_names[REPORTED].append(usage)
            counters["cost.reported_nano_usd"] += usage.cost_nano_usd
    for (attempts, sent, received, cached, reasoning), some in by_names.items():
        counters[attempts] += len(some)
        counters[sent] += sum(map(GET_INPUT, some))
        counters[received] += sum(map(GET_OUTPUT, some))
        counters[cached] += sum(map(GET_CACHED, some))
        counters[reasoning] += sum(map(GET_REASONING, some))


def _count_requests(events: Sequence[RequestEnded], tally: CellTally) -> None:
    counters, histogram = tally.counters, tally.latency
    answered = streamed = stream_us = latency_us = 0
    for event in events:
        if event.outcome != "success":
            counters[REQUESTS[event.outcome]] += 1
            if event.error is not None:
                tally.names["requests.error.", event.error, ""] += 1
            continue
        answered += 1
        if event.is_streamed:
            streamed += 1
            stream_us += round(event.latency_s * MICROSECONDS)
        else:
            latency_us += round(event.latency_s * MICROSECONDS)
            _count_duration(histogram, event.latency_s)
        if event.fallback_reason is not None:
            tally.names[f"fallback.{event.fallback_provider}.", event.fallback_reason, ""] += 1
    counters["requests.success"] += answered
    counters["requests.streamed"] += streamed
    counters["requests.stream_us"] += stream_us
    counters["requests.latency_us"] += latency_us


def _count_duration(histogram: Histogram, duration_s: float) -> None:
    bucket = find_bucket(duration_s)
    histogram[bucket] = histogram.get(bucket, 0) + 1


def _count_skips(events: Sequence[TargetSkipped], tally: CellTally) -> None:
    for event in events:
        tally.counters[f"skips.{event.skip.reason.value}"] += 1


def _count_breakers(events: Sequence[BreakerChanged], tally: CellTally) -> None:
    tally.counters["breaker.opened"] += sum(event.after is BreakerState.OPEN for event in events)


def _count_withheld(events: Sequence[RetryWithheld], tally: CellTally) -> None:
    tally.counters["retries.withheld"] += len(events)


def _count_queued(events: Sequence[Queued], tally: CellTally) -> None:
    tally.counters["queued"] += len(events)


def _count_waits(events: Sequence[Waiting], tally: CellTally) -> None:
    tally.counters["waits_us"] += sum(round(event.wait_s * MICROSECONDS) for event in events)


def _count_feedback(events: Sequence[FeedbackGiven], tally: CellTally) -> None:
    for event in events:
        tally.names["feedback.", event.name, ".ok" if event.ok else ".bad"] += 1


def _find_attempts_target(event: AttemptEnded) -> TargetKey:
    return event.attempt.provider, event.reply_model or event.attempt.model or ""


def _find_skipped_target(event: TargetSkipped) -> TargetKey:
    return event.skip.provider, event.skip.model or ""


def _find_target(event: Any) -> TargetKey:
    return event.provider, event.model or ""


GET_NAMES = attrgetter("__class__", "provider", "model", "role", "arm")

COUNTED_EVENTS: Mapping[type[Event], CountedEvent] = {
    AttemptEnded: CountedEvent(
        attrgetter("__class__", "attempt.provider", "attempt.model", "reply_model", "role", "arm"),
        _find_attempts_target,
        _count_attempts,
    ),
    RequestEnded: CountedEvent(GET_NAMES, _find_target, _count_requests),
    TargetSkipped: CountedEvent(
        attrgetter("__class__", "skip.provider", "skip.model", "role", "arm"), _find_skipped_target, _count_skips
    ),
    BreakerChanged: CountedEvent(GET_NAMES, _find_target, _count_breakers),
    RetryWithheld: CountedEvent(GET_NAMES, _find_target, _count_withheld),
    Queued: CountedEvent(GET_NAMES, _find_target, _count_queued),
    Waiting: CountedEvent(GET_NAMES, _find_target, _count_waits),
    FeedbackGiven: CountedEvent(GET_NAMES, _find_target, _count_feedback),
}
"""How each class of events is counted; others are not."""
