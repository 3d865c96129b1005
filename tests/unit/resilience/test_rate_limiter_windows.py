"""A rate limiter to the second and to the token: windows, wake-ups and released tickets."""

from __future__ import annotations

from kickai_providers_core.resilience.rate_limiter import UNKNOWN_S, Limits, RateLimiter, Ticket


def tokens_rate_limiter() -> RateLimiter:
    """Return a rate_limiter that lets a hundred tokens in within a minute."""
    return RateLimiter(Limits(tokens_per_minute=100))


def watched(ticket: Ticket) -> list[str]:
    """Return a list that grows whenever the ticket is woken."""
    woken: list[str] = []
    ticket.on_wake(lambda: woken.append("woken"))
    return woken


def test_a_turn_in_the_line_is_neither_inside_nor_gone() -> None:
    """And it says how many came before it."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    first, second, third = (rate_limiter.request_ticket(0, 0.0) for _ in range(3))
    assert [(ticket.admitted, ticket.released, ticket.ahead) for ticket in (first, second, third)] == [
        (True, False, 0),
        (False, False, 0),
        (False, False, 1),
    ]
    assert second.wait_s(1.0) == third.wait_s(1.0) == UNKNOWN_S


def test_leaving_twice_frees_one_place() -> None:
    """A second leave is no error and changes nothing."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    first, second, third = (rate_limiter.request_ticket(0, 0.0) for _ in range(3))
    first.release(1.0)
    first.release(1.0)
    assert (rate_limiter.in_flight, second.admitted, third.admitted) == (1, True, False)


def test_nobody_is_woken_before_there_is_reason_to() -> None:
    """Not the one who just came, not the first in line when another comes, not one whom only time keeps out."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    rate_limiter.request_ticket(0, 0.0)
    waiting = watched(rate_limiter.request_ticket(0, 0.0))
    rate_limiter.request_ticket(0, 0.0)
    assert waiting == []
    timed = RateLimiter(Limits(requests_per_minute=1))
    timed.request_ticket(0, 0.0)
    ticket = timed.request_ticket(0, 10.0)
    assert watched(ticket) == []
    assert ticket.wait_s(20.0) == 40.0
    assert watched(ticket) == []


def test_a_wake_up_that_came_too_early_is_not_lost() -> None:
    """Whoever begins to wait after being let in is woken at once."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    first, second = rate_limiter.request_ticket(0, 0.0), rate_limiter.request_ticket(0, 0.0)
    first.release(1.0)
    assert watched(second) == ["woken"]


def test_a_look_at_the_time_uses_the_wake_up_up() -> None:
    """Who has been told to watch the clock and has looked is not woken again for the same reason."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=1))
    rate_limiter.request_ticket(0, 0.0)
    first, second = rate_limiter.request_ticket(0, 10.0), rate_limiter.request_ticket(0, 10.0)
    woken = watched(second)
    first.release(20.0, used=False)
    assert woken == ["woken"]
    assert second.wait_s(20.0) == 40.0
    assert watched(second) == []


def test_the_last_token_of_a_minute_may_be_used() -> None:
    """A hundred are let in, and the hundred and first waits for the first to be a minute old."""
    rate_limiter = tokens_rate_limiter()
    rate_limiter.request_ticket(40, 0.0)
    assert rate_limiter.request_ticket(60, 1.0).admitted
    assert rate_limiter.request_ticket(1, 2.0).wait_s(3.0) == 57.0


def test_tokens_leave_the_window_with_their_call() -> None:
    """A minute later those of the first call are free, and those of the second are not."""
    for tokens, wait_s in ((70, 0.0), (75, 5.0)):
        rate_limiter = tokens_rate_limiter()
        rate_limiter.request_ticket(20, 0.0)
        rate_limiter.request_ticket(30, 10.0)
        assert rate_limiter.request_ticket(tokens, 65.0).wait_s(65.0) == wait_s


def test_as_many_calls_must_grow_old_as_the_tokens_need() -> None:
    """Sixty more than there are: the first call is not enough, the first two are."""
    rate_limiter = tokens_rate_limiter()
    for tokens, at in ((40, 0.0), (40, 10.0), (20, 20.0)):
        rate_limiter.request_ticket(tokens, at)
    assert rate_limiter.request_ticket(60, 30.0).wait_s(30.0) == 40.0


def test_a_call_that_was_not_made_leaves_no_trace() -> None:
    """Neither its tokens nor its place in the minute count."""
    rate_limiter = RateLimiter(Limits(tokens_per_minute=100, requests_per_minute=2))
    rate_limiter.request_ticket(10, 0.0)
    rate_limiter.request_ticket(80, 1.0).release(2.0, used=False)
    assert rate_limiter.request_ticket(90, 3.0).admitted
    assert rate_limiter.request_ticket(0, 4.0).wait_s(4.0) == 56.0


def test_a_turn_knows_whether_the_minute_counts_it() -> None:
    """Not in the line, not when its call is a minute old, not when it was never made."""
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
