"""Requests at a provider with limits: on a virtual clock, and on real threads and event loops."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from typing import Any

import pytest
from attrs import frozen
from simulator import Fixed, Target, World, always

from kickai_providers_core import (
    ChainExhaustedError,
    DeadlineExceededError,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderSettings,
    Reply,
    Resolver,
    Settings,
    SkipReason,
    Usage,
    hookimpl,
)
from kickai_providers_core.resilience.actions import Call, Sleep, WaitForSlot
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values.errors import ProviderUnavailableError
from kickai_providers_core.values.events import Queued


def down() -> ProviderUnavailableError:
    """Return the error of a service that answers 503."""
    return ProviderUnavailableError("down", status_code=503)


def answer(tokens: int = 0) -> Reply:
    """Return an answer that used this number of tokens."""
    return Reply(text="yes", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=tokens, output_tokens=0))


def one_at_a_time(*others: Target, **target: Any) -> tuple[RateLimiter, World]:
    """Return a world whose first target serves one call at a time, and its rate limiter."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    return rate_limiter, World([Target(name="a", rate_limiter=rate_limiter, **target), *others], random=Fixed(0.0))


def test_a_queued_request_is_admitted_when_the_first_is_answered() -> None:
    """The second request is admitted and woken as soon as the first has its answer."""
    rate_limiter, world = one_at_a_time()
    first, second = world.walk(), world.walk()
    assert isinstance(first.next(1000.0), Call)
    action = second.next(1000.0)
    assert isinstance(action, WaitForSlot)
    woken: list[bool] = []
    action.ticket.on_wake(lambda: woken.append(True))
    first.record_success(answer(), 1004.0)
    assert woken == [True]
    going = second.next(1004.0)
    assert isinstance(going, Call)
    assert (going.number, going.began) == (1, 1004.0)
    second.record_success(answer(), 1005.0)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0)
    queued = [event for event in world.events if isinstance(event, Queued)]
    assert [(event.request, event.ahead, event.provider) for event in queued] == [(2, 0, "a")]


def test_half_the_time_is_kept_for_the_next_target() -> None:
    """A request leaves a queue that does not move in time to call the next target."""
    rate_limiter, world = one_at_a_time(Target(name="b"))
    assert isinstance(world.walk().next(world.now), Call)
    result = world.ask(deadline_s=8.0)
    assert [(call.target, call.at) for call in result.calls] == [("b", pytest.approx(1004.0, abs=0.01))]
    assert result.reply is not None
    assert [(skip.reason, skip.detail) for skip in result.reply.skipped] == [
        (SkipReason.BUSY, "0 requests waited before it")
    ]
    assert rate_limiter.waiting == 0


def test_the_only_target_is_waited_for_while_an_attempt_can_still_be_made() -> None:
    """Then the request ends just before its deadline, and the error says why."""
    rate_limiter, world = one_at_a_time()
    assert isinstance(world.walk().next(world.now), Call)
    error = world.ask(deadline_s=8.0).error
    assert isinstance(error, ChainExhaustedError | DeadlineExceededError)
    assert [skip.reason for skip in error.skipped] == [SkipReason.BUSY]
    assert world.now == pytest.approx(1008.0, abs=0.06)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)


def test_a_request_does_not_wait_for_a_limit_that_ends_too_late() -> None:
    """When the minute's calls are used up, the next target is called at once, and the skip says when the limit ends."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=1))
    world = World([Target(name="a", rate_limiter=rate_limiter), Target(name="b")])
    world.ask()
    result = world.ask()
    assert (result.order, world.now) == (["b"], 1000.0)
    assert result.reply is not None
    assert result.reply.skipped[0].retry_in_s == pytest.approx(60.0)
    world.now = 1050.0
    assert world.ask().order == ["a"]
    assert world.now == pytest.approx(1060.0)


def test_the_first_in_the_queue_sleeps_until_the_window_moves() -> None:
    """Requests behind it wait to be woken."""
    rate_limiter = RateLimiter(Limits(requests_per_minute=1))
    world = World([Target(name="a", rate_limiter=rate_limiter)])
    world.ask()
    world.now = 1050.0
    first, second = world.walk(), world.walk(deadline_s=100.0)
    assert first.next(1050.0) == Sleep(10.0)
    behind = second.next(1050.0)
    assert isinstance(behind, WaitForSlot)
    woken: list[bool] = []
    behind.ticket.on_wake(lambda: woken.append(True))
    first.record_cancellation(1055.0)
    assert woken == [True]
    assert second.next(1055.0) == Sleep(5.0)
    assert isinstance(second.next(1060.0), Call)


def test_tokens_are_estimated_before_a_call_and_settled_after_it() -> None:
    """What the provider counted replaces the estimate."""
    world = World([Target(name="a", rate_limiter=RateLimiter(Limits(tokens_per_minute=100))), Target(name="b")])
    walk = world.walk(tokens=90)
    walk.next(1000.0)
    assert world.ask(tokens=20).order == ["b"]
    walk.record_success(answer(30), 1000.0)
    assert world.ask(tokens=20).order == ["a"]
    assert world.ask(tokens=71).order == ["b"]


def test_a_request_larger_than_the_token_limit_runs_alone() -> None:
    """It would never be admitted otherwise."""
    world = World([Target(name="a", rate_limiter=RateLimiter(Limits(tokens_per_minute=100)))])
    assert world.ask(tokens=5000).order == ["a"]


def test_a_request_returns_to_the_queue_when_the_next_target_fails() -> None:
    """With nothing else left, it waits for the rest of its time."""
    _, world = one_at_a_time(Target(name="b", script=always(down), retries=0))
    first = world.walk()
    first.next(world.now)
    walk = world.walk(deadline_s=8.0)
    assert isinstance(walk.next(1000.0), WaitForSlot)
    at_next = walk.next(1004.0)
    assert isinstance(at_next, Call)
    assert at_next.candidate.provider == "b"
    assert isinstance(walk.record_failure(down(), 1004.5), WaitForSlot)
    first.record_success(answer(), 1005.0)
    action = walk.next(1005.0)
    assert isinstance(action, Call)
    reply = walk.record_success(answer(), 1005.5)
    assert (reply.provider, reply.skipped) == ("a", ())


def test_a_cancelled_request_releases_its_ticket() -> None:
    """This holds in the queue and just after admission."""
    rate_limiter, world = one_at_a_time()
    first, second, third = world.walk(), world.walk(), world.walk()
    first.next(1000.0)
    assert isinstance(second.next(1000.0), WaitForSlot)
    assert isinstance(third.next(1000.0), WaitForSlot)
    assert rate_limiter.waiting == 2
    first.record_cancellation(1001.0)
    second.record_cancellation(1001.0)
    assert isinstance(third.next(1001.0), Call)
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)


def test_health_is_checked_again_after_queueing() -> None:
    """A target that failed while a request was queued is not called, and the ticket is released."""
    rate_limiter, world = one_at_a_time(Target(name="b"))
    first, second = world.walk(), world.walk()
    action = first.next(1000.0)
    assert isinstance(action, Call)
    assert isinstance(second.next(1000.0), WaitForSlot)
    for _ in range(2):
        action.candidate.health.record_failure(action.admission, 1000.0, target=True, provider=False)
    first.record_failure(down(), 1001.0)
    after = second.next(1001.0)
    assert isinstance(after, Call)
    assert after.candidate.provider == "b"
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0)


def test_the_last_resort_respects_the_rate_limiter() -> None:
    """A suspended target that is also full is not called."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    world = World(
        [Target(name="a", rate_limiter=rate_limiter, script=always(down), retries=0)],
        breaker=BreakerSettings(max_errors=1),
        policy=Policy(),
    )
    world.ask()
    assert rate_limiter.request_ticket(0, world.now).admitted
    result = world.ask()
    assert result.order == []
    assert [skip.reason for skip in result.error.skipped] == [SkipReason.BREAKER_OPEN]
    assert (rate_limiter.in_flight, rate_limiter.waiting) == (1, 0)


class Counting:
    """A provider that takes a moment, and counts how many calls it has at once."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.admitted = self.most = self.calls = 0

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="counting", summary="", holds_timeouts=True)

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    def count(self, action: int) -> None:
        """Count a call that begins or ends."""
        with self.lock:
            self.admitted += action
            self.most = max(self.most, self.admitted)
            self.calls += action > 0

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        self.count(1)
        try:
            time.sleep(0.001)
            return answer(1)
        finally:
            self.count(-1)

    @hookimpl
    async def kickai_ainvoke_provider(self) -> Reply:
        self.count(1)
        try:
            await asyncio.sleep(0.001)
            return answer(1)
        finally:
            self.count(-1)


@frozen
class Crowd:
    """Threads and event loops that all ask one chain."""

    plugin: Counting
    chain: Any

    def threads(self) -> list[threading.Thread]:
        """Return four that block and two that run a loop."""
        return [
            *(threading.Thread(target=self.block) for _ in range(4)),
            *(threading.Thread(target=lambda: asyncio.run(self.loop())) for _ in range(2)),
        ]

    def block(self) -> None:
        """Ask one after the other."""
        for _ in range(25):
            assert self.chain.invoke("hi", deadline_s=60).text == "yes"

    async def loop(self) -> None:
        """Ask all at once, and leave every third early."""
        tasks = [asyncio.create_task(self.chain.ainvoke("hi", deadline_s=60)) for _ in range(60)]
        leaving = random.Random(1)
        for task in tasks[::3]:
            await asyncio.sleep(leaving.uniform(0.0, 0.003))
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(end, Reply | asyncio.CancelledError) for end in ended)
        assert sum(isinstance(end, Reply) for end in ended) >= 40


def test_threads_and_loops_share_the_limit_and_lose_no_permit() -> None:
    """Promise 9: however many requests arrive and are cancelled, at most three are admitted, and in the end none."""
    plugin = Counting()
    settings = Settings(
        kickai=KickaiSettings(plugins=()), providers={"counting": ProviderSettings(max_concurrency=3, timeout_s=30.0)}
    )
    with Resolver.from_settings(settings, plugins={"counting": plugin}) as resolver:
        crowd = Crowd(plugin, resolver.chain("counting"))
        threads = crowd.threads()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        instance = resolver.registry.find("counting")
    assert plugin.most == 3
    assert plugin.calls >= 180
    assert instance is not None
    assert instance.rate_limiter is not None
    assert (instance.rate_limiter.in_flight, instance.rate_limiter.waiting) == (0, 0)


@pytest.mark.parametrize("limits", [{}, {"max_concurrency": 2}, {"requests_per_minute": 7}, {"tokens_per_minute": 9}])
def test_an_instance_has_a_rate_limiter_when_its_settings_set_a_limit(limits: dict[str, int]) -> None:
    """Without limits there is no rate limiter."""
    with Resolver.from_settings(
        {"providers": {"counting": limits}}, env={}, plugins={"counting": Counting()}
    ) as resolver:
        assert (resolver.registry.find("counting").rate_limiter is not None) == bool(limits)
