"""What each class of events adds to a cell."""

from __future__ import annotations

from collections import defaultdict

import pytest

from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.base_errors import AttemptError
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ContentFilteredError,
    InvalidReplyError,
    InvalidRequestError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
    UnsupportedRequestError,
)
from kickai_providers_core.values.event_counting import COUNTED_EVENTS, CellTally, may_be_billed
from kickai_providers_core.values.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    Event,
    Hedged,
    ProviderCloseFailed,
    Queued,
    RequestEnded,
    RequestStarted,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.feedback_events import FeedbackGiven
from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.rollout_events import RolloutChanged
from kickai_providers_core.values.usage import Usage

WHO = {"request": 7, "role": "scout"}


def count(event: Event) -> CellTally:
    """Return what an event adds, without counters of 0."""
    tally = CellTally()
    COUNTED_EVENTS[type(event)].add_to([event], tally)
    tally.counters = defaultdict(int, {name: number for name, number in tally.counters.items() if number})
    return tally


def attempt(*, error: AttemptError | None = None, number: int = 1, outcome: Outcome | None = None) -> Attempt:
    """Return an attempt of 1.5 seconds."""
    outcome = outcome or (Outcome.SUCCESS if error is None else Outcome.ERROR)
    return Attempt(
        position=0,
        provider="hf",
        model="asked",
        number=number,
        started_s=0.0,
        latency_s=1.5,
        outcome=outcome,
        error=error,
    )


def ended(done: Attempt, **further: object) -> AttemptEnded:
    """Return the event of an attempt."""
    return AttemptEnded(**WHO, attempt=done, **further)  # type: ignore[arg-type]


def test_an_answered_attempt_with_usage() -> None:
    """Tokens are counted by kind and in the class of the input size."""
    usage = Usage(input_tokens=32_001, output_tokens=7, cached_tokens=5, reasoning_tokens=3)
    event = ended(attempt(), usage=usage, reply_model="answered", finish_reason="stop", first_token_s=0.25)
    assert COUNTED_EVENTS[AttemptEnded].find_target(event) == ("hf", "answered")
    assert count(event) == CellTally(
        counters=defaultdict(
            int,
            {
                "attempts.success": 1,
                "attempts.latency_us": 1_500_000,
                "usage.100000": 1,
                "tokens.input.100000": 32_001,
                "tokens.output.100000": 7,
                "tokens.cached.100000": 5,
                "tokens.reasoning.100000": 3,
            },
        ),
        first_token={find_bucket(0.25): 1},
    )


def test_counts_of_zero_are_left_out() -> None:
    """An answer without cached tokens and reasoning has no counters for them."""
    counters = count(ended(attempt(), usage=Usage(input_tokens=9, output_tokens=1))).counters
    assert dict(counters) == {
        "attempts.success": 1,
        "attempts.latency_us": 1_500_000,
        "usage.32000": 1,
        "tokens.input.32000": 9,
        "tokens.output.32000": 1,
    }


def test_a_reported_cost_keeps_the_tokens_apart() -> None:
    """The tokens of an attempt with a cost are not in the classes, which the report prices."""
    usage = Usage(input_tokens=9, output_tokens=7, cached_tokens=5, reasoning_tokens=3, cost_nano_usd=1200)
    assert dict(count(ended(attempt(), usage=usage)).counters) == {
        "attempts.success": 1,
        "attempts.latency_us": 1_500_000,
        "reported.attempts": 1,
        "cost.reported_nano_usd": 1200,
        "reported.input": 9,
        "reported.output": 7,
        "reported.cached": 5,
        "reported.reasoning": 3,
    }


def test_a_failed_retry() -> None:
    """A failure has its class, and the kinds of attempts are counted."""
    error = RateLimitedError("slow down")
    event = ended(attempt(error=error, number=2), is_hedge=True, is_probe=True, prompt_tokens=8)
    tally = count(event)
    assert COUNTED_EVENTS[AttemptEnded].find_target(event) == ("hf", "asked")
    assert dict(tally.counters) == {
        "attempts.error": 1,
        "attempts.latency_us": 1_500_000,
        "attempts.retry": 1,
        "attempts.hedge": 1,
        "attempts.probe": 1,
    }
    assert dict(tally.names) == {("attempts.error.", "RateLimitedError", ""): 1}


def test_a_cut_answer_and_a_cancelled_attempt() -> None:
    """An attempt without usage that may be billed is estimated; one cut at its limit is counted."""
    assert count(ended(attempt(), finish_reason="length")).counters["attempts.truncated"] == 1
    cancelled = count(ended(attempt(outcome=Outcome.CANCELLED), prompt_tokens=33_000)).counters
    assert dict(cancelled) == {
        "attempts.cancelled": 1,
        "attempts.latency_us": 1_500_000,
        "estimated.100000": 1,
        "tokens.estimated.100000": 33_000,
    }


@pytest.mark.parametrize(
    ("error", "is_billed"),
    [
        (InvalidReplyError("cut"), True),
        (ContentFilteredError("withheld"), True),
        (ProviderTimeoutError("late", phase="connect"), False),
        (ProviderTimeoutError("late", phase="first_token"), True),
        (ProviderTimeoutError("late", phase="total"), True),
        (ProviderUnavailableError("refused", reached=False), False),
        (ProviderUnavailableError("overloaded", status_code=503), False),
        (ProviderUnavailableError("broke off"), True),
        (RateLimitedError("slow down", status_code=429), False),
        (AuthenticationError("no key", status_code=401), False),
        (InvalidRequestError("bad", status_code=400), False),
        (UnsupportedRequestError("no tools"), False),
    ],
    ids=str,
)
def test_only_work_of_the_model_may_be_billed(error: AttemptError, is_billed: bool) -> None:
    """What a service refuses before the model works costs nothing."""
    assert may_be_billed(Outcome.ERROR, error) is is_billed
    assert ("estimated.32000" in count(ended(attempt(error=error), prompt_tokens=8)).counters) is is_billed


def test_a_whole_answer_and_a_streamed_one() -> None:
    """Only whole answers are in the histogram; both have their own sum of durations."""
    whole = RequestEnded(**WHO, outcome="success", latency_s=2.0, attempts=1, provider="hf", model="m")
    tally = count(whole)
    assert COUNTED_EVENTS[RequestEnded].find_target(whole) == ("hf", "m")
    assert dict(tally.counters) == {"requests.success": 1, "requests.latency_us": 2_000_000}
    assert tally.latency == {find_bucket(2.0): 1}
    streamed = count(RequestEnded(**WHO, outcome="success", latency_s=2.0, attempts=1, is_streamed=True))
    assert dict(streamed.counters) == {
        "requests.success": 1,
        "requests.streamed": 1,
        "requests.stream_us": 2_000_000,
    }
    assert streamed.latency == {}


def test_a_fallback() -> None:
    """A fallback names the first target's provider and the reason."""
    event = RequestEnded(
        **WHO,
        outcome="success",
        latency_s=2.0,
        attempts=2,
        provider="gemini",
        fell_back=True,
        fallback_provider="hf",
        fallback_reason="suspended",
    )
    assert dict(count(event).names) == {("fallback.hf.", "suspended", ""): 1}


def test_requests_without_an_answer() -> None:
    """A failed request has its error's class; a cancelled one has none. Neither has a duration."""
    failed = count(RequestEnded(**WHO, outcome="error", latency_s=2.0, attempts=2, error="ChainExhaustedError"))
    assert dict(failed.counters) == {"requests.error": 1}
    assert dict(failed.names) == {("requests.error.", "ChainExhaustedError", ""): 1}
    cancelled = count(RequestEnded(**WHO, outcome="cancelled", latency_s=2.0, attempts=0))
    assert cancelled == CellTally(counters=defaultdict(int, {"requests.cancelled": 1}))


@pytest.mark.parametrize(
    ("event", "counters", "names"),
    [
        (
            TargetSkipped(**WHO, skip=Skip(position=0, provider="hf", model="m", reason=SkipReason.SUSPENDED)),
            {"skips.suspended": 1},
            {},
        ),
        (
            BreakerChanged(**WHO, provider="hf", model="m", before=BreakerState.CLOSED, after=BreakerState.OPEN,
                           retry_in_s=1.0),
            {"breaker.opened": 1},
            {},
        ),
        (
            BreakerChanged(**WHO, provider="hf", model="m", before=BreakerState.OPEN, after=BreakerState.CLOSED,
                           retry_in_s=0.0),
            {},
            {},
        ),
        (RetryWithheld(**WHO, provider="hf", model="m"), {"retries.withheld": 1}, {}),
        (Queued(**WHO, provider="hf", model="m", ahead=1, patience_s=1.0), {"queued": 1}, {}),
        (Waiting(**WHO, provider="hf", model="m", wait_s=0.25), {"waits_us": 250_000}, {}),
        (FeedbackGiven(**WHO, provider="hf", model="m", name="tone", ok=True), {}, {("feedback.", "tone", ".ok"): 1}),
        (FeedbackGiven(**WHO, provider="hf", model="m", name="tone", ok=False), {}, {("feedback.", "tone", ".bad"): 1}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)  # fmt: skip
def test_what_happens_at_a_target(event: Event, counters: dict[str, int], names: dict[object, int]) -> None:
    """Other events are counted at their target."""
    assert COUNTED_EVENTS[type(event)].find_target(event) == ("hf", "m")
    tally = count(event)
    assert dict(tally.counters) == counters
    assert dict(tally.names) == names


def test_a_target_without_a_model() -> None:
    """A target that names no model is counted with an empty one."""
    event = RetryWithheld(**WHO, provider="hf", model=None)
    assert COUNTED_EVENTS[RetryWithheld].find_target(event) == ("hf", "")


def test_each_class_of_events_is_counted_or_known_not_to_be() -> None:
    """A new class of events must be added to one of the two lists."""
    not_counted = {RequestStarted, AttemptStarted, Hedged, ProviderCloseFailed, RolloutChanged}
    classes = {kind for kind in Event.__subclasses__() if kind.__module__.startswith("kickai_providers_core.")}
    assert classes == not_counted | set(COUNTED_EVENTS)
