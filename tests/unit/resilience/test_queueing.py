"""Requests that cannot be admitted in time are refused at once: full queues, and waits longer than the time left."""

from __future__ import annotations

import pytest
from simulator import Target, World, always

from kickai_providers_core.resilience.actions import TICK_S, Call, Fail, Sleep, WaitForSlot
from kickai_providers_core.resilience.queueing import QueueWait
from kickai_providers_core.resilience.rate_limiter import UNKNOWN_S, Limits, RateLimiter
from kickai_providers_core.resilience.recorder import Recorder
from kickai_providers_core.values.attempts import Skip, SkipReason
from kickai_providers_core.values.errors import ChainExhaustedError, ProviderUnavailableError
from kickai_providers_core.values.events import Queued, TargetSkipped
from kickai_providers_core.values.replies import FinishReason, Reply

YES = Reply(text="yes", finish_reason=FinishReason.STOP)


def fill(rate_limiter: RateLimiter, calls: int, *, took_s: float | None = None) -> None:
    """Fill a rate limiter with calls, after one that took `took_s`."""
    if took_s is not None:
        rate_limiter.request_ticket(0, 1000.0 - took_s).release(1000.0)
    for _ in range(calls):
        assert rate_limiter.request_ticket(0, 1000.0).admitted


def test_a_full_queue_is_skipped_at_once() -> None:
    """The next target is called; without one the request ends at once, with that reason."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, max_queue=1))
    fill(rate_limiter, 1)
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    waiting = simulation.walk()
    assert isinstance(waiting.next(1000.0), WaitForSlot)
    result = simulation.ask()
    assert isinstance(result.error, ChainExhaustedError)
    assert simulation.now == 1000.0
    assert str(result.error.skipped[0]) == "a:a: busy (its queue is full: 1 request is waiting)"
    simulation = World([Target(name="a", rate_limiter=rate_limiter), Target(name="b")])
    assert simulation.ask().order == ["b"]
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 1)
    waiting.record_cancellation(1000.0)
    assert rate_limiter.waiting == 0


def test_a_queue_limit_of_zero_means_no_queue() -> None:
    """A request is admitted or refused, and never waits."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, max_queue=0))
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    first = simulation.walk()
    assert isinstance(first.next(1000.0), Call)
    assert isinstance(simulation.walk().next(1000.0), Fail)
    first.record_success(YES, 1001.0)
    assert isinstance(simulation.walk().next(1001.0), Call)


def test_a_request_retries_a_full_queue_only_once() -> None:
    """It does not try again after all other targets have failed."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, max_queue=0))
    fill(rate_limiter, 1)
    down = Target(name="b", script=always(lambda: ProviderUnavailableError("down")), retries=0)
    simulation = World([Target(name="a", rate_limiter=rate_limiter), down])
    result = simulation.ask()
    assert isinstance(result.error, ChainExhaustedError)
    assert result.order == ["b"]


@pytest.mark.parametrize(
    ("limit", "ahead", "took_s", "deadline_s", "refused"),
    [
        (1, 0, 2.0, 1.0, True),
        (1, 0, 2.0, 3.0, False),
        (1, 3, 2.0, 7.0, True),
        (1, 3, 2.0, 9.0, False),
        (2, 3, 2.0, 3.0, True),
        (2, 3, 2.0, 5.0, False),
        (1, 50, None, 1.0, False),
    ],
)
def test_a_request_does_not_queue_when_the_expected_wait_exceeds_its_time(
    limit: int, ahead: int, took_s: float | None, deadline_s: float, *, refused: bool
) -> None:
    """The latest calls give the estimate; before the first one has ended, the request waits."""
    rate_limiter = RateLimiter(Limits(max_concurrency=limit))
    fill(rate_limiter, limit, took_s=took_s)
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    for _ in range(ahead):
        rate_limiter.request_ticket(0, 1000.0)
    action = simulation.walk(deadline_s).next(1000.0)
    assert isinstance(action, Fail if refused else WaitForSlot)
    assert rate_limiter.waiting == ahead + (not refused)
    if refused:
        (skip,) = action.error.skipped
        assert skip.reason is SkipReason.BUSY
        assert skip.retry_in_s == took_s * (ahead + 1) / limit
        assert skip.detail.endswith(f"waiting before it, for an expected {skip.retry_in_s:.1f} s")


@pytest.mark.parametrize(("ahead", "wait_s"), [(0, 50.0), (1, 60.0), (2, 110.0), (3, 120.0), (5, 180.0)])
def test_the_wait_for_a_limit_per_minute_is_known(ahead: int, wait_s: float) -> None:
    """Each ticket in the queue is admitted a minute after the call that it follows."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=2))
    assert rate_limiter.request_ticket(0, 990.0).admitted
    assert rate_limiter.request_ticket(0, 1000.0).admitted
    for _ in range(ahead):
        rate_limiter.request_ticket(0, 1000.0)
    ticket = rate_limiter.request_ticket(0, 1000.0)
    assert rate_limiter.estimate_wait_s(ticket, 1000.0) == wait_s
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    ticket.release(1000.0, used=False)
    assert isinstance(simulation.walk(wait_s - 1.0).next(1000.0), Fail)
    assert isinstance(simulation.walk(wait_s + 1.0).next(1000.0), WaitForSlot | Sleep)


def test_the_median_of_the_latest_calls_gives_the_estimate() -> None:
    """A few slow calls do not change it."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    for took_s in (1.0, 9.0, 3.0, 2.0, 8.0):
        fill(rate_limiter, 0, took_s=took_s)
    fill(rate_limiter, 1)
    assert rate_limiter.estimate_wait_s(rate_limiter.request_ticket(0, 1000.0), 1000.0) == 3.0


def test_free_calls_add_nothing_to_the_wait_for_a_limit_per_minute() -> None:
    """However long calls take."""
    rate_limiter = RateLimiter(Limits(max_concurrency=3, requests_per_minute=1))
    fill(rate_limiter, 1, took_s=600.0)
    assert rate_limiter.estimate_wait_s(rate_limiter.request_ticket(0, 1000.0), 1000.0) == 60.0


def test_a_request_returns_to_a_long_queue_when_all_other_targets_failed() -> None:
    """It calls the next target first, and queues when that has failed."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    fill(rate_limiter, 1, took_s=6.0)
    down = Target(name="b", script=always(lambda: ProviderUnavailableError("down")), retries=0)
    simulation = World([Target(name="a", rate_limiter=rate_limiter), down])
    walk = simulation.walk(10.0)
    action = walk.next(1000.0)
    assert isinstance(action, Call)
    assert action.candidate.model == "b"
    assert isinstance(walk.record_failure(ProviderUnavailableError("down"), 1001.0), WaitForSlot)


def test_an_admitted_or_released_ticket_has_no_expected_wait() -> None:
    """It no longer waits for anything."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    fill(rate_limiter, 0, took_s=5.0)
    inside, waiting = rate_limiter.request_ticket(0, 1000.0), rate_limiter.request_ticket(0, 1000.0)
    waiting.release(1000.0, used=False)
    assert rate_limiter.estimate_wait_s(inside, 1000.0) == rate_limiter.estimate_wait_s(waiting, 1000.0) == 0.0


def queue_in(simulation: World, latest: float) -> QueueWait:
    """Return the queues of a request that makes no attempt after a time."""
    walk = simulation.walk()
    return QueueWait(Recorder(walk.chain, walk.request, simulation.candidates, simulation.now), latest)


def find_skips(simulation: World) -> list[Skip]:
    """Return the targets that were skipped, in order."""
    return [event.skip for event in simulation.events if isinstance(event, TargetSkipped)]


def test_a_request_that_is_in_no_queue_waits_for_nothing() -> None:
    """Checking and leaving change nothing then."""
    queue = queue_in(World([Target(name="a")]), latest=1010.0)
    assert queue.candidate is None
    assert queue.check(1000.0) is None
    queue.leave(1000.0)
    assert queue.left == {}


@pytest.mark.parametrize(
    ("ahead", "detail"),
    [
        (1, "its queue is full: 1 request is waiting"),
        (2, "its queue is full: 2 requests are waiting"),
    ],
)
def test_a_full_queue_is_described(ahead: int, detail: str) -> None:
    """The target is skipped, with the number of requests in its queue."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1, max_queue=ahead))
    fill(rate_limiter, 1)
    for _ in range(ahead):
        rate_limiter.request_ticket(0, 1000.0)
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    queue = queue_in(simulation, latest=1010.0)
    assert queue.enter(simulation.candidates[0], rate_limiter, 0, 1010.0, 1000.0) is False
    assert queue.left == {0: UNKNOWN_S}
    assert [skip.detail for skip in find_skips(simulation)] == [detail]


@pytest.mark.parametrize(("latest", "left"), [(1005.9, UNKNOWN_S), (1006.0, 1000.0), (1006.1, 1000.0)])
def test_a_queue_that_is_too_long_may_be_worth_waiting_in_later(latest: float, left: float) -> None:
    """The request returns to it when its slot is expected by the last moment for an attempt."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    fill(rate_limiter, 1, took_s=6.0)
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    queue = queue_in(simulation, latest=latest)
    assert queue.enter(simulation.candidates[0], rate_limiter, 0, 1003.0, 1000.0) is False
    assert queue.left == {0: left}
    assert rate_limiter.waiting == 0


def test_a_request_that_does_not_wait_leaves_the_queue_at_once() -> None:
    """The skip states when the limit ends, and no wait is reported."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=1))
    fill(rate_limiter, 1)
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    queue = queue_in(simulation, latest=1100.0)
    assert queue.enter(simulation.candidates[0], rate_limiter, 0, 1000.0, 1000.0) is True
    assert queue.candidate is simulation.candidates[0]
    assert queue.check(1000.0) is None
    assert (queue.candidate, queue.left) == (None, {0: 1060.0})
    (skip,) = find_skips(simulation)
    assert (skip.detail, skip.retry_in_s) == ("0 requests waited before it", 60.0)
    assert not any(isinstance(event, Queued) for event in simulation.events)


@pytest.mark.parametrize(("now", "is_admitted"), [(1010.0, True), (1010.1, False)])
def test_a_slot_is_used_until_the_last_moment_for_an_attempt(now: float, *, is_admitted: bool) -> None:
    """Later the request leaves the queue."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = World([Target(name="a", rate_limiter=rate_limiter)])
    queue = queue_in(simulation, latest=1010.0)
    assert queue.enter(simulation.candidates[0], rate_limiter, 0, 1010.0, 1000.0) is True
    assert (queue.check(now) is not None) is is_admitted
    assert rate_limiter.in_flight == is_admitted


def test_a_request_leaves_the_queue_one_tick_before_its_last_moment() -> None:
    """A shorter wait counts as over."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    rate_limiter.request_ticket(0, 0.0)
    simulation = World([Target(name="a", rate_limiter=rate_limiter)], now=0.0)
    queue = queue_in(simulation, latest=10.0)
    assert queue.enter(simulation.candidates[0], rate_limiter, 0, 2 * TICK_S, 0.0) is True
    assert isinstance(queue.check(0.5 * TICK_S), WaitForSlot)
    assert queue.check(TICK_S) is None
    assert queue.left == {0: TICK_S}
