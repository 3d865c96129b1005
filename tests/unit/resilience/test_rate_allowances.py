"""What a rate limiter may admit of limits that processes share."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.leased_limits import ANSWER_S, MINUTE_S
from kickai_providers_core.resilience.rate_allowances import Allowances, Limits
from kickai_providers_core.resilience.rate_limiter import RateLimiter, Ticket

NOON = 12 * 3600.0


def build(share: int | None = None, **limits: int) -> Allowances:
    """Return leased allowances of one limit; of a limit per minute, the store has granted a share."""
    allowances = Allowances(Limits(**limits), float)
    allowances.lease()
    for limit in filter(None, (allowances.minute_requests, allowances.minute_tokens)):
        if share is not None:
            limit.set_share(share, NOON)
    return allowances


def make_call(tokens: int = 0, began: float = NOON) -> Ticket:
    """Return the ticket of a call."""
    ticket = Ticket(RateLimiter(Limits()), tokens, 0, 0)
    ticket.began = began
    return ticket


def find(allowances: Allowances, window: list[Ticket], *, tokens: int = 1, now: float = NOON) -> float:
    """Return when the allowances admit a call of some tokens after those of the window."""
    return allowances.find_slot(window, sum(each.tokens for each in window), make_call(tokens), now)


@pytest.mark.parametrize("limit", ["requests_per_minute", "tokens_per_minute", "requests_per_day", "tokens_per_day"])
def test_a_child_asks_the_store_before_it_uses_anything(limit: str) -> None:
    """The store answered its parent, so it is not taken for lost until it has had the time to answer."""
    allowances = build(share=5, **{limit: 10})
    find(allowances, [])
    for day_limit in filter(None, (allowances.day_requests, allowances.day_tokens)):
        day_limit.grant(5, 0, NOON)
    assert find(allowances, []) == NOON
    allowances.renew_after_fork()
    assert find(allowances, []) == NOON + ANSWER_S
    assert find(allowances, [], now=NOON + ANSWER_S) == NOON + ANSWER_S  # it is lost, which leaves one call


def test_a_share_that_is_used_up_lets_the_store_be_asked_for_one_call_more() -> None:
    """The request waits for the answer, as long as the whole limit has room."""
    allowances = build(share=2, requests_per_minute=10)
    assert find(allowances, [make_call(), make_call()]) == NOON + ANSWER_S
    assert allowances.minute_requests is not None
    assert allowances.minute_requests.demand.needed == 3
    assert allowances.is_asking


def test_a_limit_that_this_process_has_used_up_alone_is_not_asked_for() -> None:
    """Nothing is left to grant: the request waits until the oldest call has left the minute."""
    window = [make_call(10, NOON - 20.0), make_call(10, NOON)]
    for allowances in (build(share=2, requests_per_minute=2), build(share=20, tokens_per_minute=20)):
        assert find(allowances, window, tokens=5) == NOON - 20.0 + MINUTE_S
        assert not allowances.is_asking


def test_tokens_beyond_the_share_are_asked_for_together_with_those_in_use() -> None:
    """A call that fits exactly needs no answer."""
    allowances = build(share=10, tokens_per_minute=100)
    assert allowances.minute_tokens is not None
    assert find(allowances, [], tokens=10) == NOON
    assert not allowances.is_asking
    assert find(allowances, [make_call(5)], tokens=10) == NOON + ANSWER_S
    assert allowances.minute_tokens.demand.needed == 15


def test_after_a_denial_a_request_waits_for_its_own_minute() -> None:
    """With a share, until enough of its calls have left the minute; without one, for a minute."""
    for share, at in ((10, NOON - 20.0 + MINUTE_S), (0, NOON + MINUTE_S)):
        allowances = build(share=share, tokens_per_minute=100)
        window = [make_call(5, NOON - 20.0)]
        find(allowances, window, tokens=10)
        assert allowances.minute_tokens is not None
        allowances.minute_tokens.set_share(share, NOON)  # the store has no more
        assert find(allowances, window, tokens=10) == at


def test_all_requests_that_wait_are_asked_for_at_once() -> None:
    """Of a limit per minute what is in use counts too, since a share includes it; nothing is asked for without need."""
    limits = {"requests_per_minute": 50, "tokens_per_minute": 100, "requests_per_day": 50, "tokens_per_day": 100}
    for limit, needed in zip(limits, (3, 35, 2, 25), strict=True):
        allowances = build(share=1, **{limit: limits[limit]})
        allowed = next(
            filter(
                None,
                (
                    *(allowances.minute_requests, allowances.minute_tokens),
                    *(allowances.day_requests, allowances.day_tokens),
                ),
            )
        )
        allowances.count_waiting(1, 10, 2, 25)
        assert allowed.demand.needed == 0
        find(allowances, [make_call(10)])
        allowances.count_waiting(1, 10, 2, 25)
        assert allowed.demand.needed == needed


def test_tokens_that_were_just_used_keep_a_process_from_being_idle() -> None:
    """It keeps the block that it has."""
    allowances = build(tokens_per_day=1000)
    limit = allowances.day_tokens
    assert limit is not None
    find(allowances, [])
    limit.grant(110, 0, NOON)
    allowances.use(make_call(10), NOON)
    assert (limit.held, limit.find_wanted(NOON + 1.0)) == (100, 0)
    assert limit.find_wanted(NOON + 61.0) < 0
