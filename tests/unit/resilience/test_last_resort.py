"""The end of a chain: stated delays, the last resort, and refusals by every target."""

from __future__ import annotations

import math

import pytest
from simulator import Target, World, always, script

from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ChainExhaustedError,
    DeadlineExceededError,
    InvalidReplyError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedRequestError,
    UnsupportedRequestError,
)
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.requests import Capability

YES = Reply(text="yes", finish_reason=FinishReason.STOP)
DAY_S = 86_400.0
TOOLS = Capability.TOOLS


@pytest.mark.parametrize(
    "error",
    [
        RateLimitedError("slow down", retry_after_s=600.0),
        QuotaExhaustedError("used up"),
        QuotaExhaustedError("used up", retry_after_s=600.0),
        AuthenticationError("refused", retry_after_s=600.0),
    ],
)
def test_the_last_resort_respects_a_stated_delay_and_a_quota(error: ProviderError) -> None:
    """No call is made before the stated time, though no other target is left."""
    simulation = World([Target(name="a", script=script(error), retries=0)])
    simulation.ask()
    until = simulation.candidates[0].health.get_available_at(simulation.now)
    simulation.now = until - 40.0
    result = simulation.ask()
    assert result.calls == []
    assert isinstance(result.error, ChainExhaustedError)
    assert result.error.skipped[0].reason is SkipReason.RESTING
    simulation.now = until
    assert simulation.ask().reply is not None


def test_the_last_resort_calls_the_next_target_when_the_first_stated_a_delay() -> None:
    """A target whose service has stated no delay is called, although it is due later."""
    simulation = World(
        [
            Target(name="a", script=script(RateLimitedError("x", retry_after_s=100.0)), retries=0),
            Target(name="b", script=script(AuthenticationError("x")), retries=0),
        ]
    )
    simulation.ask()
    result = simulation.ask()
    assert result.order == ["b"]
    assert result.reply is not None
    assert result.reply.last_resort


def test_a_refused_last_resort_call_does_not_count_in_the_limits_per_minute() -> None:
    """The request that is not made leaves its place to another one."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=2))
    limited = script(RateLimitedError("slow down", retry_after_s=600.0))
    simulation = World([Target(name="a", script=limited, retries=0, rate_limiter=rate_limiter)])
    assert simulation.ask().order == ["a"]
    assert simulation.ask().order == []
    assert rate_limiter.request_ticket(0, simulation.now).admitted
    assert not rate_limiter.request_ticket(0, simulation.now).admitted


def test_the_end_of_a_rate_limit_is_waited_for_before_a_later_target_is_called() -> None:
    """The last resort is only for targets that are due before it."""
    limited = script(RateLimitedError("slow down", retry_after_s=5.0))
    refused = script(AuthenticationError("refused"))
    simulation = World([Target(name="a", script=limited, retries=0), Target(name="b", script=refused, retries=0)])
    assert simulation.ask().order == ["a", "b"]
    result = simulation.ask()
    assert [(call.target, call.at) for call in result.calls] == [("a", 1005.0)]
    assert result.reply is not None
    assert not result.reply.last_resort


def test_the_end_of_a_rate_limit_is_waited_for_rather_than_called_before_it() -> None:
    """Also when the service has not stated it."""
    simulation = World([Target(name="a", script=script(RateLimitedError("slow down")), retries=0)])
    simulation.ask()
    due = simulation.candidates[0].health.get_available_at(simulation.now)
    result = simulation.ask(deadline_s=100.0)
    assert [(call.target, call.at) for call in result.calls] == [("a", due)]
    assert due > 1000.0


def test_one_last_resort_call_is_under_way_per_target() -> None:
    """Promise 2: other requests fail without calling it until that call has ended."""
    simulation = World([Target(name="a", script=script(AuthenticationError("x")), retries=0)])
    simulation.ask()
    first = simulation.walk()
    first.next(simulation.now)
    assert simulation.ask().calls == []
    first.record_cancellation(simulation.now)
    assert simulation.ask().order == ["a"]


def test_a_call_admitted_before_a_stated_delay_does_not_end_it() -> None:
    """Its late answer says nothing about the delay."""
    simulation = World([Target(name="a", script=script(RateLimitedError("x", retry_after_s=3600.0)), retries=0)])
    straggler = simulation.walk(deadline_s=9000.0)
    straggler.next(simulation.now)
    simulation.ask()
    due = simulation.candidates[0].health.get_available_at(simulation.now)
    straggler.record_success(YES, simulation.now + 1.0)
    assert simulation.candidates[0].health.get_available_at(simulation.now + 1.0) == due == simulation.now + 3600.0


@pytest.mark.parametrize(
    ("stated", "rests_s"),
    [(5.0, 5.0), (DAY_S + 1, DAY_S), (math.inf, DAY_S), (1e300, DAY_S), (math.nan, 30.0), (-1.0, 30.0), (0.0, 0.0)],
)
def test_a_stated_delay_has_a_ceiling(stated: float, rests_s: float) -> None:
    """No suspension lasts longer than a day, whatever a service states; an invalid delay counts as none."""
    simulation = World(
        [Target(name="a", script=always(lambda: RateLimitedError("x", retry_after_s=stated)), retries=0)]
    )
    simulation.ask(deadline_s=1.0)
    assert simulation.candidates[0].health.get_available_at(simulation.now) - simulation.now == rests_s


def test_the_ceiling_of_a_stated_delay_is_a_setting() -> None:
    """The setting also bounds the wait within one request."""
    policy = Policy(max_suspension_s=2.0)
    simulation = World([Target(name="a", script=script(RateLimitedError("x", retry_after_s=3600.0)))], policy=policy)
    assert simulation.ask().reply is not None
    assert simulation.now == 1002.0


def unfit(**fields: object) -> InvalidReplyError:
    """Return the failure of an answer that does not fit the schema of its request."""
    return InvalidReplyError("it does not fit the schema", due_to_request=True, **fields)


@pytest.mark.parametrize("make", [unfit, lambda: UnsupportedRequestError("no tools here")])
def test_a_failure_caused_by_the_request_changes_no_health(make: object) -> None:
    """The target is called once, then the next one; other requests find the first target unchanged."""
    simulation = World([Target(name="a", script=script(*(make() for _ in range(5)))), Target(name="b")])
    for _ in range(5):
        assert simulation.ask().order == ["a", "b"]
    assert simulation.candidates[0].health.get_breaker_states() == (BreakerState.CLOSED, BreakerState.CLOSED)
    assert simulation.candidates[0].health.admit(simulation.now) is not None
    assert simulation.candidates[0].health.target.breaker.errors == 0


def test_a_request_that_every_target_refuses_is_rejected_with_all_causes() -> None:
    """Targets that were skipped as incapable have refused it too."""
    simulation = World(
        [
            Target(
                name="a", script=always(lambda: UnsupportedRequestError("no schema")), capabilities=frozenset({TOOLS})
            ),
            Target(name="b"),
            Target(
                name="c", script=always(lambda: UnsupportedRequestError("no stop")), capabilities=frozenset({TOOLS})
            ),
        ]
    )
    result = simulation.ask(needs=[TOOLS])
    error = result.error
    assert type(error) is RejectedRequestError
    assert [str(each) for each in error.__cause__.exceptions] == ["a:a: no schema", "c:c: no stop"]
    assert [attempt.error for attempt in error.attempts] == list(error.__cause__.exceptions)
    assert [skip.position for skip in error.skipped] == [1]
    assert error.__cause__.message == "the error of each target"
    reasons = "a:a: no schema; c:c: no stop; b:b: incapable (no tools)"
    assert f"no target supports the request: {reasons}" in str(error)
    assert error.deadline_s == 30.0


@pytest.mark.parametrize(
    "other",
    [
        Target(name="b", script=always(lambda: ProviderUnavailableError("down")), retries=0),
        Target(name="b", script=always(lambda: ProviderTimeoutError("slow")), retries=0),
        Target(name="b", unusable=(SkipReason.NOT_CONFIGURED, "KEY")),
    ],
)
def test_a_request_is_not_rejected_when_a_target_failed_for_another_reason(other: Target) -> None:
    """It might be answered at another time, or with another setting."""
    simulation = World([Target(name="a", script=always(lambda: UnsupportedRequestError("no"))), other])
    assert isinstance(simulation.ask().error, ChainExhaustedError)


def test_a_chain_whose_targets_are_all_skipped_as_incapable_is_exhausted() -> None:
    """No target was called, so none has refused the request."""
    assert isinstance(World([Target(name="a")]).ask(needs=[TOOLS]).error, ChainExhaustedError)


def test_a_hedge_without_a_target_uses_no_budget() -> None:
    """Promise 8: the budget is used only for calls that are made."""
    simulation = World(
        [Target(name="a"), Target(name="b", unusable=(SkipReason.NOT_CONFIGURED, "KEY"))],
        hedging=Hedging(after_s=1.0, budget=0.0, floor=1),
    )
    for _ in range(3):
        walk = simulation.walk()
        walk.next(simulation.now)
        assert walk.hedge(simulation.now + 1.0) is None
        walk.record_cancellation(simulation.now + 1.0)
    assert simulation.hedges.budget.try_withdraw(3, simulation.now + 2.0)
    assert not simulation.hedges.budget.try_withdraw(3, simulation.now + 2.0)


def test_a_request_is_not_rejected_when_a_target_was_not_reached() -> None:
    """The deadline passed before the second target was called."""
    slow = Target(name="a", script=always(lambda: UnsupportedRequestError("no")), latency_s=9.99, timeout_s=20.0)
    result = World([slow, Target(name="b")]).ask(deadline_s=10.0)
    assert result.order == ["a"]
    assert isinstance(result.error, DeadlineExceededError)
