"""Suspensions against a reference model, with stragglers: calls that end long after others have begun, in any order."""

from __future__ import annotations

from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.actions import Call, Fail
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.health import HealthState
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.values import errors
from kickai_providers_core.values.replies import FinishReason, Reply

YES = Reply(text="yes", finish_reason=FinishReason.STOP)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "begin", "force", "answer", "answer", "suspend", "state", "pass"]),
        st.integers(0, 7),
        st.sampled_from([0.5, 1.0, 2.0, 5.0, 9.0]),
    ),
    max_size=40,
)


@settings(max_examples=count_examples(300), deadline=None)
@given(steps=STEPS)
def test_only_a_call_that_was_admitted_after_a_suspension_began_may_end_it(
    steps: list[tuple[str, int, float]],
) -> None:
    """Promise 6: this holds whatever other calls are under way, and whenever they end."""
    state, now = HealthState(BreakerSettings(max_errors=1000), Fixed(1.0)), 0.0
    under_way: list[tuple[int, object]] = []
    suspensions: list[tuple[int, float, bool]] = []  # when each began, when it ends, and whether it was stated
    for order, (step, which, seconds) in enumerate(steps):
        if step == "pass":
            now += seconds
        elif step in {"suspend", "state"}:
            suspensions.append((order, now + seconds, step == "state"))
            state.suspend(Suspension(now + seconds, "x", stated=step == "state"))
        elif step == "answer" and under_way:
            began, permit = under_way.pop(which % len(under_way))
            state.record_success(permit)
            suspensions = [suspension for suspension in suspensions if suspension[0] > began]
        elif step in {"begin", "force"}:
            permit = state.admit(now) if step == "begin" else state.force(now)
            forbidden = [
                suspension for suspension in suspensions if suspension[1] > now and (step == "begin" or suspension[2])
            ]
            assert (permit is None) == bool(forbidden)
            if permit is not None:
                under_way.append((order, permit))
        assert state.get_available_at(now) == max([now, *(until for _, until, _ in suspensions)])


@settings(max_examples=count_examples(200), deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "answer", "limit", "quota", "pass"]),
            st.integers(0, 7),
            st.sampled_from([1.0, 7.0, 30.0, 200_000.0]),
        ),
        max_size=40,
    ),
    resort=st.booleans(),
)
def test_no_request_calls_a_target_during_a_stated_delay(steps: list[tuple[str, int, float]], *, resort: bool) -> None:
    """Promise 2: not even as a last resort, however many requests are under way; the delay is at most a day."""
    policy = Policy(last_resort=resort, max_suspension_s=86_400.0)
    state = World([Target(name="a", retries=0)], policy=policy, breaker=BreakerSettings(max_errors=1000))
    under_way: list[tuple[int, object]] = []
    stated: list[tuple[int, float]] = []
    for order, (step, which, seconds) in enumerate(steps):
        now = state.now
        if step == "pass":
            state.now += seconds
        elif step == "ask":
            walk = state.walk(deadline_s=0.5)
            decided = walk.next(now)
            assert isinstance(decided, Call | Fail)
            assert isinstance(decided, Call) == (not any(until > now for _, until in stated))
            if isinstance(decided, Call):
                under_way.append((order, walk))
        elif under_way:
            began, walk = under_way.pop(which % len(under_way))
            if step == "answer":
                walk.record_success(YES, now)
                stated = [suspension for suspension in stated if suspension[0] > began]
            else:
                kind = errors.RateLimitedError if step == "limit" else errors.QuotaExhaustedError
                walk.record_failure(kind("x", retry_after_s=seconds), now)
                stated.append((order, now + min(seconds, 86_400.0)))
