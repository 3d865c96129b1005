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
    """Four seconds are waited for; the next target is not asked."""
    assert world(Target(name="a", script=script(down(4.0))), Target(name="b")).ask().order == ["a", "a"]


def test_the_last_moment_for_a_retry_is_in_time() -> None:
    """A retry that leaves just the least time for an attempt is made."""
    there = world(Target(name="a", script=script(down()), latency_s=3.5), policy=Policy(min_attempt_s=0.5))
    assert there.ask(deadline_s=4.0).order == ["a", "a"]


def test_the_last_moment_for_a_second_chance_is_in_time() -> None:
    """A rate limit that is over just when an attempt can still be made is waited for."""
    limited = script(RateLimitedError("slow down", retry_after_s=29.5))
    assert world(Target(name="a", script=limited), policy=Policy(min_attempt_s=0.5)).ask().order == ["a", "a"]


def test_a_second_chance_without_time_for_an_attempt_is_none() -> None:
    """The request ends at once rather than just before its deadline."""
    there = world(Target(name="a", script=script(RateLimitedError("slow down", retry_after_s=29.97))))
    assert there.ask().order == ["a"]
    assert there.now == BEGAN


def test_a_delay_counts_from_the_end_of_the_call_that_stated_it() -> None:
    """However long the calls took and whenever they began."""
    calls = script(down(20.0), down(5.0))
    result = world(Target(name="a", script=calls, latency_s=3.0)).ask(deadline_s=60.0)
    assert [call.at for call in result.calls] == pytest.approx([1000.0, 1023.0, 1031.0])


def test_a_wait_without_a_stated_delay_is_none() -> None:
    """A rule that waits without a rest asks again at once."""
    limited = script(RateLimitedError("slow down"))
    result = world(Target(name="a", script=limited), policy=Policy(rate_limited=Rule(retry="wait"))).ask()
    assert [call.at for call in result.calls] == [BEGAN, BEGAN]


def test_an_error_at_the_last_moment_for_an_attempt_is_no_matter_of_the_deadline() -> None:
    """With just the least time left the chain is what is exhausted."""
    there = world(Target(name="a", retries=0), policy=Policy(min_attempt_s=0.5))
    walk = there.walk(4.0)
    walk.next(BEGAN)
    step = walk.record_failure(down(), BEGAN + 3.5)
    assert isinstance(step, Fail)
    assert isinstance(step.error, ChainExhaustedError)
    assert (step.error.deadline_s, step.error.elapsed_s) == (4.0, 3.5)


def test_an_error_that_ends_a_request_says_how_long_it_took() -> None:
    """And how long it might have taken."""
    walk = world(Target(name="a")).walk(4.0)
    walk.next(BEGAN)
    error = InvalidRequestError("no")
    walk.record_failure(error, BEGAN + 1.5)
    assert (error.deadline_s, error.elapsed_s) == (4.0, 1.5)


# Rules.


def test_a_rule_without_rest_leaves_nothing_alone() -> None:
    """A stated delay then concerns the retry and nobody else."""
    there = world(Target(name="a"), Target(name="b"))
    walk = there.walk()
    walk.next(BEGAN)
    walk.record_failure(down(9.0), BEGAN)
    assert there.candidates[0].health.active_suspension(BEGAN) is None
    assert [attempt.rests_s for attempt in walk.attempts] == [0.0]


def test_a_rest_of_no_length_is_none() -> None:
    """A rule may name whom to leave alone and no time, and the service may state none."""
    there = world(Target(name="a"), policy=Policy(timeout=Rule(rests="target")))
    walk = there.walk()
    walk.next(BEGAN)
    walk.record_failure(ProviderTimeoutError("slow"), BEGAN)
    assert there.candidates[0].health.active_suspension(BEGAN) is None


def test_an_attempt_says_for_how_long_its_target_rests() -> None:
    """In seconds from its end."""
    there = world(Target(name="a"), Target(name="b"))
    walk = there.walk()
    walk.next(BEGAN)
    walk.record_failure(RateLimitedError("slow down", retry_after_s=7.5), BEGAN + 1.0)
    assert [attempt.rests_s for attempt in walk.attempts] == [7.5]


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
def test_an_error_that_may_be_retried_and_not_routed_around(
    error: ProviderUnavailableError, retries: int, policy: Policy, calls: int
) -> None:
    """It is tried again as long as that can be, and then raised; the next target is never asked."""
    result = world(
        Target(name="a", script=always(lambda: error), retries=retries), Target(name="b"), policy=policy
    ).ask()
    assert result.order == ["a"] * calls
    assert result.error is error


def test_a_larger_window_can_be_asked_for_by_any_row() -> None:
    """Also by one whose errors say nothing of tokens; then the known window counts."""
    refused = script(InvalidRequestError("too much"))
    targets = [Target(name="a", window=10, script=refused), Target(name="b", window=10), Target(name="c", window=11)]
    policy = Policy(invalid_request=Rule(fall_back="larger_window"))
    assert world(*targets, policy=policy).ask().order == ["a", "c"]


def test_any_known_window_is_larger_than_an_unknown_one() -> None:
    """When nothing is known of the one that was too small, even the smallest is worth a try."""
    too_long = script(ContextLengthExceededError("too long"))
    assert world(Target(name="a", script=too_long), Target(name="b", window=1)).ask().order == ["a", "b"]


# Limits.


def in_line(there: World, deadline_s: float = 8.0) -> Walk:
    """Return the walk of the scout, in the line before the first target, which is taken."""
    assert isinstance(there.walk().next(BEGAN), Call)
    plain = there.walk(deadline_s)
    there.events.clear()
    walk = Walk(there.candidates, evolve(plain.chain, role="scout"), evolve(plain.request, number=7), BEGAN)
    assert isinstance(walk.next(BEGAN), WaitForSlot)
    return walk


@pytest.mark.parametrize(("others", "patience_s"), [(0, 7.95), (1, 4.0)])
def test_a_request_in_line_says_how_long_it_will_stand_there(others: int, patience_s: float) -> None:
    """Half the time when another target is left, else all but what an attempt needs; it lines up once."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    there = world(Target(name="a", rate_limiter=rate_limiter), *(Target(name=f"b{number}") for number in range(others)))
    in_line(there)
    queued = [event for event in there.events if isinstance(event, Queued)]
    assert queued == [
        Queued(request=7, role="scout", provider="a", model="a", ahead=0, patience_s=pytest.approx(patience_s))
    ]


def test_a_request_stays_in_line_for_all_of_its_patience() -> None:
    """It does not leave and come back: one line, one wait."""
    there = world(Target(name="a", rate_limiter=RateLimiter(Limits(max_concurrency=1))))
    assert isinstance(there.walk().next(BEGAN), Call)
    there.events.clear()
    there.ask(deadline_s=8.0)
    assert len([event for event in there.events if isinstance(event, Queued)]) == 1


def test_less_than_a_second_is_a_wait_as_well() -> None:
    """The first in line pauses for half a second before the minute is over."""
    there = world(Target(name="a", rate_limiter=RateLimiter(Limits(requests_per_minute=1))))
    there.ask()
    there.now = BEGAN + 59.5
    assert there.walk().next(there.now) == Sleep(0.5)


def test_a_turn_that_comes_just_in_time_is_waited_for() -> None:
    """Up to the very moment at which the line would be left."""
    there = world(Target(name="a", rate_limiter=RateLimiter(Limits(requests_per_minute=1))), Target(name="b"))
    there.ask()
    there.now = BEGAN + 56.0
    assert there.walk(8.0).next(there.now) == Sleep(4.0)


@pytest.mark.parametrize("came", [0.0, 30.03])
def test_a_turn_that_comes_too_late_ends_the_request_at_once(came: float) -> None:
    """With nothing else left, and no time for an attempt when it comes, there is nothing to wait for."""
    there = world(Target(name="a", rate_limiter=RateLimiter(Limits(requests_per_minute=1))))
    there.ask()
    there.now = BEGAN + came
    result = there.ask()
    assert isinstance(result.error, ChainExhaustedError | DeadlineExceededError)
    assert [skip.reason for skip in result.error.skipped] == [SkipReason.BUSY]
    assert there.now == BEGAN + came


def test_a_request_that_is_cancelled_just_after_it_was_let_in_counts_for_nothing() -> None:
    """Its call was never made, so that its place in the minute is free."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, requests_per_minute=2))
    there = world(Target(name="a", rate_limiter=rate_limiter))
    first, second = there.walk(), there.walk()
    first.next(BEGAN)
    second.next(BEGAN)
    first.record_success(ANSWER, BEGAN + 1.0)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)
    second.record_cancellation(BEGAN + 1.0)
    assert rate_limiter.in_flight == 0
    assert isinstance(there.walk().next(BEGAN + 1.0), Call)


def test_a_last_resort_goes_through_the_rate_limiter() -> None:
    """It takes a place while it is under way, counts its tokens, and frees the place."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, tokens_per_minute=100))
    there = world(Target(name="a", rate_limiter=rate_limiter, retries=0), breaker=BreakerSettings(max_errors=1))
    first = there.walk()
    first.next(BEGAN)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN)
    forced = there.walk(tokens=70)
    assert isinstance(forced.next(BEGAN + 1.0), Call)
    assert rate_limiter.in_flight == 1
    reply = forced.record_success(ANSWER, BEGAN + 2.0)
    assert (reply.last_resort, rate_limiter.in_flight) == (True, 0)
    assert not rate_limiter.request_ticket(31, BEGAN + 3.0).admitted


def test_a_last_resort_whose_gate_is_shut_is_none() -> None:
    """Nothing is called, and nobody is left in the line."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    there = world(Target(name="a", rate_limiter=rate_limiter, retries=0), breaker=BreakerSettings(max_errors=1))
    first = there.walk()
    first.next(BEGAN)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN)
    rate_limiter.request_ticket(0, BEGAN)
    assert isinstance(there.ask().error, ChainExhaustedError)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)


def test_health_that_changed_while_a_request_stood_in_line_is_respected() -> None:
    """Let in by the rate_limiter and refused by the breaker, it leaves at once and counts for nothing."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, requests_per_minute=2))
    there = world(Target(name="a", rate_limiter=rate_limiter), Target(name="b"), breaker=BreakerSettings(max_errors=1))
    first, second = there.walk(), there.walk()
    first.next(BEGAN)
    assert isinstance(second.next(BEGAN), WaitForSlot)
    first.record_failure(ProviderTimeoutError("slow"), BEGAN + 1.0)
    step = second.next(BEGAN + 1.0)
    assert isinstance(step, Call)
    assert step.candidate.provider == "b"
    assert rate_limiter.in_flight == 0
    assert rate_limiter.request_ticket(0, BEGAN + 1.0).admitted


# Words.


def test_all_that_is_lacking_is_told() -> None:
    """In one order, whatever the order of the request."""
    needs = [Capability.TOOLS, Capability.IMAGES]
    error = world(Target(name="a")).ask(needs=needs).error
    assert isinstance(error, ChainExhaustedError)
    assert [skip.detail for skip in error.skipped] == ["no images, tools"]


def test_a_window_that_is_no_larger_is_told() -> None:
    """With its size, or that it is unknown."""
    too_long = ContextLengthExceededError("too long")
    result = world(
        Target(name="a", window=8, script=script(too_long)), Target(name="b", window=4), Target(name="c")
    ).ask()
    assert result.error is too_long
    assert [skip.detail for skip in too_long.skipped] == ["its window is 4 tokens", "its window is of unknown size"]


def test_the_mistake_of_a_driver_is_named() -> None:
    """A result needs an attempt."""
    with pytest.raises(RuntimeError, match=r"^no attempt is running$"):
        world(Target(name="a")).walk().record_success(ANSWER, BEGAN)


def test_a_very_short_deadline_has_room_for_halves() -> None:
    """With less than half of it left, no further attempt is started."""
    walk = world(Target(name="a"), Target(name="b")).walk(0.08)
    walk.next(BEGAN)
    step = walk.record_failure(ProviderTimeoutError("slow"), BEGAN + 0.05)
    assert isinstance(step, Fail)
    assert isinstance(step.error, DeadlineExceededError)


def test_the_budget_hears_of_requests_once_a_second() -> None:
    """At the very second, and not before."""
    there = world(Target(name="a"))
    for after_s in (0.0, 0.9, 1.0):
        there.now = BEGAN + after_s
        there.ask()
    assert [each.at for each in there.retries._window.snapshots] == [BEGAN, BEGAN + 1.0]
