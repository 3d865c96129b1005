"""The tally of retries, second by second."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.retry_budget import Budget, Mark, Tally


@pytest.mark.parametrize(
    ("tally", "affords"),
    [
        (Tally(0.0, 0), False),
        (Tally(0.0, 1), True),
        (Tally(0.0, 1, spent=1), False),
        (Tally(1.0, 0, requests=1), True),
        (Tally(1.0, 0, requests=1, spent=1), False),
    ],
)
def test_a_tally_that_never_looked_counts_from_nothing(tally: Tally, *, affords: bool) -> None:
    """All requests and all retries so far belong to its first minute."""
    assert tally.affords() is affords


def test_a_mark_is_set_at_most_once_a_second() -> None:
    """It says how many requests and retries had come before that second, the one that is looking not included."""
    tally = Tally(0.2, 10).seen(1, 1000.0)
    assert tally.marks == (Mark(1000.0, 0, 0),)
    tally = tally.spends().seen(3, 1000.9)
    assert tally.marks == (Mark(1000.0, 0, 0),)
    tally = tally.seen(6, 1001.0)
    assert tally.marks == (Mark(1000.0, 0, 0), Mark(1001.0, 5, 1))


def test_a_mark_goes_when_its_second_has_left_the_minute() -> None:
    """Sixty-one seconds later it is gone, and not a moment earlier."""
    tally = Tally(0.2, 10).seen(1, 1000.0)
    assert len(tally.seen(2, 1060.9).marks) == 2
    assert tally.seen(2, 1061.0).marks == (Mark(1061.0, 1, 0),)


def test_the_number_of_requests_never_goes_down() -> None:
    """A request that asks late may carry a smaller number than one that asked before."""
    tally = Tally(0.2, 10).seen(5, 1000.0)
    assert tally.requests == 5
    assert tally.seen(3, 1000.5).requests == 5
    assert tally.seen(3, 1002.0).marks[-1] == Mark(1002.0, 5, 0)


def test_a_budget_wants_to_be_told_of_requests_once_a_second() -> None:
    """At first at once, then a second after it was told."""
    budget = Budget(0.2, 10)
    assert budget.due == float("-inf")
    budget.count(1, 1000.0)
    assert budget.due == 1001.0
