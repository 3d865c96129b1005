"""The schedule of the store's thread, on a virtual clock."""

from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.observability.store_schedule import FAILED_GAP_S, URGENT_GAP_S, Schedule


def run_due(schedule: Schedule, now: float, *, failed: bool = False) -> list[int]:
    """Run the jobs that are due, which takes no time, and return them."""
    due = list(schedule.find_due(now))
    for number in due:
        schedule.record_run(number, now, failed=failed)
    return due


def test_jobs_run_at_their_periods() -> None:
    """Each job has its own period and its own first run."""
    schedule = Schedule()
    assert schedule.find_wait_s(5.0) == inf
    assert schedule.add(1.0, first_at=10.0) == 0
    assert schedule.add(0.25, first_at=10.5) == 1
    assert schedule.find_wait_s(9.0) == 1.0
    assert run_due(schedule, 9.0) == []
    assert run_due(schedule, 10.0) == [0]
    assert schedule.find_wait_s(10.0) == 0.5
    assert run_due(schedule, 10.5) == [1]
    assert run_due(schedule, 11.0) == [0, 1]
    assert schedule.find_wait_s(20.0) == 0.0


def test_a_hastened_job_runs_at_once_and_then_after_the_gap() -> None:
    """The first change is written at once, the next ones together."""
    schedule = Schedule()
    schedule.add(60.0, first_at=100.0)
    schedule.hasten(0, 10.0)
    assert run_due(schedule, 10.0) == [0]
    schedule.hasten(0, 10.01)
    schedule.hasten(0, 10.02)
    assert run_due(schedule, 10.02) == []
    assert run_due(schedule, 10.0 + URGENT_GAP_S) == [0]
    assert schedule.find_wait_s(10.0 + URGENT_GAP_S) == 60.0


def test_hastening_never_delays() -> None:
    """A job that is due sooner anyway stays so."""
    schedule = Schedule()
    schedule.add(0.1, first_at=0.0)
    run_due(schedule, 0.0)
    schedule.hasten(0, 0.05)
    assert run_due(schedule, 0.1) == [0]


def test_a_failed_job_runs_after_a_second() -> None:
    """A failing store is not called more often, even for urgent changes."""
    schedule = Schedule()
    schedule.add(0.25, first_at=0.0)
    run_due(schedule, 0.0, failed=True)
    schedule.hasten(0, 0.3)
    assert schedule.find_wait_s(0.0) == FAILED_GAP_S
    assert run_due(schedule, FAILED_GAP_S) == [0]


@given(
    st.floats(URGENT_GAP_S, 5.0),
    st.lists(st.tuples(st.floats(0.0, 0.5), st.booleans(), st.booleans()), max_size=60),
)
def test_runs_keep_their_distance(period_s: float, steps: list[tuple[float, bool, bool]]) -> None:
    """Whatever is hastened, two runs are at least the gap apart, and none is later than the period or the gap."""
    schedule, now, ran_at, gap_s, latest_at = Schedule(), 0.0, -inf, 0.0, 0.0
    schedule.add(period_s, first_at=0.0)
    for step_s, hastens, fails in steps:
        now += step_s
        if hastens:
            schedule.hasten(0, now)
            latest_at = min(latest_at, max(now, ran_at + gap_s))
        is_due = run_due(schedule, now, failed=fails) == [0]
        assert is_due == (now >= latest_at)
        if is_due:
            assert now >= ran_at + gap_s
            gap_s = FAILED_GAP_S if fails else URGENT_GAP_S
            ran_at, latest_at = now, now + (max(period_s, FAILED_GAP_S) if fails else period_s)
