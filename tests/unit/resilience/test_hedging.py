"""Hedging: decisions on a virtual clock, and calls on a real one."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from effort import count_examples
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from known_plugins import INFOS
from simulator import Fixed, Target, World

from kickai_providers_core import (
    ChainExhaustedError,
    ConfigError,
    ContentFilteredError,
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    ProviderSettings,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Reply,
    Resolver,
    Settings,
    hookimpl,
)
from kickai_providers_core.config.loader import structure
from kickai_providers_core.config.sources import read
from kickai_providers_core.resilience.actions import Call, Fail, WaitForOther, WaitForSlot
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import KEPT_TARGETS, MIN_LATENCIES, HedgeTimer, Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values.attempts import Outcome, SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.events import Hedged

if TYPE_CHECKING:
    from collections.abc import Callable

SOON = Hedging(after_s=1.5, budget=1.0)
YES = Reply(text="yes", finish_reason=FinishReason.STOP)


def down() -> ProviderUnavailableError:
    """Return the error of a service that answers 503."""
    return ProviderUnavailableError("down", status_code=503)


def world(*names: str, hedging: Hedging = SOON, **settings: Any) -> World:
    """Return a world of targets that takes time only as a test says."""
    return World([Target(name=name) for name in names], hedging=hedging, random=Fixed(0.0), **settings)


def two_under_way(simulation: World) -> tuple[Any, Call, Call]:
    """Return a walk with its first two attempts."""
    walk = simulation.walk()
    first = walk.next(1000.0)
    assert isinstance(first, Call)
    assert walk.find_hedge_wait_s(1000.5) == pytest.approx(1.0)
    second = walk.hedge(1001.5)
    assert isinstance(second, Call)
    return walk, first, second


def test_a_slow_target_is_hedged_with_the_next_one() -> None:
    """The first answer wins; the other attempt is recorded as cancelled and counts against nothing."""
    simulation = world("a", "b")
    walk, _, second = two_under_way(simulation)
    assert (second.candidate.provider, second.number) == ("b", 1)
    assert walk.find_hedge_wait_s(1002.0) is None
    reply = walk.record_success(YES, 1002.0, call=second)
    assert (reply.provider, reply.fell_back, reply.skipped) == ("b", True, ())
    assert [(attempt.provider, attempt.outcome, attempt.latency_s) for attempt in reply.attempts] == [
        ("a", Outcome.CANCELLED, 2.0),
        ("b", Outcome.SUCCESS, 0.5),
    ]
    assert simulation.candidates[0].health.target.breaker.errors == 0
    hedges = [event for event in simulation.events if isinstance(event, Hedged)]
    assert [(event.provider, event.after_s) for event in hedges] == [("a", 1.5)]
    assert hedges[0].attributes()["kickai.hedge.after_s"] == 1.5


def test_the_first_call_may_still_win() -> None:
    """The second call is then recorded as cancelled, and the reply is not a fallback."""
    walk, first, _ = two_under_way(world("a", "b"))
    reply = walk.record_success(YES, 1002.0, call=first)
    assert (reply.provider, reply.fell_back) == ("a", False)
    assert [attempt.outcome for attempt in reply.attempts] == [Outcome.CANCELLED, Outcome.SUCCESS]


@pytest.mark.parametrize("loser", [0, 1])
def test_when_one_call_fails_the_walk_waits_for_the_other(loser: int) -> None:
    """No third call is made meanwhile; when the second fails too, the request continues as usual."""
    simulation = world("a", "b", "c")
    walk, *attempts = two_under_way(simulation)
    assert walk.record_failure(down(), 1002.0, call=attempts[loser]) == WaitForOther()
    action = walk.record_failure(down(), 1003.0, call=attempts[1 - loser])
    assert isinstance(action, Call)
    assert action.candidate is attempts[1 - loser].candidate
    assert action.number == 2


def test_a_refusal_ends_the_request_for_both() -> None:
    """The second call is not used as a way around a refusal."""
    walk, first, _ = two_under_way(world("a", "b"))
    end = walk.record_failure(ContentFilteredError("no"), 1002.0, call=first)
    assert isinstance(end, Fail)
    assert [attempt.outcome for attempt in walk._recorder.attempts] == [Outcome.ERROR, Outcome.CANCELLED]


def test_cancellation_releases_the_permits_of_both_calls() -> None:
    """Two probes and two slots of a rate limiter are released."""
    rate_limiter = RateLimiter(Limits(max_concurrency=2))
    simulation = World(
        [Target(name="a", rate_limiter=rate_limiter), Target(name="b", rate_limiter=rate_limiter)],
        hedging=SOON,
        breaker=BreakerSettings(max_errors=1, cooldown_s=0.001),
    )
    for candidate in simulation.candidates:
        admission = candidate.health.admit(999.0)
        assert admission is not None
        candidate.health.record_failure(admission, 999.0, target=True, provider=False)
    walk, first, second = two_under_way(simulation)
    assert first.admission.is_probe
    assert second.admission.is_probe
    assert rate_limiter.in_flight == 2
    walk.record_cancellation(1002.0)
    assert rate_limiter.in_flight == 0
    assert [candidate.health.target.breaker.state for candidate in simulation.candidates] == [
        BreakerState.OPEN,
        BreakerState.OPEN,
    ]


def test_a_hedge_skips_a_busy_target_with_that_reason() -> None:
    """A hedge does not queue: the next target is called instead."""
    full = RateLimiter(Limits(max_concurrency=1))
    full.request_ticket(0, 0.0)
    simulation = World([Target(name="a"), Target(name="b", rate_limiter=full), Target(name="c")], hedging=SOON)
    walk, _, second = two_under_way(simulation)
    assert second.candidate.provider == "c"
    assert [skip.reason for skip in walk.record_success(YES, 1002.0, call=second).skipped] == [SkipReason.BUSY]
    assert full.waiting == 0


def test_the_last_target_and_the_last_moment_are_not_hedged() -> None:
    """There is no other target to call, or no time for an answer."""
    walk = world("a").walk()
    walk.next(1000.0)
    assert walk.find_hedge_wait_s(1000.0) is None
    assert walk.hedge(1002.0) is None
    late = world("a", "b").walk(deadline_s=2.0)
    late.next(1000.0)
    assert late.hedge(1001.99) is None
    assert late.find_hedge_wait_s(1001.99) is None


def test_without_hedging_nothing_is_hedged() -> None:
    """Hedging is off by default."""
    walk = World([Target(name="a"), Target(name="b")]).walk()
    walk.next(1000.0)
    assert walk.find_hedge_wait_s(1000.0) is None
    assert walk.hedge(1100.0) is None


def test_the_percentile_comes_from_the_targets_own_recent_answers() -> None:
    """With fewer than twenty answers, `after_s` applies if it is set."""
    simulation = world("a", "b", hedging=Hedging(after="p95", after_s=9.0))
    only = world("a", "b", hedging=Hedging(after="p95"))
    assert simulation.hedges is not None
    assert only.hedges is not None
    candidate = simulation.candidates[0]
    for tenth in range(19):
        simulation.hedges.record_latency(candidate, tenth / 10)
    assert (simulation.hedges.find_delay_s(candidate), only.hedges.find_delay_s(candidate)) == (9.0, None)
    simulation.hedges.record_latency(candidate, 1.9)
    assert simulation.hedges.find_delay_s(candidate) == 1.9
    for _ in range(95):
        simulation.hedges.record_latency(candidate, 0.5)
    assert simulation.hedges.find_delay_s(candidate) == 1.5
    assert simulation.hedges.find_delay_s(simulation.candidates[1]) == 9.0


def test_the_latencies_of_the_target_that_was_used_longest_ago_are_forgotten() -> None:
    """A request may name any model, so their number is limited."""
    first, *others = (World([Target(name=f"m{number}")]).candidates[0] for number in range(KEPT_TARGETS + 1))
    timer = HedgeTimer(Hedging(after="p95"))
    for _ in range(MIN_LATENCIES):
        timer.record_latency(first, 1.0)
    assert timer.find_delay_s(first) == 1.0
    for other in others[:-1]:
        timer.record_latency(other, 2.0)
    assert timer.find_delay_s(first) == 1.0
    timer.record_latency(others[-1], 2.0)
    assert timer.find_delay_s(first) is None


def test_the_walk_records_the_latency_of_each_answer() -> None:
    """Each answer adds one latency to its target."""
    simulation = world("a", "b", hedging=Hedging(after="p50"))
    simulation.targets[0] = Target(name="a", latency_s=2.0)
    for _ in range(20):
        simulation.ask()
    assert simulation.hedges is not None
    assert simulation.hedges.find_delay_s(simulation.candidates[0]) == pytest.approx(2.0)


@examples(deadline=None, max_examples=count_examples(50))
@given(share=st.sampled_from([0.0, 0.05, 0.3]), floor=st.integers(0, 2), every_s=st.floats(0.05, 3.0))
def test_the_extra_calls_stay_within_their_budget(share: float, floor: int, every_s: float) -> None:
    """Promise 8: when every request is slow, no more of them are hedged in any minute than the share allows."""
    simulation = world("a", "b", hedging=Hedging(after_s=0.1, budget=share, floor=floor))
    request_times: list[float] = []
    hedge_times: list[float] = []
    for _ in range(200):
        walk = simulation.walk()
        request_times.append(simulation.now)
        first = walk.next(simulation.now)
        extra_call = walk.hedge(simulation.now)
        assert isinstance(first, Call)
        if extra_call is not None:
            hedge_times.append(simulation.now)
        walk.record_success(YES, simulation.now, call=extra_call or first)
        simulation.now += every_s
    for end in hedge_times:
        within = sum(end - 60.0 < at <= end for at in hedge_times)
        assert within <= max(floor, share * sum(end - 61.0 < at <= end for at in request_times))
    assert bool(hedge_times) == bool(floor or share)


TRACE: ContextVar[str] = ContextVar("TRACE", default="")


class Racing:
    """A provider whose models take as long as their names say, in seconds, or fail after that."""

    def __init__(self) -> None:
        self.open = 0
        self.crowded = asyncio.Event()
        self.ended: list[str] = []
        self.traces: list[str] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="racing", summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: Any) -> Reply:
        raise AssertionError

    @hookimpl
    async def kickai_ainvoke_provider(self, request: Any) -> Reply:
        seconds, _, fails = request.model.partition("-")
        self.traces.append(TRACE.get())
        self.open += 1
        if self.open == 2:
            self.crowded.set()
        try:
            await asyncio.sleep(float(seconds))
            if fails:
                raise down()
            self.ended.append(request.model)
            return YES
        finally:
            self.open -= 1


def make_resolver(plugin: object, **hedging: Any) -> Resolver:
    """Return a resolver that hedges after a twentieth of a second, without retries."""
    settings = Settings(
        kickai=KickaiSettings(plugins=()),
        hedging=Hedging(**{"after_s": 0.05, "budget": 1.0, **hedging}),
        providers={"racing": ProviderSettings(retries=0)},
    )
    return Resolver.from_settings(settings, plugins={"racing": plugin})


def invoke(resolver: Resolver, *targets: str) -> Reply:
    """Ask, blocking, and close the resolver."""
    with resolver:
        return resolver.chain(*targets).invoke("hi")


def ainvoke(resolver: Resolver, *targets: str) -> Reply:
    """Ask on an event loop; none of its tasks is left."""

    async def main() -> Reply:
        async with resolver:
            reply = await resolver.chain(*targets).ainvoke("hi")
            async with asyncio.timeout(10):  # the loser is cleaned up behind the answer
                while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  nobody there knows of this loop
                    await asyncio.sleep(0.005)
            return reply

    return asyncio.run(main())


call_modes = pytest.mark.parametrize("ask", [invoke, ainvoke])


@call_modes
def test_the_faster_answer_comes_back_and_the_slower_call_is_cancelled(ask: Callable[..., Reply]) -> None:
    """Promise 8, sync and async: the reply does not wait for the loser, and nothing of it is left."""
    plugin = Racing()
    began = time.monotonic()
    reply = ask(make_resolver(plugin), "racing:30", "racing:0.01")
    assert time.monotonic() - began < 25.0
    assert [(attempt.model, attempt.outcome.value) for attempt in reply.attempts] == [
        ("30", "cancelled"),
        ("0.01", "success"),
    ]
    ends = time.monotonic() + 10
    while plugin.open and time.monotonic() < ends:
        time.sleep(0.01)
    assert (plugin.open, plugin.ended) == (0, ["0.01"])
    assert "kickai-portal" not in {thread.name for thread in threading.enumerate()}


@call_modes
def test_a_quick_answer_is_not_hedged(ask: Callable[..., Reply]) -> None:
    """Only slow requests start a second call."""
    plugin = Racing()
    assert len(ask(make_resolver(plugin, after_s=5.0), "racing:0", "racing:0.01").attempts) == 1
    assert plugin.ended == ["0"]


@call_modes
def test_when_one_of_two_calls_fails_the_other_answers(ask: Callable[..., Reply]) -> None:
    """It does not matter which of the two fails."""
    assert ask(make_resolver(Racing()), "racing:0.2-x", "racing:0.4").model == "0.4"
    assert ask(make_resolver(Racing()), "racing:0.4", "racing:0.01-x").model == "0.4"


@call_modes
def test_when_both_calls_fail_the_rest_of_the_chain_is_called(ask: Callable[..., Reply]) -> None:
    """When that fails too, the request fails with one cause per call."""
    assert ask(make_resolver(Racing()), "racing:0.2-x", "racing:0.01-x", "racing:0").model == "0"
    with pytest.raises(ChainExhaustedError) as raised:
        ask(make_resolver(Racing()), "racing:0.1-x", "racing:0.01-x")
    assert len(raised.value.exceptions) == 2


@call_modes
def test_without_a_hedging_budget_the_first_call_is_waited_for(ask: Callable[..., Reply]) -> None:
    """The driver does not spin meanwhile."""
    began = time.process_time()
    assert ask(make_resolver(Racing(), budget=0.0, floor=0), "racing:0.5", "racing:0").model == "0.5"
    assert time.process_time() - began < 0.4


def test_cancelling_the_request_cancels_both_calls() -> None:
    """Neither call continues."""
    plugin = Racing()

    async def main() -> None:
        async with make_resolver(plugin) as resolver:
            task = asyncio.create_task(resolver.chain("racing:30", "racing:31").ainvoke("hi"))
            async with asyncio.timeout(10):
                await plugin.crowded.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert plugin.open == 0

    asyncio.run(main())


def test_a_blocking_request_keeps_its_context() -> None:
    """The provider sees the caller's context variables, although it is called on another thread."""
    plugin = Racing()
    token = TRACE.set("span-7")
    try:
        invoke(make_resolver(plugin), "racing:0")
    finally:
        TRACE.reset(token)
    assert plugin.traces == ["span-7"]


def test_threads_share_the_portal() -> None:
    """Twenty threads get their answers, and closing the resolver ends the portal."""
    plugin = Racing()
    answers: list[str] = []
    with make_resolver(plugin) as resolver:
        chain = resolver.chain("racing:30", "racing:0.01")
        threads = [threading.Thread(target=lambda: answers.append(chain.invoke("hi").model)) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert answers == ["0.01"] * 20
    assert plugin.open == 0
    assert "kickai-portal" not in {thread.name for thread in threading.enumerate()}


def test_hedging_is_read_from_the_settings() -> None:
    """The table `[hedging]` becomes a `Hedging`."""
    table = {"after_s": 1.5, "after": "p95", "budget": 0.1, "floor": 3}
    assert structure(read({"hedging": table}, {}), INFOS).hedging == Hedging(**table)
    assert not Settings().hedging.on


@pytest.mark.parametrize("table", [{"after_s": 0}, {"after": "95"}, {"after": "p5"}, {"budget": -1}, {"floor": -1}])
def test_invalid_hedging_settings_name_their_path(table: dict[str, Any]) -> None:
    """With its path."""
    with pytest.raises(ConfigError) as raised:
        structure(read({"hedging": table}, {}), INFOS)
    assert [problem.path for problem in raised.value.problems] == [f"hedging.{next(iter(table))}"]


def test_a_hedged_walk_waits_for_slots_and_withholds_retries() -> None:
    """It follows the same rules as any other walk."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = World(
        [Target(name="a"), Target(name="b", rate_limiter=rate_limiter), Target(name="c", retries=1)],
        hedging=SOON,
        policy=Policy(retry_share=0.0, retry_floor=0),
    )
    walk, first, second = two_under_way(simulation)
    other = simulation.walk()
    other.next(1001.5)
    assert isinstance(other.record_failure(ProviderTimeoutError("slow"), 1001.5), WaitForSlot)
    assert walk.record_failure(down(), 1002.0, call=first) == WaitForOther()
    assert isinstance(walk.record_failure(down(), 1002.0, call=second), Call)
    assert [attempt.retry_withheld for attempt in walk._recorder.attempts] == [False, True]


def test_the_error_of_a_cancelled_loser_is_not_reported() -> None:
    """The event loop's exception handler is not called."""

    class Grumbling(Racing):
        @hookimpl
        async def kickai_ainvoke_provider(self, request: Any) -> Reply:
            try:
                await asyncio.sleep(float(request.model))
            except asyncio.CancelledError:
                raise down() from None
            return YES

    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context))
        async with make_resolver(Grumbling()) as resolver:
            assert (await resolver.chain("racing:30", "racing:0.01").ainvoke("hi")).model == "0.01"
        gc.collect()

    asyncio.run(main())
    assert complaints == []


@pytest.mark.parametrize("used", [True, False])
@pytest.mark.parametrize("on_a_loop", [True, False])
def test_a_closed_resolver_starts_no_portal(*, used: bool, on_a_loop: bool) -> None:
    """A call raises an error that says so, and no thread is left."""
    resolver = make_resolver(Racing(), after_s=5.0)
    chain = resolver.chain("racing:0")
    if used:
        chain.invoke("hi")
    if on_a_loop:
        asyncio.run(resolver.aclose())
    else:
        resolver.close()
    with pytest.raises(RuntimeError, match="closed"):
        chain.invoke("hi")
    assert "kickai-portal" not in {thread.name for thread in threading.enumerate()}


def test_a_resolver_may_be_closed_by_several_threads_at_once() -> None:
    """Each call of `close` returns, without an error, once the resolver is closed."""
    for _ in range(20):
        resolver = make_resolver(Racing(), after_s=5.0)
        resolver.chain("racing:0").invoke("hi")
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda _: resolver.close(), range(4))) == [None] * 4  # noqa: B023
    assert "kickai-portal" not in {thread.name for thread in threading.enumerate()}
