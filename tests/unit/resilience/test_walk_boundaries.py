"""The walk at the edges of its times, windows and limits."""

from __future__ import annotations

import pytest
from attrs import evolve
from simulator import Fixed, Target, World, always, script

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForSlot
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy, Rule
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.errors import (
    ChainExhaustedError,
    ContextLengthExceededError,
    DeadlineExceededError,
    InvalidRequestError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from kickai_providers_core.values.events import Queued
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.requests import Capability

BEGAN = 1000.0
ANSWER = Reply(text="yes", finish_reason=FinishReason.STOP)


def down(retry_after_s: float | None = None) -> ProviderUnavailableError:
    """Return the error of a service that answers 503."""
    return ProviderUnavailableError("down", status_code=503, retry_after_s=retry_after_s)


def world(*targets: Target, **settings: object) -> World:
    """Return a world without backoff waits."""
    return World(list(targets), **{"random": Fixed(0.0), **settings})


# Times.


def test_a_stated_delay_of_the_longest_backoff_is_still_a_backoff() -> None:
    """The request waits for four seconds, and the next target is not called."""
    assert world(Target(name="a", script=script(down(4.0))), Target(name="b")).ask().order == ["a", "a"]


def test_the_last_moment_for_a_retry_is_in_time() -> None:
    """A retry that leaves just the least time for an attempt is made."""
    simulation = world(Target(name="a", script=script(down()), latency_s=3.5), policy=Policy(min_attempt_s=0.5))
    assert simulation.ask(deadline_s=4.0).order == ["a", "a"]


def test_the_last_moment_for_an_attempt_after_a_rate_limit_is_in_time() -> None:
    """A target that may be called again at once is called when just the least time for an attempt is left."""
    limited = Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=0.0)), latency_s=3.5)
    assert world(limited, policy=Policy(min_attempt_s=0.5)).ask(deadline_s=4.0).order == ["a", "a"]


def test_a_rate_limit_that_ends_just_in_time_is_waited_for() -> None:
    """An attempt is made when exactly the minimum time for it is left."""
    limited = script(RateLimitedError("slow down", retry_after_s=29.5))
    assert world(Target(name="a", script=limited), policy=Policy(min_attempt_s=0.5)).ask().order == ["a", "a"]


def test_a_rate_limit_that_leaves_no_time_for_an_attempt_ends_the_request() -> None:
    """The request ends at once rather than just before its deadline."""
    simulation = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=29.97))))
    assert simulation.ask().order == ["a"]
    assert simulation.now == BEGAN


def test_a_delay_counts_from_the_end_of_the_call_that_stated_it() -> None:
    """It does not matter how long the calls took or when they began."""
    calls = script(down(20.0), down(5.0))
    result = world(Target(name="a", script=calls, latency_s=3.0)).ask(deadline_s=60.0)
    assert [call.at for call in result.calls] == pytest.approx([1000.0, 1023.0, 1031.0])


def test_a_rule_that_waits_without_a_delay_retries_at_once() -> None:
    """A rule that waits without a suspension retries at once."""
    limited = script(RateLimitedError("slow down"))
    result = world(Target(name="a", script=limited), policy=Policy(rate_limited=Rule(retry="wait"))).ask()
    assert [call.at for call in result.calls] == [BEGAN, BEGAN]


def test_an_error_with_just_enough_time_left_exhausts_the_chain() -> None:
    """With the minimum time left, the error is not a deadline error."""
    simulation = world(Target(name="a", retries=0), policy=Policy(min_attempt_s=0.5))
    walk = simulation.walk(4.0)
    walk.next(BEGAN)
    action = walk.record_failure(down(), BEGAN + 3.5)
    assert isinstance(action, Fail)
    assert isinstance(action.error, ChainExhaustedError)
    assert (action.error.deadline_s, action.error.elapsed_s) == (4.0, 3.5)


def test_an_error_that_ends_a_request_says_how_long_it_took() -> None:
    """It has the elapsed time and the deadline."""
    walk = world(Target(name="a")).walk(4.0)
    walk.next(BEGAN)
    error = InvalidRequestError("no")
    walk.record_failure(error, BEGAN + 1.5)
    assert (error.deadline_s, error.elapsed_s) == (4.0, 1.5)


# Rules.


def test_a_rule_without_a_suspension_suspends_nothing() -> None:
    """A stated delay then affects only the retry."""
    simulation = world(Target(name="a"), Target(name="b"))
    walk = simulation.walk()
    walk.next(BEGAN)
    walk.record_failure(down(9.0), BEGAN)
    assert simulation.candidates[0].health.find_active_suspension(BEGAN) is None
    assert [attempt.rests_s for attempt in walk._recorder.attempts] == [0.0]


def test_a_suspension_of_zero_seconds_is_none() -> None:
    """A rule may name what to suspend without a time, and the service may state none."""
    simulation = world(Target(name="a"), policy=Policy(timeout=Rule(rests="target")))
    walk = simulation.walk()
    walk.next(BEGAN)
    walk.record_failure(ProviderTimeoutError("slow"), BEGAN)
    assert simulation.candidates[0].health.find_active_suspension(BEGAN) is None


def test_an_attempt_records_the_suspension_of_its_target() -> None:
    """The time counts from the attempt's end."""
    simulation = world(Target(name="a"), Target(name="b"))
    walk = simulation.walk()
    walk.next(BEGAN)
    walk.record_failure(RateLimitedError("slow down", retry_after_s=7.5), BEGAN + 1.0)
    assert [attempt.rests_s for attempt in walk._recorder.attempts] == [7.5]


NO_FALLBACK = Policy(unavailable=Rule(retry="backoff", fall_back="never", counts=True))


@pytest.mark.parametrize(
    ("error", "retries", "policy", "calls"),
    [
        (down(), 1, NO_FALLBACK, 2),
        (down(20.0), 1, NO_FALLBACK, 1),
        (down(), 1, evolve(NO_FALLBACK, retry_share=0.0, retry_floor=0), 1),
    ],
    ids=["retries used up", "a delay too long", "no budget"],
)
def test_an_error_may_be_retried_without_a_fallback(
    error: ProviderUnavailableError, retries: int, policy: Policy, calls: int
) -> None:
    """It is retried as often as possible, then raised; the next target is never called."""
    result = world(
        Target(name="a", script=always(lambda: error), retries=retries), Target(name="b"), policy=policy
    ).ask()
    assert result.order == ["a"] * calls
    assert result.error is error


def test_any_rule_can_require_a_larger_window() -> None:
    """This includes errors that say nothing about tokens; then the known window counts."""
    refused = script(InvalidRequestError("too much"))
    targets = [Target(name="a", window=10, script=refused), Target(name="b", window=10), Target(name="c", window=11)]
    policy = Policy(invalid_request=Rule(fall_back="larger_window"))
    assert world(*targets, policy=policy).ask().order == ["a", "c"]


def test_any_known_window_is_larger_than_an_unknown_one() -> None:
    """When the window that was too small is unknown, any known one is worth a call."""
    too_long = script(ContextLengthExceededError("too long"))
    assert world(Target(name="a", script=too_long), Target(name="b", window=1)).ask().order == ["a", "b"]


# Limits.


def queued_walk(simulation: World, deadline_s: float = 8.0) -> Walk:
    """Return the walk of the scout, queued at the first target, which is busy."""
    assert isinstance(simulation.walk().next(BEGAN), Call)
    plain = simulation.walk(deadline_s)
    simulation.events.clear()
    walk = Walk(simulation.candidates, evolve(plain.chain, role="scout"), evolve(plain.request, number=7), BEGAN)
    assert isinstance(walk.next(BEGAN), WaitForSlot)
    return walk


@pytest.mark.parametrize(("others", "patience_s"), [(0, 7.95), (1, 4.0)])
def test_a_queued_request_says_how_long_it_will_wait(others: int, patience_s: float) -> None:
    """Half the time when another target is left, else all but the minimum for an attempt; it queues once."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = world(
        Target(name="a", rate_limiter=rate_limiter), *(Target(name=f"b{number}") for number in range(others))
    )
    queued_walk(simulation)
    queued = [event for event in simulation.events if isinstance(event, Queued)]
    assert queued == [
        Queued(request=7, role="scout", provider="a", model="a", ahead=0, patience_s=pytest.approx(patience_s))
    ]


def test_a_request_stays_in_the_queue_for_its_whole_wait() -> None:
    """It does not leave and queue again."""
    simulation = world(Target(name="a", rate_limiter=RateLimiter(Limits(max_concurrency=1))))
    assert isinstance(simulation.walk().next(BEGAN), Call)
    simulation.events.clear()
    simulation.ask(deadline_s=8.0)
    assert len([event for event in simulation.events if isinstance(event, Queued)]) == 1


def test_less_than_a_second_is_a_wait_as_well() -> None:
    """The first in the queue sleeps for half a second before the minute is over."""
    simulation = world(Target(name="a", rate_limiter=RateLimiter(Limits(requests_per_minute=1))))
    simulation.ask()
    simulation.now = BEGAN + 59.5
    assert simulation.walk().next(simulation.now) == Sleep(0.5)


def test_an_admission_that_comes_just_in_time_is_waited_for() -> None:
    """The last moment is the one at which the request would leave the queue."""
    simulation = world(Target(name="a", rate_limiter=RateLimiter(Limits(requests_per_minute=1))), Target(name="b"))
    simulation.ask()
    simulation.now = BEGAN + 56.0
    assert simulation.walk(8.0).next(simulation.now) == Sleep(4.0)


@pytest.mark.parametrize("came", [0.0, 30.03])
def test_an_admission_that_comes_too_late_ends_the_request_at_once(came: float) -> None:
    """With no other target left, there is nothing to wait for."""
    simulation = world(Target(name="a", rate_limiter=RateLimiter(Limits(requests_per_minute=1))))
    simulation.ask()
    simulation.now = BEGAN + came
    result = simulation.ask()
    assert isinstance(result.error, ChainExhaustedError | DeadlineExceededError)
    assert [skip.reason for skip in result.error.skipped] == [SkipReason.BUSY]
    assert simulation.now == BEGAN + came


def test_a_request_cancelled_just_after_its_admission_is_not_counted() -> None:
    """Its call was never made, so its slot in the minute is free."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, requests_per_minute=2))
    simulation = world(Target(name="a", rate_limiter=rate_limiter))
    first, second = simulation.walk(), simulation.walk()
    first.next(BEGAN)
    second.next(BEGAN)
    first.record_success(ANSWER, BEGAN + 1.0)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)
    second.record_cancellation(BEGAN + 1.0)
    assert rate_limiter.in_flight == 0
    assert isinstance(simulation.walk().next(BEGAN + 1.0), Call)


def test_a_last_resort_goes_through_the_rate_limiter() -> None:
    """It takes a slot while it is under way, counts its tokens, and releases the slot."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, tokens_per_minute=100))
    simulation = world(Target(name="a", rate_limiter=rate_limiter, retries=0), breaker=BreakerSettings(max_errors=1))
    first = simulation.walk()
    first.next(BEGAN)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN)
    forced = simulation.walk(tokens=70)
    assert isinstance(forced.next(BEGAN + 1.0), Call)
    assert rate_limiter.in_flight == 1
    reply = forced.record_success(ANSWER, BEGAN + 2.0)
    assert (reply.last_resort, rate_limiter.in_flight) == (True, 0)
    assert not rate_limiter.request_ticket(31, BEGAN + 3.0).admitted


def test_there_is_no_last_resort_at_a_full_rate_limiter() -> None:
    """Nothing is called, and no ticket is left in the queue."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = world(Target(name="a", rate_limiter=rate_limiter, retries=0), breaker=BreakerSettings(max_errors=1))
    first = simulation.walk()
    first.next(BEGAN)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN)
    rate_limiter.request_ticket(0, BEGAN)
    assert isinstance(simulation.ask().error, ChainExhaustedError)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)


def test_health_that_changed_while_a_request_was_queued_is_respected() -> None:
    """Admitted by the rate limiter and refused by the breaker, it releases its ticket and is not counted."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, requests_per_minute=2))
    simulation = world(
        Target(name="a", rate_limiter=rate_limiter), Target(name="b"), breaker=BreakerSettings(max_errors=1)
    )
    first, second = simulation.walk(), simulation.walk()
    first.next(BEGAN)
    assert isinstance(second.next(BEGAN), WaitForSlot)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN + 1.0)
    action = second.next(BEGAN + 1.0)
    assert isinstance(action, Call)
    assert action.candidate.provider == "b"
    assert rate_limiter.in_flight == 0
    assert rate_limiter.request_ticket(0, BEGAN + 1.0).admitted


# Words.


def test_a_skip_lists_all_missing_capabilities() -> None:
    """The order is always the same."""
    needs = [Capability.TOOLS, Capability.IMAGES]
    error = world(Target(name="a")).ask(needs=needs).error
    assert isinstance(error, ChainExhaustedError)
    assert [skip.detail for skip in error.skipped] == ["no images, tools"]


def test_a_skip_names_the_window_that_is_not_larger() -> None:
    """It has the window's size, or says that it is unknown."""
    too_long = ContextLengthExceededError("too long")
    result = world(
        Target(name="a", window=8, script=script(too_long)), Target(name="b", window=4), Target(name="c")
    ).ask()
    assert result.error is too_long
    assert [skip.detail for skip in too_long.skipped] == ["its window is 4 tokens", "its window is of unknown size"]


def test_a_result_without_an_attempt_raises_a_clear_error() -> None:
    """A result needs an attempt."""
    with pytest.raises(RuntimeError, match=r"^no attempt is running$"):
        world(Target(name="a")).walk().record_success(ANSWER, BEGAN)


def test_a_very_short_deadline_allows_no_attempt_in_its_second_half() -> None:
    """With less than half of it left, no further attempt is started."""
    walk = world(Target(name="a"), Target(name="b")).walk(0.08)
    walk.next(BEGAN)
    action = walk.record_failure(ProviderTimeoutError("slow"), BEGAN + 0.05)
    assert isinstance(action, Fail)
    assert isinstance(action.error, DeadlineExceededError)


def test_the_walk_records_requests_in_the_budget_once_a_second() -> None:
    """At the very second, and not before."""
    simulation = world(Target(name="a"))
    for after_s in (0.0, 0.9, 1.0):
        simulation.now = BEGAN + after_s
        simulation.ask()
    assert [each.at for each in simulation.retries._window.snapshots] == [BEGAN, BEGAN + 1.0]
