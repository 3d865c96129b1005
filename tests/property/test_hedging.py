"""Hedged walks, whatever becomes of their attempts and in whatever order."""

from __future__ import annotations

from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call, Fail, Sleep, WaitForOther, WaitForSlot
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.errors import (
    InvalidRequestError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    RateLimitedError,
)
from kickai_providers_core.values.events import RequestEnded
from kickai_providers_core.values.replies import FinishReason, Reply

ERRORS: dict[str, ProviderError] = {
    "down": ProviderUnavailableError("down"),
    "slow": ProviderTimeoutError("slow"),
    "limited": RateLimitedError("slow down", retry_after_s=2.0),
    "refused": InvalidRequestError("no"),
}
moves = st.tuples(
    st.sampled_from(["wait", "wait", "win", "cancel", *ERRORS]), st.integers(0, 1), st.sampled_from([0.0, 0.4, 3.0])
)


@settings(max_examples=count_examples(500), deadline=None)
@given(requests=st.lists(st.lists(moves, max_size=12), min_size=1, max_size=4), concurrency=st.integers(1, 3))
def test_a_hedged_request_ends_once_and_releases_everything(  # noqa: C901  the promise, in one place
    requests: list[list[tuple[str, int, float]]], concurrency: int
) -> None:
    """Promise 8: at most two calls, one record each, one end, and no permit, probe or slot is lost."""
    rate_limiter = RateLimiter(Limits(max_concurrency=concurrency))
    world = World(
        [Target(name=name, rate_limiter=rate_limiter if name != "b" else None) for name in "abc"],
        hedging=Hedging(after_s=0.5, budget=5.0),
        breaker=BreakerSettings(max_errors=2),
        random=Fixed(0.0),
    )
    for course in requests:
        walk = world.walk()
        under_way: list[Call] = []
        started = 0
        outcome: Reply | Fail | None = None
        action: object = walk.next(world.now)
        for what, which, wait_s in [*course, ("cancel", 0, 0.0)]:
            while isinstance(action, Sleep | WaitForSlot):
                world.now += action.wait_s
                action = walk.next(world.now)
            if isinstance(action, Call):
                under_way.append(action)
                started += 1
            if isinstance(action, Fail):
                outcome = action
                break
            action = None
            assert 1 <= len(under_way) <= 2
            world.now += wait_s
            due_s = walk.find_hedge_wait_s(world.now)
            assert due_s is None or len(under_way) == 1
            if due_s == 0.0:
                extra_call = walk.hedge(world.now)
                assert walk.find_hedge_wait_s(world.now) is None
                if extra_call is not None:
                    assert extra_call.candidate is not under_way[0].candidate
                    under_way.append(extra_call)
                    started += 1
            attempt = under_way[which % len(under_way)]
            if what == "win":
                outcome = walk.record_success(Reply(text="x", finish_reason=FinishReason.STOP), world.now, call=attempt)
                assert outcome.provider == attempt.candidate.provider
                break
            if what == "cancel":
                walk.record_cancellation(world.now)
                break
            if what in ERRORS:
                under_way.remove(attempt)
                action = walk.record_failure(ERRORS[what], world.now, call=attempt)
                assert isinstance(action, WaitForOther) == (bool(under_way) and what != "refused")
        outcomes = [attempt.outcome for attempt in walk._recorder.attempts]
        assert len(outcomes) == started
        assert outcomes.count(Outcome.SUCCESS) == isinstance(outcome, Reply)
        assert (rate_limiter.in_flight, rate_limiter.waiting) == (0, 0)
    assert sum(isinstance(event, RequestEnded) for event in world.events) == len(requests)
    assert not [
        candidate for candidate in world.candidates if BreakerState.HALF_OPEN in candidate.health.get_breaker_states()
    ]
