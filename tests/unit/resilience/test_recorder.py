"""The story of a request: what its observers are told and what its reply carries, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call, Fail, Sleep
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ChainExhaustedError,
    DeadlineExceededError,
    InvalidRequestError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from kickai_providers_core.values.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    RequestEnded,
    RequestStarted,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.messages import ToolCall, Usage
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.trace import RequestTrace

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event

BEGAN = 1000.0
WHO = {"request": 7, "role": "scout"}
USAGE = Usage(input_tokens=11, output_tokens=5)
ANSWER = Reply(
    text="Ann",
    finish_reason=FinishReason.TOOL_CALL,
    usage=USAGE,
    tool_calls=(ToolCall(id="1", name="call", arguments="{}"),),
    request_id="r-1",
    omitted=("temperature",),
)


def world(*targets: Target, **settings: object) -> World:
    """Return a world whose jitter is drawn at its upper end."""
    return World(list(targets), **{"random": Fixed(1.0), **settings})


def walk(there: World, deadline_s: float = 30.0) -> Walk:
    """Return the walk of request 7 for the role of the scout; earlier events are cleared."""
    plain = there.walk(deadline_s)
    there.events.clear()
    return Walk(there.candidates, evolve(plain.chain, role="scout"), evolve(plain.request, number=7), there.now)


def attempt(name: str, number: int, started_s: float, latency_s: float, **how: object) -> Attempt:
    """Return the record of a call of a target that is called as its provider is."""
    said = {"outcome": Outcome.SUCCESS, **how}
    return Attempt(
        position="abc".index(name),
        provider=name,
        model=name,
        number=number,
        started_s=started_s,
        latency_s=latency_s,
        **said,
    )


def starts(name: str, number: int, timeout_s: float = 10.0) -> AttemptStarted:
    """Return the event of a call that begins."""
    return AttemptStarted(**WHO, provider=name, model=name, number=number, timeout_s=timeout_s)


def over(outcome: str, latency_s: float, attempts: int, **further: object) -> RequestEnded:
    """Return the event of a request that has ended."""
    return RequestEnded(**WHO, outcome=outcome, latency_s=latency_s, attempts=attempts, **further)


def breaker(
    name: str, model: str | None, before: BreakerState, after: BreakerState, retry_in_s: float
) -> BreakerChanged:
    """Return the event of a breaker that changed."""
    return BreakerChanged(**WHO, provider=name, model=model, before=before, after=after, retry_in_s=retry_in_s)


def of(events: list[Event], *kinds: type[Event]) -> list[Event]:
    """Return the events of some kinds."""
    return [event for event in events if isinstance(event, kinds)]


def test_an_immediate_answer_emits_four_events() -> None:
    """The request starts, an attempt starts and ends, and the request ends: each event with all its fields."""
    there = world(Target(name="a"), Target(name="b"))
    this = walk(there)
    assert isinstance(this.next(BEGAN), Call)
    this.record_success(evolve(ANSWER, model="a-large"), BEGAN + 2.0)
    assert there.events == [
        RequestStarted(**WHO, targets=2, deadline_s=30.0),
        starts("a", 1),
        AttemptEnded(**WHO, attempt=attempt("a", 1, 0.0, 2.0), usage=USAGE),
        over("success", 2.0, 1, provider="a", model="a-large", usage=USAGE),
    ]


def test_the_reply_has_the_providers_fields_and_the_trace() -> None:
    """Text, usage, tool calls, request id and omissions come from the provider; the rest is the trace."""
    there = world(Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "KEY")), Target(name="b"))
    this = walk(there)
    this.next(BEGAN)
    assert this.record_success(ANSWER, BEGAN + 2.0) == evolve(
        ANSWER,
        provider="b",
        model="b",
        trace=RequestTrace(
            attempts=(attempt("b", 1, 0.0, 2.0),),
            skipped=(
                Skip(position=0, provider="a", model="a", reason=SkipReason.NOT_CONFIGURED, detail="KEY", at_s=0.0),
            ),
            fell_back=True,
            elapsed_s=2.0,
            deadline_s=30.0,
        ),
    )


def test_an_answer_of_a_target_without_a_model_names_none() -> None:
    """When neither the answer nor the target names a model, the reply's model is empty."""
    there = world(Target(name="a"))
    there.candidates = [evolve(there.candidates[0], model=None)]
    this = walk(there)
    this.next(BEGAN)
    assert this.record_success(ANSWER, BEGAN).model == ""


def test_a_retry_and_a_fallback_are_recorded_in_order() -> None:
    """A failure, the wait, the retry and the next target each have their own numbers and times."""
    there = world(Target(name="a", retries=1), Target(name="b"))
    this = walk(there)
    first, second = (ProviderUnavailableError("down", status_code=503) for _ in range(2))
    this.next(BEGAN)
    pause = this.record_failure(first, BEGAN + 1.0)
    assert pause == Sleep(0.25)
    this.next(BEGAN + 1.25)
    this.record_failure(second, BEGAN + 2.0)
    this.record_success(ANSWER, BEGAN + 3.0)
    assert there.events[2:] == [
        AttemptEnded(**WHO, attempt=attempt("a", 1, 0.0, 1.0, outcome=Outcome.ERROR, error=first)),
        Waiting(**WHO, provider="a", model="a", wait_s=0.25),
        starts("a", 2),
        AttemptEnded(**WHO, attempt=attempt("a", 2, 1.25, 0.75, outcome=Outcome.ERROR, error=second)),
        starts("b", 1),
        AttemptEnded(**WHO, attempt=attempt("b", 1, 2.0, 1.0), usage=USAGE),
        over("success", 3.0, 3, provider="b", model="b", fell_back=True, usage=USAGE),
    ]
    assert (first.provider, first.model) == ("a", "a")


def test_an_error_that_names_its_provider_keeps_that_name() -> None:
    """The provider that a gateway names is not overwritten."""
    there = world(Target(name="a"))
    this = walk(there)
    this.next(BEGAN)
    message = InvalidRequestError("no", provider="behind", model="deep")
    this.record_failure(message, BEGAN)
    assert (message.provider, message.model) == ("behind", "deep")


def test_an_error_that_names_its_model_gets_the_provider_alone() -> None:
    """The model that the service named stays."""
    there = world(Target(name="a"))
    this = walk(there)
    this.next(BEGAN)
    message = InvalidRequestError("no", model="a-large")
    this.record_failure(message, BEGAN)
    assert (message.provider, message.model) == ("a", "a-large")


def test_a_suspended_target_is_recorded_with_its_time() -> None:
    """The skip has the reason of the suspension, when it was found, and when it ends."""
    there = world(Target(name="a"), Target(name="b"))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(RateLimitedError("slow down", retry_after_s=7.5), BEGAN)
    this.record_success(ANSWER, BEGAN)
    there.now = BEGAN + 3.0
    that = walk(there)
    that.next(BEGAN + 3.5)
    skip = Skip(
        position=0,
        provider="a",
        model="a",
        reason=SkipReason.RESTING,
        detail="RateLimitedError, 4.0 s left",
        at_s=0.5,
        retry_in_s=4.0,
    )
    assert of(there.events, TargetSkipped) == [TargetSkipped(**WHO, skip=skip)]
    assert that.record_success(ANSWER, BEGAN + 4.0).skipped == (skip,)


def test_an_open_breaker_is_recorded_with_its_time() -> None:
    """Both the event and the skip say when the next probe is due."""
    there = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(ProviderTimeoutError("slow"), BEGAN + 1.0)
    assert of(there.events, BreakerChanged) == [breaker("a", "a", BreakerState.CLOSED, BreakerState.OPEN, 5.0)]
    that = walk(there)
    that.next(BEGAN + 2.0)
    (message,) = of(there.events, TargetSkipped)
    assert (message.skip.reason, message.skip.detail, message.skip.retry_in_s) == (
        SkipReason.BREAKER_OPEN,
        "4.0 s left",
        4.0,
    )


def test_a_probe_changes_the_breaker_twice() -> None:
    """The breaker becomes half-open when the probe starts, and closes when it succeeds."""
    there = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(ProviderTimeoutError("slow"), BEGAN)
    there.now = BEGAN + 6.0
    that = walk(there)
    that.next(there.now)
    meanwhile = there.walk()
    meanwhile.next(there.now)
    that.record_success(ANSWER, there.now + 1.0)
    assert [event for event in of(there.events, BreakerChanged) if event.request == 7] == [
        breaker("a", "a", BreakerState.OPEN, BreakerState.HALF_OPEN, 120.0),
        breaker("a", "a", BreakerState.HALF_OPEN, BreakerState.CLOSED, 0.0),
    ]
    assert [event.skip.detail for event in of(there.events, TargetSkipped)] == ["its probe is running"]


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """The next probe is due after twice the time."""
    there = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(ProviderTimeoutError("slow"), BEGAN)
    there.now = BEGAN + 5.0
    that = walk(there)
    that.next(there.now)
    that.record_failure(ProviderTimeoutError("slow"), there.now + 1.0)
    assert of(there.events, BreakerChanged)[1:] == [breaker("a", "a", BreakerState.HALF_OPEN, BreakerState.OPEN, 10.0)]


def test_the_event_of_a_providers_breaker_has_no_model() -> None:
    """A failure to connect changes both breakers, and the model distinguishes their events."""
    there = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(ProviderTimeoutError("nobody there", phase="connect"), BEGAN)
    assert of(there.events, BreakerChanged) == [
        breaker("a", None, BreakerState.CLOSED, BreakerState.OPEN, 5.0),
        breaker("a", "a", BreakerState.CLOSED, BreakerState.OPEN, 5.0),
    ]


def test_a_cancelled_call_is_recorded() -> None:
    """Its attempt is cancelled, its probe is released, and the request ends once."""
    there = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    first = walk(there)
    first.next(BEGAN)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN)
    there.now = BEGAN + 6.0
    this = walk(there)
    this.next(there.now)
    this.record_cancellation(there.now + 2.0)
    this.record_cancellation(there.now + 3.0)
    assert there.events[3:] == [
        AttemptEnded(**WHO, attempt=attempt("a", 1, 0.0, 2.0, outcome=Outcome.CANCELLED)),
        breaker("a", "a", BreakerState.HALF_OPEN, BreakerState.OPEN, 0.0),
        over("cancelled", 2.0, 1),
    ]


def test_cancelling_an_answered_request_changes_nothing() -> None:
    """The trace stays as it was."""
    there = world(Target(name="a"))
    this = walk(there)
    this.next(BEGAN)
    this.record_success(ANSWER, BEGAN + 1.0)
    this.record_cancellation(BEGAN + 1.0)
    assert [event.outcome for event in of(there.events, RequestEnded)] == ["success"]


def test_a_request_that_is_cancelled_while_it_waits_has_no_cancelled_call() -> None:
    """Between two attempts no call is under way."""
    there = world(Target(name="a"))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(ProviderUnavailableError("down", status_code=503), BEGAN)
    this.record_cancellation(BEGAN + 0.1)
    assert of(there.events, RequestEnded) == [over("cancelled", pytest.approx(0.1), 1)]


def test_a_refused_request_ends_with_the_name_of_its_error() -> None:
    """The event names the error that the caller gets."""
    there = world(Target(name="a"), Target(name="b"))
    this = walk(there)
    this.next(BEGAN)
    refused = InvalidRequestError("temperature")
    assert this.record_failure(refused, BEGAN + 1.0) == Fail(refused)
    assert there.events[-1] == over("error", 1.0, 1, error="InvalidRequestError")


def test_an_exhausted_chain_ends_with_the_name_of_its_error() -> None:
    """The event also has the number of calls."""
    there = world(Target(name="a", retries=0), Target(name="b", retries=0))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(AuthenticationError("no"), BEGAN + 1.0)
    step = this.record_failure(AuthenticationError("no"), BEGAN + 2.0)
    assert isinstance(step, Fail)
    assert isinstance(step.error, ChainExhaustedError)
    assert there.events[-1] == over("error", 2.0, 2, error="ChainExhaustedError")


def test_a_deadline_error_has_the_elapsed_time() -> None:
    """It holds the deadline, the elapsed time, the attempts and the skips."""
    there = world(Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "KEY")), Target(name="b"), Target(name="c"))
    this = walk(there, deadline_s=5.0)
    this.next(BEGAN)
    slow = ProviderTimeoutError("slow")
    step = this.record_failure(slow, BEGAN + 4.96)
    assert isinstance(step, Fail)
    error = step.error
    assert isinstance(error, DeadlineExceededError)
    assert (error.deadline_s, error.elapsed_s) == (5.0, pytest.approx(4.96))
    assert [made.error for made in error.attempts] == [slow]
    assert [skip.target for skip in error.skipped] == ["a:a"]
    assert there.events[-1] == over("error", pytest.approx(4.96), 1, error="DeadlineExceededError")


def test_a_withheld_retry_is_recorded() -> None:
    """The last attempt of that target is marked, and an event is emitted."""
    there = world(Target(name="a"), Target(name="b"), policy=Policy(retry_share=0.0, retry_floor=0))
    this = walk(there)
    this.next(BEGAN)
    this.record_failure(ProviderUnavailableError("down", status_code=503), BEGAN)
    assert of(there.events, RetryWithheld) == [RetryWithheld(**WHO, provider="a", model="a")]
    assert [made.retry_withheld for made in this.attempts] == [True]
