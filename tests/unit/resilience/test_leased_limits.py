"""The arithmetic of limits that processes lease: blocks, the store's answers, and what is leased ahead of need."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.leased_limits import (
    ANSWER_S,
    DENIED_S,
    LONG_AGO,
    LOST_S,
    MINUTE_S,
    DayLimit,
    Demand,
    divide_limit,
    find_block_size,
)

NOON = 12 * 3600.0


@pytest.mark.parametrize(
    ("limit", "sizes"),
    [(1, (1,)), (5, (1,) * 5), (20, (2,) * 10), (25, (2,) * 12 + (1,)), (100, (10,) * 10), (109, (10,) * 10 + (9,))],
)
def test_the_blocks_of_a_limit(limit: int, sizes: tuple[int, ...]) -> None:
    """Each is a tenth, except for a smaller last one; no block is empty, and their sum is the limit."""
    assert divide_limit(limit) == sizes
    assert find_block_size(limit) == sizes[0]


def test_a_denial_counts_for_a_second() -> None:
    """Then the store is asked again; an answer that is just enough does not deny."""
    demand = Demand()
    demand.find_answer_time(5, NOON)
    demand.record_answer(5, NOON)
    assert demand.find_answer_time(5, NOON) == NOON + ANSWER_S
    demand.record_answer(4, NOON)
    assert demand.find_answer_time(5, NOON + DENIED_S / 2) == NOON + DENIED_S / 2
    assert demand.find_answer_time(5, NOON + DENIED_S) == NOON + DENIED_S + ANSWER_S


@pytest.mark.parametrize(
    ("answered_at", "wait_s"),
    [
        (NOON, ANSWER_S),
        (NOON - LOST_S, ANSWER_S),
        (NOON - LOST_S - 0.25, 0.0),
        (None, ANSWER_S),
        (LONG_AGO, ANSWER_S),
    ],
)
def test_no_request_waits_for_a_store_that_has_stopped_answering(answered_at: float | None, wait_s: float) -> None:
    """One that has not been asked before, as in a new process or a forked child, may still answer."""
    demand = Demand(answered_at=answered_at)
    assert demand.find_answer_time(1, NOON) == NOON + wait_s
    assert demand.asked_at == NOON
    assert not demand.is_lost(NOON) or answered_at is None


def test_a_store_is_lost_when_it_answers_neither_now_nor_lately() -> None:
    """A question that has just been asked, or an answer of the last seconds, keeps it."""
    demand = Demand(answered_at=NOON, asked_at=NOON + 10.0)
    assert not demand.is_lost(NOON + 10.0 + ANSWER_S / 2)
    assert demand.is_lost(NOON + 10.0 + ANSWER_S)
    demand = Demand(answered_at=NOON, asked_at=NOON + 1.0)
    assert not demand.is_lost(NOON + LOST_S)
    assert demand.is_lost(NOON + LOST_S + 0.25)


def test_the_whole_limit_of_a_day_may_be_asked_for() -> None:
    """One call may need all of it."""
    limit = DayLimit(10, is_leased=True)
    limit.begin_day(0)
    assert limit.find_time(10, NOON) == NOON + ANSWER_S
    assert limit.demand.needed == 10


def test_only_calls_without_a_lease_are_counted_apart() -> None:
    """A call that uses up exactly what is held has a lease, and without sharing no call needs one."""
    leased = DayLimit(10, is_leased=True)
    leased.begin_day(0)
    leased.grant(5, 0, NOON)
    leased.use(1, NOON)
    leased.use(4, NOON)
    assert (leased.held, leased.unleased) == (0, 0)
    leased.use(3, NOON)
    assert (leased.held, leased.unleased, leased.unleased_at) == (-3, 3, NOON)
    alone = DayLimit(10)
    alone.begin_day(0)
    alone.use(11, NOON)
    assert (alone.held, alone.unleased) == (-1, 0)


@pytest.mark.parametrize(("held", "wanted"), [(0, 10), (3, 7), (5, 5), (6, 0), (8, 0), (10, 0), (12, 0)])
def test_a_busy_process_leases_when_half_of_its_block_is_used(held: int, wanted: int) -> None:
    """It returns nothing, even if it holds more than a block."""
    limit = DayLimit(100, is_leased=True)
    limit.begin_day(0)
    limit.grant(held, 0, NOON)
    limit.use(0, NOON)
    assert limit.find_wanted(NOON + MINUTE_S) == wanted


def test_an_idle_process_returns_what_it_does_not_need() -> None:
    """It keeps a tenth of a block and one more, unless a request needs it all."""
    limit = DayLimit(100, is_leased=True)
    limit.begin_day(0)
    limit.grant(10, 0, NOON)
    limit.use(0, NOON)
    assert limit.find_wanted(NOON + MINUTE_S + 1.0) == -8
    limit.demand.find_answer_time(30, NOON + MINUTE_S)
    assert limit.find_wanted(NOON + MINUTE_S + 1.0) == 20
