"""Things that expire: suspensions that have ended, tickets that came late, requests that are no longer recent."""

from __future__ import annotations

import pytest
from crowd import Crowd
from simulator import Fixed, Target, World, always, script

from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values.errors import (
    DeadlineExceededError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)


@pytest.mark.parametrize("left_s", [7.0, 3.0])
def test_a_target_whose_rate_limit_ended_meanwhile_is_called_again(left_s: float) -> None:
    """It is called whether the delay ends before or after the other targets have failed."""
    limited = RateLimitedError("slow down", retry_after_s=5.0 + left_s)
    silent = ProviderTimeoutError("silence")
    simulation = World(
        [
            Target(name="a", script=script(limited)),
            Target(name="b", script=script(None, silent), latency_s=5.0, retries=0),
        ]
    )
    assert simulation.ask().order == ["a", "b"]
    result = simulation.ask()
    assert result.order == ["b", "a"]
    assert result.reply is not None


def test_a_ticket_admitted_after_the_deadline_is_not_an_attempt() -> None:
    """When the driver resumes after the deadline, nothing is called and no health changes."""
    simulation = World([Target(name="a", rate_limiter=RateLimiter(Limits(max_concurrency=1)))])
    crowd = Crowd(simulation)
    first, second = crowd.add_request(30.0), crowd.add_request(3.0)
    for request in (first, second):
        crowd.advance(request)
    crowd.end_call(first, first.under_way[0], None)
    assert second.woken
    simulation.now += 4.0
    crowd.advance(second)
    assert (second.over, second.walk._recorder.attempts) == (True, [])
    assert simulation.candidates[0].rate_limiter.in_flight == 0


def test_after_the_deadline_there_is_no_last_resort() -> None:
    """A request that is admitted too late, by a target whose breaker has opened meanwhile, ends without a call."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = World([Target(name="a", rate_limiter=rate_limiter)], breaker=BreakerSettings(max_errors=1))
    crowd = Crowd(simulation)
    first, second = crowd.add_request(30.0), crowd.add_request(3.0)
    for request in (first, second):
        crowd.advance(request)
    simulation.now += 4.0
    crowd.end_call(first, first.under_way[0], ProviderUnavailableError("down"))
    crowd.advance(second)
    assert isinstance(second.outcome, DeadlineExceededError)
    assert second.walk._recorder.attempts == []


def test_a_queue_is_left_while_an_attempt_could_still_finish() -> None:
    """This also holds for a queue in the middle of the chain and a request that was admitted at the last moment."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = World(
        [Target(name="a", rate_limiter=rate_limiter), Target(name="b")], policy=Policy(min_attempt_s=2.0)
    )
    crowd = Crowd(simulation)
    first, second = crowd.add_request(30.0), crowd.add_request(4.0)
    crowd.advance(first)
    simulation.now += 1.5
    crowd.advance(second)
    crowd.pass_time(1.0)
    crowd.end_call(first, first.under_way[0], None)
    crowd.pass_time(0.0)
    assert second.under_way[0].timeout_s >= 2.0


def test_only_the_requests_of_the_last_minute_pay_for_retries() -> None:
    """It does not matter when the request that wants a retry began."""
    down = ProviderUnavailableError("down")
    simulation = World(
        [Target(name="a", script=always(lambda: down), retries=1)],
        policy=Policy(retry_share=0.2, retry_floor=0),
        breaker=BreakerSettings(max_errors=10**9),
        random=Fixed(0.0),
    )
    crowd = Crowd(simulation)
    many = [crowd.add_request(100.0) for _ in range(101)]
    crowd.advance(many[1])
    simulation.now += 50.0
    crowd.end_call(many[1], many[1].under_way[0], down)
    simulation.now += 50.0
    assert len(simulation.ask().calls) == 1


def test_a_request_that_began_long_ago_does_not_add_to_the_budget() -> None:
    """With nine requests a minute ago and four just now, a fifth of the four pay for no retry."""
    down = ProviderUnavailableError("down")
    simulation = World([Target(name="a", retries=1)], policy=Policy(retry_share=0.2, retry_floor=0), random=Fixed(0.0))
    crowd = Crowd(simulation)
    old = [crowd.add_request(100.0) for _ in range(9)]
    for request in old[:2]:
        crowd.advance(request)
    simulation.now += 61.5
    crowd.end_call(old[0], old[0].under_way[0], down)
    for _ in range(4):
        crowd.add_request(1.0)
    crowd.end_call(old[1], old[1].under_way[0], down)
    assert [request.over for request in old[:2]] == [True, True]
