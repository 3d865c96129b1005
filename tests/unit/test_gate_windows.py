"""The gate of a provider, to the second and to the token: windows, wake-ups, and turns that are given back."""

from __future__ import annotations

from kickai_providers_core.resilience.rate_limiter import NOBODY_KNOWS, Gate, Limits, Turn


def tokens_gate() -> Gate:
    """Return a gate that lets a hundred tokens in within a minute."""
    return Gate(Limits(tokens_per_minute=100))


def watched(turn: Turn) -> list[str]:
    """Return a list that grows whenever the turn is woken."""
    woken: list[str] = []
    turn.wake_with(lambda: woken.append("woken"))
    return woken


def test_a_turn_in_the_line_is_neither_inside_nor_gone() -> None:
    """And it says how many came before it."""
    gate = Gate(Limits(max_concurrency=1))
    first, second, third = (gate.enter(0, 0.0) for _ in range(3))
    assert [(turn.inside, turn.left, turn.ahead) for turn in (first, second, third)] == [
        (True, False, 0),
        (False, False, 0),
        (False, False, 1),
    ]
    assert second.wait_s(1.0) == third.wait_s(1.0) == NOBODY_KNOWS


def test_leaving_twice_frees_one_place() -> None:
    """A second leave is no error and changes nothing."""
    gate = Gate(Limits(max_concurrency=1))
    first, second, third = (gate.enter(0, 0.0) for _ in range(3))
    first.leave(1.0)
    first.leave(1.0)
    assert (gate.inside, second.inside, third.inside) == (1, True, False)


def test_nobody_is_woken_before_there_is_reason_to() -> None:
    """Not the one who just came, not the first in line when another comes, not one whom only time keeps out."""
    gate = Gate(Limits(max_concurrency=1))
    gate.enter(0, 0.0)
    waiting = watched(gate.enter(0, 0.0))
    gate.enter(0, 0.0)
    assert waiting == []
    timed = Gate(Limits(requests_per_minute=1))
    timed.enter(0, 0.0)
    turn = timed.enter(0, 10.0)
    assert watched(turn) == []
    assert turn.wait_s(20.0) == 40.0
    assert watched(turn) == []


def test_a_wake_up_that_came_too_early_is_not_lost() -> None:
    """Whoever begins to wait after being let in is woken at once."""
    gate = Gate(Limits(max_concurrency=1))
    first, second = gate.enter(0, 0.0), gate.enter(0, 0.0)
    first.leave(1.0)
    assert watched(second) == ["woken"]


def test_a_look_at_the_time_uses_the_wake_up_up() -> None:
    """Who has been told to watch the clock and has looked is not woken again for the same reason."""
    gate = Gate(Limits(requests_per_minute=1))
    gate.enter(0, 0.0)
    first, second = gate.enter(0, 10.0), gate.enter(0, 10.0)
    woken = watched(second)
    first.leave(20.0, used=False)
    assert woken == ["woken"]
    assert second.wait_s(20.0) == 40.0
    assert watched(second) == []


def test_the_last_token_of_a_minute_may_be_used() -> None:
    """A hundred are let in, and the hundred and first waits for the first to be a minute old."""
    gate = tokens_gate()
    gate.enter(40, 0.0)
    assert gate.enter(60, 1.0).inside
    assert gate.enter(1, 2.0).wait_s(3.0) == 57.0


def test_tokens_leave_the_window_with_their_call() -> None:
    """A minute later those of the first call are free, and those of the second are not."""
    for tokens, wait_s in ((70, 0.0), (75, 5.0)):
        gate = tokens_gate()
        gate.enter(20, 0.0)
        gate.enter(30, 10.0)
        assert gate.enter(tokens, 65.0).wait_s(65.0) == wait_s


def test_as_many_calls_must_grow_old_as_the_tokens_need() -> None:
    """Sixty more than there are: the first call is not enough, the first two are."""
    gate = tokens_gate()
    for tokens, at in ((40, 0.0), (40, 10.0), (20, 20.0)):
        gate.enter(tokens, at)
    assert gate.enter(60, 30.0).wait_s(30.0) == 40.0


def test_a_call_that_was_not_made_leaves_no_trace() -> None:
    """Neither its tokens nor its place in the minute count."""
    gate = Gate(Limits(tokens_per_minute=100, requests_per_minute=2))
    gate.enter(10, 0.0)
    gate.enter(80, 1.0).leave(2.0, used=False)
    assert gate.enter(90, 3.0).inside
    assert gate.enter(0, 4.0).wait_s(4.0) == 56.0


def test_a_turn_knows_whether_the_minute_counts_it() -> None:
    """Not in the line, not when its call is a minute old, not when it was never made."""
    gate = Gate(Limits(tokens_per_minute=100, max_concurrency=2))
    old, unused, waiting = gate.enter(50, 0.0), gate.enter(10, 0.0), gate.enter(30, 0.0)
    assert (old.recent, unused.recent) == (True, True)
    assert waiting.recent is False
    unused.leave(1.0, used=False)
    assert unused.recent is False
    assert (waiting.inside, waiting.recent) == (True, True)
    gate.enter(0, 60.5)
    assert (old.recent is False, waiting.recent) == (True, True)


def test_a_call_of_more_than_a_minute_changes_no_window_when_it_ends() -> None:
    """Its tokens have left the window before they were counted."""
    gate = tokens_gate()
    old = gate.enter(50, 0.0)
    gate.enter(30, 61.0)
    old.leave(62.0, tokens=100)
    assert gate.enter(70, 63.0).inside
