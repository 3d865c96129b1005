"""A rate limiter whose limits are shared by several processes."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.rate_allowances import Allowances, Limits
from kickai_providers_core.resilience.rate_limiter import RateLimiter


def lease(limits: Limits) -> tuple[RateLimiter, list[str]]:
    """Return a limiter without a share yet, and the list of its questions to the store."""
    limiter, asked = RateLimiter(limits), []
    limiter.lease(lambda: asked.append("more"))
    return limiter, asked


def grant(limiter: RateLimiter, share: int, now: float, *, admit: bool) -> None:
    """Let the store grant a share of the calls per minute."""

    def change(allowances: Allowances, _calls: int, _tokens: int) -> None:
        assert allowances.minute_requests is not None
        allowances.minute_requests.set_share(share, now)

    limiter.exchange(now, change, admit=admit)


def test_the_store_is_asked_only_while_a_request_lacks_something() -> None:
    """Both when the request comes and when it looks again."""
    limiter, asked = lease(Limits(requests_per_minute=10))
    assert limiter.is_leased
    grant(limiter, 1, 0.0, admit=True)
    first = limiter.request_ticket(0, 0.0)
    assert (first.admitted, first.used_up, asked) == (True, "", [])
    second = limiter.request_ticket(0, 0.0)
    assert (second.admitted, asked) == (False, ["more"])
    second.get_wait_s(0.0)
    assert asked == ["more"] * 2
    grant(limiter, 1, 0.0, admit=True)  # the store has no more
    second.get_wait_s(0.0)
    assert asked == ["more"] * 2


@pytest.mark.parametrize("admit", [False, True])
def test_waiting_requests_are_admitted_by_an_exchange_on_demand(*, admit: bool) -> None:
    """Reading what is granted does not admit any."""
    limiter, _ = lease(Limits(requests_per_minute=10))
    grant(limiter, 1, 0.0, admit=True)
    limiter.request_ticket(0, 0.0)
    ticket, woken = limiter.request_ticket(0, 0.0), []
    ticket.on_wake(lambda: woken.append("now"))
    limiter.exchange(0.0, lambda allowances, _calls, _tokens: allowances.minute_requests.set_share(5, 0.0))
    assert not ticket.admitted
    grant(limiter, 5, 0.0, admit=admit)
    assert (ticket.admitted, woken) == (admit, ["now"] * admit)


@pytest.mark.parametrize("other", ["tokens_per_minute", "requests_per_day", "tokens_per_day"])
def test_a_store_that_answers_about_one_limit_is_not_lost_for_another(other: str) -> None:
    """Its thread was late, so that the answer about the other limit is old; the next one follows at once."""
    limiter, _ = lease(Limits(requests_per_minute=10, **{other: 20}))
    for now in (0.0, 5.0):
        limiter.exchange(now, lambda allowances, *_, now=now: grant_nothing(allowances, now))
    ticket = limiter.request_ticket(2, 5.0)
    grant(limiter, 5, 10.0, admit=True)
    assert not ticket.admitted
    limiter.exchange(20.0, lambda *_: None)
    assert ticket.get_wait_s(20.0) == 0.0  # no answer for ten seconds, although a request has asked


def grant_nothing(allowances: Allowances, now: float) -> None:
    """Answer about each limit that there is nothing left."""
    for minute_limit in filter(None, (allowances.minute_requests, allowances.minute_tokens)):
        minute_limit.set_share(0, now)
    for day_limit in filter(None, (allowances.day_requests, allowances.day_tokens)):
        day_limit.begin_day(0)
        day_limit.grant(0, 0, now)


def test_an_exchange_sees_the_calls_and_tokens_of_the_last_minute() -> None:
    """A call that began a minute ago does not count any more."""
    limiter = RateLimiter(Limits(requests_per_minute=10, tokens_per_minute=100))
    limiter.request_ticket(30, 0.0)
    limiter.request_ticket(20, 10.0)

    def read(_allowances: Allowances, calls: int, tokens: int) -> tuple[int, int]:
        return calls, tokens

    assert limiter.exchange(59.0, read) == (2, 50)
    assert limiter.exchange(60.0, read) == (1, 20)


def test_the_estimate_of_a_wait_follows_the_share() -> None:
    """Without a share nothing is known."""
    limiter, _ = lease(Limits(requests_per_minute=10))
    assert limiter.request_ticket(0, 0.0).admitted  # the store has never answered
    waiting = limiter.request_ticket(0, 0.0)
    assert not waiting.admitted
    assert limiter.estimate_wait_s(waiting, 0.0) == 0.0
    waiting.release(0.0, used=False)
    grant(limiter, 2, 0.0, admit=True)
    limiter.request_ticket(0, 5.0)
    assert limiter.estimate_wait_s(limiter.request_ticket(0, 6.0), 6.0) == 54.0
    alone = RateLimiter(Limits(requests_per_minute=2))
    alone.request_ticket(0, 0.0)
    alone.request_ticket(0, 0.0)
    assert alone.estimate_wait_s(alone.request_ticket(0, 6.0), 6.0) == 54.0


def test_each_waiting_request_waits_for_a_call_of_its_own_to_leave_the_minute() -> None:
    """The second one waits for the second call."""
    limiter = RateLimiter(Limits(requests_per_minute=3))
    for began in (0.0, 10.0, 20.0):
        limiter.request_ticket(0, began)
    waits_s = [limiter.estimate_wait_s(limiter.request_ticket(0, 20.0), 20.0) for _ in range(4)]
    assert waits_s == [40.0, 50.0, 60.0, 100.0]


def test_the_estimate_of_a_wait_is_the_median_of_the_latest_twenty_calls() -> None:
    """Older calls do not count."""
    limiter = RateLimiter(Limits(max_concurrency=1))
    for duration_s in [1.0] * 11 + [10.0] * 10:
        limiter.request_ticket(0, 0.0).release(duration_s)
    limiter.request_ticket(0, 0.0)
    assert limiter.estimate_wait_s(limiter.request_ticket(0, 0.0), 0.0) == 10.0
