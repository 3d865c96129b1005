"""A rate limiter to the second and to the token: windows, wake-ups and released tickets."""

from __future__ import annotations

from kickai_providers_core.resilience.rate_limiter import UNKNOWN_S, Limits, RateLimiter, Ticket


def tokens_rate_limiter() -> RateLimiter:
    """Return a rate limiter that admits a hundred tokens per minute."""
    return RateLimiter(Limits(tokens_per_minute=100))


def watched(ticket: Ticket) -> list[str]:
    """Return a list that grows whenever the ticket is woken."""
    woken: list[str] = []
    ticket.on_wake(lambda: woken.append("woken"))
    return woken


def test_a_queued_ticket_is_neither_admitted_nor_released() -> None:
    """It says how many tickets are ahead of it."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    first, second, third = (rate_limiter.request_ticket(0, 0.0) for _ in range(3))
    assert [(ticket.admitted, ticket.released, ticket.ahead) for ticket in (first, second, third)] == [
        (True, False, 0),
        (False, False, 0),
        (False, False, 1),
    ]
    assert second.get_wait_s(1.0) == third.get_wait_s(1.0) == UNKNOWN_S


def test_releasing_a_ticket_twice_frees_one_slot() -> None:
    """The second release does nothing."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    first, second, third = (rate_limiter.request_ticket(0, 0.0) for _ in range(3))
    first.release(1.0)
    first.release(1.0)
    assert (rate_limiter.in_flight, second.admitted, third.admitted) == (1, True, False)


def test_no_ticket_is_woken_without_a_reason() -> None:
    """Neither a new ticket, nor the first when another arrives, nor one that only time holds back."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    rate_limiter.request_ticket(0, 0.0)
    waiting = watched(rate_limiter.request_ticket(0, 0.0))
    rate_limiter.request_ticket(0, 0.0)
    assert waiting == []
    timed = RateLimiter(Limits(requests_per_minute=1))
    timed.request_ticket(0, 0.0)
    ticket = timed.request_ticket(0, 10.0)
    assert watched(ticket) == []
    assert ticket.get_wait_s(20.0) == 40.0
    assert watched(ticket) == []


def test_a_wake_up_before_the_wait_is_not_lost() -> None:
    """A ticket that starts to wait after its admission is woken at once."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    first, second = rate_limiter.request_ticket(0, 0.0), rate_limiter.request_ticket(0, 0.0)
    first.release(1.0)
    assert watched(second) == ["woken"]


def test_checking_the_time_consumes_the_wake_up() -> None:
    """A ticket that has checked is not woken again for the same reason."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=1))
    rate_limiter.request_ticket(0, 0.0)
    first, second = rate_limiter.request_ticket(0, 10.0), rate_limiter.request_ticket(0, 10.0)
    woken = watched(second)
    first.release(20.0, used=False)
    assert woken == ["woken"]
    assert second.get_wait_s(20.0) == 40.0
    assert watched(second) == []


def test_the_last_token_of_a_minute_may_be_used() -> None:
    """A hundred tokens are admitted; the next one waits until the first is a minute old."""
    rate_limiter = tokens_rate_limiter()
    rate_limiter.request_ticket(40, 0.0)
    assert rate_limiter.request_ticket(60, 1.0).admitted
    assert rate_limiter.request_ticket(1, 2.0).get_wait_s(3.0) == 57.0


def test_tokens_leave_the_window_with_their_call() -> None:
    """A minute later the first call's tokens are free, and the second call's are not."""
    for tokens, wait_s in ((70, 0.0), (75, 5.0)):
        rate_limiter = tokens_rate_limiter()
        rate_limiter.request_ticket(20, 0.0)
        rate_limiter.request_ticket(30, 10.0)
        assert rate_limiter.request_ticket(tokens, 65.0).get_wait_s(65.0) == wait_s


def test_a_ticket_waits_until_enough_tokens_have_left_the_window() -> None:
    """Sixty tokens too many: the first call leaving is not enough, the first two are."""
    rate_limiter = tokens_rate_limiter()
    for tokens, at in ((40, 0.0), (40, 10.0), (20, 20.0)):
        rate_limiter.request_ticket(tokens, at)
    assert rate_limiter.request_ticket(60, 30.0).get_wait_s(30.0) == 40.0


def test_a_call_that_was_not_made_is_not_counted() -> None:
    """Neither its tokens nor its slot count in the minute."""
    rate_limiter = RateLimiter(Limits(tokens_per_minute=100, requests_per_minute=2))
    rate_limiter.request_ticket(10, 0.0)
    rate_limiter.request_ticket(80, 1.0).release(2.0, used=False)
    assert rate_limiter.request_ticket(90, 3.0).admitted
    assert rate_limiter.request_ticket(0, 4.0).get_wait_s(4.0) == 56.0


def test_a_ticket_knows_whether_the_minute_counts_it() -> None:
    """Not in the queue, not when its call is a minute old, not when it was never made."""
    rate_limiter = RateLimiter(Limits(tokens_per_minute=100, max_concurrency=2))
    old, unused, waiting = (
        rate_limiter.request_ticket(50, 0.0),
        rate_limiter.request_ticket(10, 0.0),
        rate_limiter.request_ticket(30, 0.0),
    )
    assert (old.in_window, unused.in_window) == (True, True)
    assert waiting.in_window is False
    unused.release(1.0, used=False)
    assert unused.in_window is False
    assert (waiting.admitted, waiting.in_window) == (True, True)
    rate_limiter.request_ticket(0, 60.5)
    assert (old.in_window is False, waiting.in_window) == (True, True)


def test_a_call_of_more_than_a_minute_changes_no_window_when_it_ends() -> None:
    """Its tokens have left the window before they were counted."""
    rate_limiter = tokens_rate_limiter()
    old = rate_limiter.request_ticket(50, 0.0)
    rate_limiter.request_ticket(30, 61.0)
    old.release(62.0, tokens=100)
    assert rate_limiter.request_ticket(70, 63.0).admitted
