"""The exact times at which a walk hedges, and its events."""

from __future__ import annotations

import pytest
from attrs import evolve
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.resilience.walk import Walk
from kickai_providers_core.values.events import Hedged
from kickai_providers_core.values.replies import FinishReason, Reply

BEGAN = 1000.0
YES = Reply(text="yes", finish_reason=FinishReason.STOP)
SOON = Hedging(after_s=1.5, budget=1.0)


def world(*targets: Target, hedging: Hedging = SOON, **settings: object) -> World:
    """Return a world that hedges."""
    return World(list(targets), hedging=hedging, **{"random": Fixed(0.0), **settings})


def started(simulation: World, deadline_s: float = 30.0) -> Walk:
    """Return the walk of the scout, with its first attempt under way."""
    plain = simulation.walk(deadline_s)
    simulation.events.clear()
    walk = Walk(simulation.candidates, evolve(plain.chain, role="scout"), evolve(plain.request, number=7), BEGAN)
    assert isinstance(walk.next(BEGAN), Call)
    return walk


def test_the_time_until_a_hedge_counts_down_to_zero() -> None:
    """A driver that is late gets zero."""
    walk = started(world(Target(name="a"), Target(name="b")))
    assert [walk.find_hedge_wait_s(BEGAN + at) for at in (0.0, 1.0, 1.5, 9.0)] == [1.5, 0.5, 0.0, 0.0]


def test_a_percentile_is_that_of_the_target_under_way() -> None:
    """While its latencies are unknown nothing is hedged, whatever is known about other targets."""
    simulation = world(Target(name="a"), Target(name="b"), hedging=Hedging(after="p50", budget=1.0))
    for _ in range(20):
        simulation.hedges.record_latency(simulation.candidates[1], 0.7)
    assert started(simulation).find_hedge_wait_s(BEGAN) is None
    for _ in range(20):
        simulation.hedges.record_latency(simulation.candidates[0], 0.4)
    assert started(simulation).find_hedge_wait_s(BEGAN) == pytest.approx(0.4)


def test_a_walk_without_hedging_never_hedges() -> None:
    """It has no time for a hedge, and `hedge` returns None."""
    walk = started(world(Target(name="a"), Target(name="b"), hedging=Hedging()))
    assert walk.find_hedge_wait_s(BEGAN) is None
    assert walk.hedge(BEGAN + 9.0) is None


def test_a_walk_without_an_attempt_has_nothing_to_hedge() -> None:
    """Before its first action no call is under way."""
    walk = world(Target(name="a"), Target(name="b")).walk()
    assert walk.find_hedge_wait_s(BEGAN) is None
    assert walk.hedge(BEGAN) is None


@pytest.mark.parametrize(("left_s", "hedges"), [(0.6, True), (0.5, True), (0.4, False)])
def test_a_hedge_needs_the_time_of_an_attempt(left_s: float, *, hedges: bool) -> None:
    """With exactly the minimum time left it is made; with less it uses no budget."""
    simulation = world(Target(name="a"), Target(name="b"), policy=Policy(min_attempt_s=0.5))
    walk = started(simulation, deadline_s=4.0)
    assert (walk.hedge(BEGAN + 4.0 - left_s) is not None) == hedges
    assert simulation.hedges.budget._window.withdrawn == hedges


def test_a_hedge_does_not_queue() -> None:
    """A busy target is skipped for the next one."""
    rate_limiter = RateLimiter(Limits(max_concurrency=1))
    simulation = world(Target(name="a"), Target(name="b", rate_limiter=rate_limiter), Target(name="c"))
    rate_limiter.request_ticket(0, BEGAN)
    action = started(simulation).hedge(BEGAN + 2.0)
    assert action is not None
    assert action.candidate.provider == "c"
    assert rate_limiter.waiting == 0


def test_the_event_of_a_hedge_names_the_slow_target() -> None:
    """It has the request, the role and the time."""
    simulation = world(Target(name="a"), Target(name="b"))
    walk = started(simulation)
    walk.hedge(BEGAN + 2.0)
    assert [event for event in simulation.events if isinstance(event, Hedged)] == [
        Hedged(request=7, role="scout", provider="a", model="a", after_s=2.0)
    ]


def test_a_hedged_call_says_so() -> None:
    """The first call of a request does not."""
    walk = started(world(Target(name="a"), Target(name="b")))
    hedge = walk.hedge(BEGAN + 1.5)
    assert hedge is not None
    assert (walk._calls.first.is_hedge, hedge.is_hedge) == (False, True)


def test_only_the_deadline_bounds_a_streamed_call() -> None:
    """A whole answer also has the timeout of its target."""
    simulation = world(Target(name="a", timeout_s=10.0), Target(name="b"))
    plain = simulation.walk(30.0)
    timeouts_s = [
        Walk(simulation.candidates, plain.chain, evolve(plain.request, streams=streams), BEGAN).next(BEGAN).timeout_s
        for streams in (False, True)
    ]
    assert timeouts_s == [10.0, 30.0]
