"""Finds the transitions of the real state machines by running them: the breaker, and the actions of a walk."""
# ruff: noqa: INP001

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from attrs import evolve
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForSlot
from kickai_providers_core.resilience.breaker import Breaker, BreakerSettings
from kickai_providers_core.resilience.candidates import UNVALIDATED
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values import errors
from kickai_providers_core.values.replies import FinishReason, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core.resilience.actions import Action
    from kickai_providers_core.resilience.walk import Walk

__all__ = ["Transition", "find_breaker_transitions", "find_walk_transitions"]

Transition = tuple[str, str, str]
"""The state before, the event, and the state after."""

SOMETIMES = (True, False, False)

REPLY = Reply(text="yes", finish_reason=FinishReason.STOP)


def find_breaker_transitions() -> set[Transition]:
    """Return all changes of state that a breaker makes, found by trying every event in every reachable state."""
    start = Breaker(BreakerSettings(max_errors=2, cooldown_s=5, max_cooldown_s=10, probe_lease_s=20))
    seen, queue, found = {start}, deque([start]), set()
    while queue:
        before = queue.popleft()
        for event, after in _breaker_events(before):
            if after.state is not before.state:
                found.add((before.state.value, event, after.state.value))
            plain = evolve(
                after, generation=0, failed_probes=min(after.failed_probes, 2), opens_until=0.0, lease_until=0.0
            )
            if plain not in seen:
                seen.add(plain)
                queue.append(after)
    return found


def _breaker_events(breaker: Breaker) -> Iterator[tuple[str, Breaker]]:
    permit = breaker.permit
    if breaker.state.value == "half_open":
        permit = evolve(permit, probe=True)
        yield "the probe was cancelled", breaker.release(permit)
        yield "the probe succeeded", breaker.record_success(permit)
        yield "the probe failed", breaker.record_failure(permit, 100.0, Fixed())
    elif breaker.state.value == "open":
        yield "admission before the cool-down is over", breaker.admit(breaker.opens_until - 1)[0]
        yield "admission after the cool-down", breaker.admit(breaker.opens_until)[0]
    else:
        yield "admission", breaker.admit(100.0)[0]
        yield "a success", breaker.record_success(permit)
        yield "max_errors reached", breaker.record_failure(permit, 100.0, Fixed())
    if breaker.state.value != "open":
        yield "another process opened it", breaker.open_for(100.0, 5.0)
    if breaker.state.value != "closed":
        yield "another process closed it", breaker.close()


LIMITS = (Limits(max_concurrency=1), Limits(requests_per_minute=2))

FAILURES = (
    lambda: errors.ProviderUnavailableError("down"),
    lambda: errors.ProviderTimeoutError("slow"),
    lambda: errors.RateLimitedError("busy", retry_after_s=2.0),
    lambda: errors.QuotaExhaustedError("used up"),
    lambda: errors.InvalidRequestError("refused"),
    lambda: errors.UnsupportedRequestError("no tools"),
)


def find_walk_transitions(runs: int = 3000) -> set[Transition]:
    """Return which action follows which, over many requests down chains with every kind of failure."""
    draw = random.Random(7)  # noqa: S311  no secret
    found: set[Transition] = set()
    for _ in range(runs):
        world = World(
            [_draw_target(draw, name) for name in ("a", "b")], hedging=draw.choice([Hedging(), Hedging(after_s=0.1)])
        )
        for _request in range(draw.randint(1, 6)):
            other = world.walk()  # takes the slots of limited targets, and is cancelled at some time
            if draw.choice(SOMETIMES) and isinstance(other.next(world.now), Call):
                found |= set(_drive(world, world.walk(deadline_s=draw.choice([0.5, 5.0, 60.0])), draw, other))
            found |= set(_drive(world, world.walk(deadline_s=draw.choice([0.5, 5.0, 60.0])), draw, other))
    return found


def _draw_target(draw: random.Random, name: str) -> Target:
    limiter = RateLimiter(draw.choice(LIMITS)) if draw.choice(SOMETIMES) else None
    unusable = UNVALIDATED if draw.choice(SOMETIMES) else None
    return Target(name=name, rate_limiter=limiter, unusable=unusable, retries=draw.randint(0, 2))


def _drive(world: World, walk: Walk, draw: random.Random, other: Walk) -> Iterator[Transition]:
    """Carry out one walk's actions as a driver does, and yield each transition."""
    action: Action = walk.next(world.now)
    yield "start", "", _name(action)
    running: list[Call] = []
    for _ in range(200):
        before = _name(action)
        if isinstance(action, Fail):
            return
        if isinstance(action, Call):
            running.append(action)
            world.now += 0.2
            second = walk.hedge(world.now) if len(running) == 1 and walk.find_hedge_wait_s(world.now) == 0 else None
            if second is not None:
                yield before, "slow: a hedged call", _name(second)
                running.append(second)
        elif isinstance(action, Sleep | WaitForSlot):
            world.now += action.wait_s * draw.choice([0.5, 1.0] if isinstance(action, WaitForSlot) else [1.0])
            other.record_cancellation(world.now)
        if not running:
            action = walk.next(world.now)
            yield before, _describe_wait(before), _name(action)
            continue
        call = running.pop(draw.randrange(len(running)))
        world.now += draw.choice([0.0, 1.0])
        if draw.choice(SOMETIMES):
            walk.record_success(REPLY, world.now, call=call)
            yield before, "answered", "Reply"
            return
        action = walk.record_failure(draw.choice(FAILURES)(), world.now, call=call)
        yield before, "failed", _name(action)


def _describe_wait(name: str) -> str:
    return {"Sleep": "time is up", "WaitForSlot": "woken, or time is up", "Validate": "validated"}[name]


def _name(action: Action) -> str:
    return type(action).__name__
