"""The recorder: the events of a request and the trace of its reply, field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import evolve, fields_dict
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call, Fail, Sleep
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.recorder import Recorder
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
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.tools import ToolCall
from kickai_providers_core.values.trace import RequestTrace
from kickai_providers_core.values.usage import Usage

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


def walk(simulation: World, deadline_s: float = 30.0) -> Walk:
    """Return the walk of request 7 for the role of the scout; earlier events are cleared."""
    plain = simulation.walk(deadline_s)
    simulation.events.clear()
    return Walk(
        simulation.candidates, evolve(plain.chain, role="scout"), evolve(plain.request, number=7), simulation.now
    )


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


def ended(record: Attempt, **further: object) -> AttemptEnded:
    """Return the event of an attempt at the request's first target, unless the fields say otherwise."""
    answered = (
        {"usage": USAGE, "finish_reason": "tool_call"} if record.outcome is Outcome.SUCCESS else {"prompt_tokens": 2}
    )
    return AttemptEnded(**WHO, attempt=record, **{"is_primary": True, **answered, **further})


def starts(name: str, number: int, timeout_s: float = 10.0) -> AttemptStarted:
    """Return the event of a call that begins."""
    return AttemptStarted(**WHO, provider=name, model=name, number=number, timeout_s=timeout_s)


def request_ended(outcome: str, latency_s: float, attempts: int, **further: object) -> RequestEnded:
    """Return the event of a request that has ended."""
    return RequestEnded(**WHO, outcome=outcome, latency_s=latency_s, attempts=attempts, **further)


def breaker(
    name: str, model: str | None, before: BreakerState, after: BreakerState, retry_in_s: float
) -> BreakerChanged:
    """Return the event of a breaker that changed."""
    return BreakerChanged(**WHO, provider=name, model=model, before=before, after=after, retry_in_s=retry_in_s)


def select_events(events: list[Event], *kinds: type[Event]) -> list[Event]:
    """Return the events of some kinds."""
    return [event for event in events if isinstance(event, kinds)]


def test_an_immediate_answer_emits_four_events() -> None:
    """The request starts, an attempt starts and ends, and the request ends: each event with all its fields."""
    simulation = world(Target(name="a"), Target(name="b"))
    current = walk(simulation)
    assert isinstance(current.next(BEGAN), Call)
    current.record_success(evolve(ANSWER, model="a-large"), BEGAN + 2.0)
    assert simulation.events == [
        RequestStarted(**WHO, targets=2, deadline_s=30.0),
        starts("a", 1),
        ended(attempt("a", 1, 0.0, 2.0), reply_model="a-large"),
        request_ended("success", 2.0, 1, provider="a", model="a-large", usage=USAGE, request_id="r-1"),
    ]


def test_a_streamed_attempt_has_the_time_of_its_first_chunk() -> None:
    """Later chunks do not count, and the next attempt begins without one."""
    simulation = world(Target(name="a", retries=0), Target(name="b"))
    current = walk(simulation)
    current.request = evolve(current.request, streams=True)
    current._recorder._request = current.request
    current.next(BEGAN)
    current.record_first_chunk(BEGAN + 0.5)
    current.record_first_chunk(BEGAN + 0.75)
    current.record_failure(ProviderUnavailableError("cut"), BEGAN + 1.0)
    current.record_success(ANSWER, BEGAN + 3.0)
    ends = select_events(simulation.events, AttemptEnded)
    assert [(event.first_token_s, event.is_streamed) for event in ends] == [(0.5, True), (None, True)]
    assert [event.is_streamed for event in select_events(simulation.events, RequestEnded)] == [True]


def test_every_event_of_a_request_names_its_arm() -> None:
    """During a rollout, each event says which arm serves the request."""
    simulation = world(Target(name="a", retries=1), Target(name="b"))
    plain = walk(simulation)
    current = Walk(simulation.candidates, plain.chain, evolve(plain.request, arm="candidate"), BEGAN)
    current.next(BEGAN)
    current.record_failure(ProviderUnavailableError("down"), BEGAN)
    current.next(BEGAN + 0.25)
    current.record_failure(ProviderUnavailableError("down"), BEGAN + 0.5)
    current.record_success(ANSWER, BEGAN + 1.0)
    assert {event.arm for event in simulation.events[1:]} == {"candidate"}
    assert simulation.events[-1].attributes()["kickai.arm"] == "candidate"


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "KEY")), "not_configured"),
        (Target(name="a", retries=0), "ProviderTimeoutError"),
    ],
)
def test_a_fallback_has_its_reason(first: Target, reason: str) -> None:
    """The class of the first target's error, or why it was skipped."""
    simulation = world(first, Target(name="b"))
    current = walk(simulation)
    if current.next(BEGAN).candidate.provider == "a":
        current.record_failure(ProviderTimeoutError("slow"), BEGAN)
    current.record_success(ANSWER, BEGAN)
    (end,) = select_events(simulation.events, RequestEnded)
    assert (end.fallback_provider, end.fallback_reason) == ("a", reason)


def test_the_reply_has_the_providers_fields_and_the_trace() -> None:
    """Text, usage, tool calls, request id and omissions come from the provider; the other fields are the trace."""
    simulation = world(Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "KEY")), Target(name="b"))
    current = walk(simulation)
    current.next(BEGAN)
    assert current.record_success(ANSWER, BEGAN + 2.0) == evolve(
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
            role="scout",
        ),
    )


def test_a_request_without_an_id_gets_one() -> None:
    """The id of the provider is kept; without one, the reply and the event have one of the process and the request."""
    simulation = world(Target(name="a"))
    for given in (None, "r-1"):
        current = walk(simulation)
        current.next(BEGAN)
        own = current.record_success(evolve(ANSWER, request_id=given), BEGAN).request_id
        assert own is not None
        assert own == given or (given is None and own.startswith("kickai-") and own.endswith(f"-{WHO['request']}"))
        assert [event.request_id for event in select_events(simulation.events, RequestEnded)] == [own]


def test_an_answer_of_a_target_without_a_model_names_none() -> None:
    """When neither the answer nor the target names a model, the reply's model is empty."""
    simulation = world(Target(name="a"))
    simulation.candidates = [evolve(simulation.candidates[0], model=None)]
    current = walk(simulation)
    current.next(BEGAN)
    assert current.record_success(ANSWER, BEGAN).model == ""


def test_a_retry_and_a_fallback_are_recorded_in_order() -> None:
    """A failure, the wait, the retry and the next target each have their own numbers and times."""
    simulation = world(Target(name="a", retries=1), Target(name="b"))
    current = walk(simulation)
    first, second = (ProviderUnavailableError("down", status_code=503) for _ in range(2))
    current.next(BEGAN)
    pause = current.record_failure(first, BEGAN + 1.0)
    assert pause == Sleep(0.25)
    current.next(BEGAN + 1.25)
    current.record_failure(second, BEGAN + 2.0)
    current.record_success(ANSWER, BEGAN + 3.0)
    assert simulation.events[2:] == [
        ended(attempt("a", 1, 0.0, 1.0, outcome=Outcome.ERROR, error=first)),
        Waiting(**WHO, provider="a", model="a", wait_s=0.25),
        starts("a", 2),
        ended(attempt("a", 2, 1.25, 0.75, outcome=Outcome.ERROR, error=second)),
        starts("b", 1),
        ended(attempt("b", 1, 2.0, 1.0), is_primary=False),
        request_ended(
            "success",
            3.0,
            3,
            provider="b",
            model="b",
            fell_back=True,
            usage=USAGE,
            request_id="r-1",
            fallback_provider="a",
            fallback_reason="ProviderUnavailableError",
        ),
    ]
    assert (first.provider, first.model) == ("a", "a")


def test_an_error_that_names_its_provider_keeps_that_name() -> None:
    """The provider that a gateway names is not overwritten."""
    simulation = world(Target(name="a"))
    current = walk(simulation)
    current.next(BEGAN)
    message = InvalidRequestError("no", provider="behind", model="deep")
    current.record_failure(message, BEGAN)
    assert (message.provider, message.model) == ("behind", "deep")


def test_an_error_that_names_its_model_gets_the_provider_alone() -> None:
    """The model that the service named stays."""
    simulation = world(Target(name="a"))
    current = walk(simulation)
    current.next(BEGAN)
    message = InvalidRequestError("no", model="a-large")
    current.record_failure(message, BEGAN)
    assert (message.provider, message.model) == ("a", "a-large")


def test_a_suspended_target_is_recorded_with_its_time() -> None:
    """The skip has the reason of the suspension, when it was found, and when it ends."""
    simulation = world(Target(name="a"), Target(name="b"))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(RateLimitedError("slow down", retry_after_s=7.5), BEGAN)
    current.record_success(ANSWER, BEGAN)
    simulation.now = BEGAN + 3.0
    that = walk(simulation)
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
    assert select_events(simulation.events, TargetSkipped) == [TargetSkipped(**WHO, skip=skip)]
    assert that.record_success(ANSWER, BEGAN + 4.0).skipped == (skip,)


def test_an_open_breaker_is_recorded_with_its_time() -> None:
    """Both the event and the skip say when the next probe is due."""
    simulation = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(ProviderTimeoutError("slow"), BEGAN + 1.0)
    assert select_events(simulation.events, BreakerChanged) == [
        breaker("a", "a", BreakerState.CLOSED, BreakerState.OPEN, 5.0)
    ]
    that = walk(simulation)
    that.next(BEGAN + 2.0)
    (message,) = select_events(simulation.events, TargetSkipped)
    assert (message.skip.reason, message.skip.detail, message.skip.retry_in_s) == (
        SkipReason.BREAKER_OPEN,
        "4.0 s left",
        4.0,
    )


def test_a_probe_changes_the_breaker_twice() -> None:
    """The breaker becomes half-open when the probe starts, and closes when it succeeds."""
    simulation = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(ProviderTimeoutError("slow"), BEGAN)
    simulation.now = BEGAN + 6.0
    that = walk(simulation)
    that.next(simulation.now)
    meanwhile = simulation.walk()
    meanwhile.next(simulation.now)
    that.record_success(ANSWER, simulation.now + 1.0)
    assert [event for event in select_events(simulation.events, BreakerChanged) if event.request == 7] == [
        breaker("a", "a", BreakerState.OPEN, BreakerState.HALF_OPEN, 120.0),
        breaker("a", "a", BreakerState.HALF_OPEN, BreakerState.CLOSED, 0.0),
    ]
    assert [event.skip.detail for event in select_events(simulation.events, TargetSkipped)] == ["its probe is running"]


def test_a_failed_probe_opens_the_breaker_again() -> None:
    """The next probe is due after twice the time."""
    simulation = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(ProviderTimeoutError("slow"), BEGAN)
    simulation.now = BEGAN + 5.0
    that = walk(simulation)
    that.next(simulation.now)
    that.record_failure(ProviderTimeoutError("slow"), simulation.now + 1.0)
    assert select_events(simulation.events, BreakerChanged)[1:] == [
        breaker("a", "a", BreakerState.HALF_OPEN, BreakerState.OPEN, 10.0)
    ]


def test_the_event_of_a_providers_breaker_has_no_model() -> None:
    """A failure to connect changes both breakers, and the model distinguishes their events."""
    simulation = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(ProviderTimeoutError("nobody there", phase="connect"), BEGAN)
    assert select_events(simulation.events, BreakerChanged) == [
        breaker("a", None, BreakerState.CLOSED, BreakerState.OPEN, 5.0),
        breaker("a", "a", BreakerState.CLOSED, BreakerState.OPEN, 5.0),
    ]


def test_a_cancelled_call_is_recorded() -> None:
    """Its attempt is cancelled, its probe is released, and the request ends once."""
    simulation = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    first = walk(simulation)
    first.next(BEGAN)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN)
    simulation.now = BEGAN + 6.0
    current = walk(simulation)
    current.next(simulation.now)
    current.record_cancellation(simulation.now + 2.0)
    current.record_cancellation(simulation.now + 3.0)
    assert simulation.events[3:] == [
        ended(attempt("a", 1, 0.0, 2.0, outcome=Outcome.CANCELLED), is_probe=True),
        breaker("a", "a", BreakerState.HALF_OPEN, BreakerState.OPEN, 0.0),
        request_ended("cancelled", 2.0, 1),
    ]


def test_cancelling_an_answered_request_changes_nothing() -> None:
    """The trace stays as it was."""
    simulation = world(Target(name="a"))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_success(ANSWER, BEGAN + 1.0)
    current.record_cancellation(BEGAN + 1.0)
    assert [event.outcome for event in select_events(simulation.events, RequestEnded)] == ["success"]


def test_a_request_that_is_cancelled_while_it_waits_has_no_cancelled_call() -> None:
    """Between two attempts no call is under way."""
    simulation = world(Target(name="a"))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(ProviderUnavailableError("down", status_code=503), BEGAN)
    current.record_cancellation(BEGAN + 0.1)
    assert select_events(simulation.events, RequestEnded) == [request_ended("cancelled", pytest.approx(0.1), 1)]


def test_a_refused_request_ends_with_the_name_of_its_error() -> None:
    """The event names the error that the caller gets."""
    simulation = world(Target(name="a"), Target(name="b"))
    current = walk(simulation)
    current.next(BEGAN)
    refused = InvalidRequestError("temperature")
    assert current.record_failure(refused, BEGAN + 1.0) == Fail(refused)
    assert simulation.events[-1] == request_ended("error", 1.0, 1, error="InvalidRequestError")


def test_an_exhausted_chain_ends_with_the_name_of_its_error() -> None:
    """The event also has the number of calls."""
    simulation = world(Target(name="a", retries=0), Target(name="b", retries=0))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(AuthenticationError("no"), BEGAN + 1.0)
    action = current.record_failure(AuthenticationError("no"), BEGAN + 2.0)
    assert isinstance(action, Fail)
    assert isinstance(action.error, ChainExhaustedError)
    assert simulation.events[-1] == request_ended("error", 2.0, 2, error="ChainExhaustedError")


def test_a_deadline_error_has_the_elapsed_time() -> None:
    """It holds the deadline, the elapsed time, the attempts and the skips."""
    simulation = world(
        Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "KEY")), Target(name="b"), Target(name="c")
    )
    current = walk(simulation, deadline_s=5.0)
    current.next(BEGAN)
    slow = ProviderTimeoutError("slow")
    action = current.record_failure(slow, BEGAN + 4.96)
    assert isinstance(action, Fail)
    error = action.error
    assert isinstance(error, DeadlineExceededError)
    assert (error.deadline_s, error.elapsed_s) == (5.0, pytest.approx(4.96))
    assert [made.error for made in error.attempts] == [slow]
    assert [skip.target for skip in error.skipped] == ["a:a"]
    assert simulation.events[-1] == request_ended("error", pytest.approx(4.96), 1, error="DeadlineExceededError")


def test_a_withheld_retry_is_recorded() -> None:
    """The last attempt of that target is marked, and an event is emitted."""
    simulation = world(Target(name="a"), Target(name="b"), policy=Policy(retry_share=0.0, retry_floor=0))
    current = walk(simulation)
    current.next(BEGAN)
    current.record_failure(ProviderUnavailableError("down", status_code=503), BEGAN)
    assert select_events(simulation.events, RetryWithheld) == [RetryWithheld(**WHO, provider="a", model="a")]
    assert [made.retry_withheld for made in current._recorder.attempts] == [True]


def test_the_values_of_a_trace_have_all_their_fields() -> None:
    """The recorder builds them without their constructors, which would set defaults."""
    simulation = world(Target(name="a", unusable=(SkipReason.NOT_CONFIGURED, "KEY")), Target(name="b"))
    current = walk(simulation)
    current.next(BEGAN)
    trace = current.record_success(ANSWER, BEGAN + 1.0).trace
    for value in (trace, *trace.attempts, *trace.skipped):
        assert vars(value).keys() == fields_dict(type(value)).keys()
    assert len(trace.steps) == 2


@pytest.mark.parametrize("arm", ["candidate", None])
def test_each_kind_of_event_has_the_arm_and_the_request(arm: str | None) -> None:
    """So does the trace, which neither fell back nor was a last resort unless the walk says so."""
    simulation = world(Target(name="a", retries=0), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    plain = walk(simulation)
    a, b = simulation.candidates
    recorder = Recorder(plain.chain, evolve(plain.request, arm=arm, streams=True), [a, b], BEGAN)
    before = a.health.get_breaker_states()
    call = Call(a, plain.request.request, 1, 10.0, a.health.admit(BEGAN), BEGAN, is_hedge=True)
    recorder.record_call(call)
    recorder.record_end(call, BEGAN, Outcome.ERROR, error=ProviderTimeoutError("slow"))
    a.health.record_failure(call.admission, BEGAN, target=True, provider=False)
    recorder.record_breaker_changes(a, before, BEGAN)
    recorder.record_skip(b, (SkipReason.NOT_CONFIGURED, "KEY"), BEGAN)
    recorder.record_hedge(a, 1.0)
    recorder.record_queued(b, 2, 3.0)
    recorder.record_withheld_retry(a)
    recorder.record_wait(a, 0.5)
    recorder.record_end_without_reply(BEGAN)
    events = simulation.events[1:]
    assert [(type(event).__name__, event.request, event.role, event.arm) for event in events] == [
        (name, 7, "scout", arm)
        for name in (
            *("RequestStarted", "AttemptStarted", "AttemptEnded", "BreakerChanged", "TargetSkipped"),
            *("Hedged", "Queued", "RetryWithheld", "Waiting", "RequestEnded"),
        )
    ]
    assert [event.is_hedge for event in select_events(events, AttemptEnded)] == [True]
    assert [event.is_streamed for event in select_events(events, AttemptEnded, RequestEnded)] == [True, True]
    trace = recorder.build_trace(BEGAN)
    assert (trace.arm, trace.fell_back, trace.last_resort) == (arm, False, False)


def test_a_hedge_that_answers_while_the_first_call_runs_fell_back_because_of_its_slowness() -> None:
    """The first target has neither failed nor been skipped."""
    simulation = world(Target(name="a"), Target(name="b"))
    plain = walk(simulation)
    recorder = Recorder(plain.chain, plain.request, simulation.candidates, BEGAN)
    recorder.record_reply(ANSWER, simulation.candidates[1], BEGAN, last_resort=False)
    (end,) = select_events(simulation.events, RequestEnded)
    assert (end.fallback_provider, end.fallback_reason) == ("a", "slow")


def test_a_hedge_that_answers_after_the_first_call_was_cancelled_fell_back_because_of_its_slowness() -> None:
    """A cancelled call has no error."""
    simulation = world(Target(name="a"), Target(name="b"))
    plain = walk(simulation)
    recorder = Recorder(plain.chain, plain.request, simulation.candidates, BEGAN)
    a = simulation.candidates[0]
    call = Call(a, plain.request.request, 1, 10.0, a.health.admit(BEGAN), BEGAN)
    recorder.record_end(call, BEGAN, Outcome.CANCELLED)
    recorder.record_reply(ANSWER, simulation.candidates[1], BEGAN, last_resort=False)
    (end,) = select_events(simulation.events, RequestEnded)
    assert end.fallback_reason == "slow"


def test_a_target_that_was_called_is_not_skipped() -> None:
    """When it cannot be called again, it has attempts already, and nothing says that it was skipped."""
    simulation = world(Target(name="a"), Target(name="b"))
    plain = walk(simulation)
    recorder = Recorder(plain.chain, plain.request, simulation.candidates, BEGAN)
    a, b = simulation.candidates
    error = RateLimitedError("slow down")
    call = Call(a, plain.request.request, 1, 10.0, a.health.admit(BEGAN), BEGAN)
    recorder.record_end(call, BEGAN, Outcome.ERROR, error=error)
    for candidate in (a, b):
        recorder.record_skip(candidate, (SkipReason.SUSPENDED, "7.5 s left"), BEGAN)
    skips = [event.skip for event in select_events(simulation.events, TargetSkipped)]
    assert [skip.target for skip in skips] == ["b:b"]
