"""The tally of retries, second by second."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.retry_budget import BudgetWindow, RetryBudget, Snapshot


@pytest.mark.parametrize(
    ("tally", "affords"),
    [
        (BudgetWindow(0.0, 0), False),
        (BudgetWindow(0.0, 1), True),
        (BudgetWindow(0.0, 1, withdrawn=1), False),
        (BudgetWindow(1.0, 0, requests=1), True),
        (BudgetWindow(1.0, 0, requests=1, withdrawn=1), False),
    ],
)
def test_a_new_tally_counts_from_zero(tally: BudgetWindow, *, affords: bool) -> None:
    """All requests and all retries so far belong to its first minute."""
    assert tally.can_withdraw() is affords


def test_a_mark_is_set_at_most_once_a_second() -> None:
    """It holds the requests and retries from before that second, without the current one."""
    tally = BudgetWindow(0.2, 10).advance(1, 1000.0)
    assert tally.snapshots == (Snapshot(1000.0, 0, 0),)
    tally = tally.withdraw().advance(3, 1000.9)
    assert tally.snapshots == (Snapshot(1000.0, 0, 0),)
    tally = tally.advance(6, 1001.0)
    assert tally.snapshots == (Snapshot(1000.0, 0, 0), Snapshot(1001.0, 5, 1))


def test_a_mark_expires_after_sixty_one_seconds() -> None:
    """It is gone then, and not a moment earlier."""
    tally = BudgetWindow(0.2, 10).advance(1, 1000.0)
    assert len(tally.advance(2, 1060.9).snapshots) == 2
    assert tally.advance(2, 1061.0).snapshots == (Snapshot(1061.0, 1, 0),)


def test_the_number_of_requests_never_goes_down() -> None:
    """A late request may carry a smaller number than an earlier one."""
    tally = BudgetWindow(0.2, 10).advance(5, 1000.0)
    assert tally.requests == 5
    assert tally.advance(3, 1000.5).requests == 5
    assert tally.advance(3, 1002.0).snapshots[-1] == Snapshot(1002.0, 5, 0)


def test_requests_are_recorded_once_a_second() -> None:
    """The first is recorded at once, the next a second later."""
    budget = RetryBudget(0.2, 10)
    assert budget._next_snapshot == float("-inf")
    budget.record_request(1, 1000.0)
    assert budget._next_snapshot == 1001.0


def test_a_refunded_call_is_available_again_and_adds_nothing() -> None:
    """The budget holds one call, at once and a minute after the refunded one."""
    window = BudgetWindow(0.0, 1).advance(1, 1000.0, new=0).withdraw().advance(1, 1002.0).refund(1000.0)
    assert window.can_withdraw()
    assert not window.withdraw().can_withdraw()
    window = window.advance(1, 1061.5)
    assert window.can_withdraw()
    assert not window.withdraw().can_withdraw()


def test_a_child_process_uses_its_own_lock_and_keeps_the_counts() -> None:
    """A lock that a thread of the parent held at the fork is never released in the child."""
    budget = RetryBudget(0.0, 1)
    with budget._lock:
        budget.renew_after_fork()
        assert budget.try_withdraw(1, 1000.0)
    assert not budget.try_withdraw(1, 1000.0)
