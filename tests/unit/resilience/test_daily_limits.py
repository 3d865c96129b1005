"""Limits per day: what a process counts by itself, what it leases, and how a request learns that one is used up."""

from __future__ import annotations

import pytest
from simulator import Target, World

from kickai_providers_core.resilience.actions import Call, WaitForSlot
from kickai_providers_core.resilience.leased_limits import DayLimit, Demand
from kickai_providers_core.resilience.rate_allowances import Limits
from kickai_providers_core.resilience.rate_limiter import RateLimiter
from kickai_providers_core.values.attempts import SkipReason

NOON = 12 * 3600.0
DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("limits", "shared"),
    [
        ({"requests_per_day": 1}, True),
        ({"tokens_per_day": 1}, True),
        ({"requests_per_minute": 1}, True),
        ({"tokens_per_minute": 1}, True),
        ({"max_concurrency": 1, "max_queue": 1}, False),
        ({}, False),
    ],
)
def test_limits_of_time_can_be_shared(limits: dict[str, int], *, shared: bool) -> None:
    """Those of calls at the same time cannot."""
    assert Limits(**limits).are_shared is shared


def test_requests_of_a_day_are_counted_until_midnight() -> None:
    """A call that was not made does not count, and the next day begins with the whole limit."""
    limiter = RateLimiter(Limits(requests_per_day=2))
    limiter.request_ticket(0, NOON).release(NOON, used=False)
    for _ in range(2):
        assert limiter.request_ticket(0, NOON).admitted
    refused = limiter.request_ticket(0, NOON)
    assert (refused.rejected, refused.day_ends_at) == (True, DAY_S)
    assert refused.used_up == "its 2 requests of the day, until 00:00 UTC, are used up"
    assert limiter.request_ticket(0, DAY_S).admitted


def test_tokens_of_a_day_are_those_that_were_used() -> None:
    """The estimate counts until the call has ended; a call of yesterday changes nothing today."""
    limiter = RateLimiter(Limits(tokens_per_day=100))
    call = limiter.request_ticket(60, NOON)
    assert limiter.request_ticket(60, NOON).used_up == "its 100 tokens of the day, until 00:00 UTC, are used up"
    call.release(NOON, tokens=40)
    late = limiter.request_ticket(60, NOON)
    assert late.admitted
    assert limiter.request_ticket(100, DAY_S).admitted
    late.release(DAY_S, tokens=0)
    assert limiter.request_ticket(1, DAY_S).rejected


def test_a_target_whose_day_is_used_up_is_skipped_with_that_reason() -> None:
    """The skip says until when."""
    limiter = RateLimiter(Limits(requests_per_day=1))
    assert limiter.request_ticket(0, 1000.0).admitted
    simulation = World([Target(name="a", rate_limiter=limiter), Target(name="b")])
    result = simulation.ask()
    assert result.order == ["b"]
    (skip,) = result.reply.skipped
    assert (skip.reason, skip.retry_in_s) == (SkipReason.DAILY_LIMIT, DAY_S - 1000.0)


def test_a_request_in_the_queue_learns_that_the_day_is_used_up() -> None:
    """Another request took the last call while it waited."""
    limiter = RateLimiter(Limits(requests_per_day=1, max_concurrency=1))
    running = limiter.request_ticket(0, 1000.0)
    running_of_yesterday = World([Target(name="a", rate_limiter=limiter), Target(name="b")])
    limiter._allowances.day_requests.held = 1  # one more call is left
    walk = running_of_yesterday.walk()
    assert isinstance(walk.next(1000.0), WaitForSlot)
    limiter._allowances.day_requests.held = 0  # and another process has taken it
    running.release(1001.0)
    action = walk.next(1001.0)
    assert isinstance(action, Call)
    assert action.candidate.provider == "b"
    assert [skip.reason for skip in walk._recorder.build_trace(1001.0).skipped] == [SkipReason.DAILY_LIMIT]


def test_an_amount_beyond_the_limit_is_not_available_today() -> None:
    """Whether or not the limit is leased."""
    for is_leased in (False, True):
        limit = DayLimit(10, is_leased=is_leased)
        limit.begin_day(0)
        assert limit.find_time(11, NOON) is None


def test_a_leased_day_counts_for_the_day_of_its_answer_only() -> None:
    """An answer that comes after midnight, and a correction of yesterday's call, change nothing."""
    limit = DayLimit(100, is_leased=True)
    limit.begin_day(3)
    limit.grant(10, 3, NOON)
    limit.grant(10, 2, NOON)
    limit.correct(4, 2)
    assert limit.held == 10
    limit.correct(4, 3)
    assert limit.held == 6


def test_a_leased_day_keeps_a_block_and_returns_it_when_idle() -> None:
    """A busy process holds a tenth; one without a call for a minute keeps little of it."""
    limit = DayLimit(100, is_leased=True)
    limit.begin_day(3)
    limit.use(0, NOON)
    assert limit.find_wanted(NOON) == 10
    limit.grant(10, 3, NOON)
    assert limit.find_wanted(NOON) == 0
    assert limit.find_wanted(NOON + 61.0) == -8


def test_a_lost_store_leaves_a_call_a_minute() -> None:
    """Never more of them than the limit; a store that answers without enough is read again later."""
    limit = DayLimit(2, is_leased=True)
    limit.begin_day(0)
    answer_at = limit.find_time(1, NOON)
    assert answer_at is not None
    assert answer_at > NOON
    limit.use(1, answer_at)
    assert limit.find_time(1, answer_at) == answer_at + 60.0
    limit.use(1, answer_at + 60.0)
    assert limit.find_time(1, answer_at + 120.0) is None


def test_a_slow_store_is_waited_for_within_the_day() -> None:
    """It has answered lately, so the limit is not known to be used up."""
    limit = DayLimit(10, is_leased=True, demand=Demand(answered_at=NOON))
    limit.begin_day(0)
    asked = limit.find_time(1, NOON)
    assert asked is not None
    assert limit.find_time(1, asked) == asked + 60.0
    limit.demand.record_answer(0, asked)
    assert limit.find_time(1, asked) is None
