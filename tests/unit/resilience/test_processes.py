"""Health, limits and latencies in several processes: after a fork, and when another process shares its health."""

from __future__ import annotations

import pytest
from simulator import Fixed, Target, World

from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.health import LEASE_WAIT_S, MAX_UNUSED, Health, HealthState
from kickai_providers_core.resilience.hedging import MIN_LATENCIES, HedgeTimer, Hedging
from kickai_providers_core.resilience.probe_leases import ProbeGate
from kickai_providers_core.resilience.rate_limiter import Limits, RateLimiter
from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.values.breaker_state import BreakerState

SETTINGS = BreakerSettings(max_errors=1, cooldown_s=5.0, probe_lease_s=60.0)


def health_state() -> HealthState:
    """Return a health state whose breaker opens at the first error, for exactly five seconds."""
    return HealthState(SETTINGS, Fixed(1.0))


def opened() -> HealthState:
    """Return a health state whose breaker opened at 0."""
    state = health_state()
    state.record_failure(state.admit(0.0), 0.0)
    return state


# After a fork. A lock that a thread of the parent held at the fork is never released in the child.


def test_a_child_may_probe_while_its_parent_does() -> None:
    """The parent's probe never ends in the child."""
    state = opened()
    assert state.admit(5.0) is not None
    assert state.admit(5.0) is None
    with state._lock:
        state.renew_after_fork()
        assert state.breaker.state is BreakerState.OPEN
        permit = state.admit(5.0)
    assert permit is not None
    assert permit.is_probe


def test_a_child_keeps_open_breakers_and_suspensions() -> None:
    """They belong to the service, and the child calls the same one."""
    state = opened()
    state.suspend(Suspension(9.0, "x"))
    before = state.breaker, state.suspensions
    state.renew_after_fork()
    assert (state.breaker, state.suspensions) == before


def test_a_child_may_call_as_a_last_resort_while_its_parent_does() -> None:
    """The parent's call never ends in the child."""
    state = health_state()
    assert state.last_resort.claim(0.0) is not None
    assert state.last_resort.claim(0.0) is None
    state.renew_after_fork()
    assert state.last_resort.claim(0.0) is not None


def test_a_child_renews_every_state() -> None:
    """Also those that only a chain uses still."""
    health = Health(SETTINGS, Fixed(1.0))
    kept = health.get_target("kept", "m")
    leases = kept.target.last_resort.claim(0.0), kept.provider.last_resort.claim(0.0)
    health._conditions.clear()  # what happens when more than the limit are remembered
    new = health.get_target("new", "m")
    assert None not in {*leases, new.target.last_resort.claim(0.0)}
    with health._lock:
        health.renew_after_fork()
        assert health.get_target("new", "m") == new
    for state in (kept.target, kept.provider, new.target):
        assert state.last_resort.claim(0.0) is not None


def test_a_child_forgets_its_parents_calls_and_keeps_what_counts_per_minute() -> None:
    """The parent's calls end in the parent, and its queue is waited in there."""
    limiter = RateLimiter(Limits(max_concurrency=1, tokens_per_minute=100))
    running, waiting = limiter.request_ticket(60, 1000.0), limiter.request_ticket(10, 1000.0)
    assert (limiter.in_flight, limiter.waiting) == (1, 1)
    with limiter._lock:
        limiter.renew_after_fork()
        assert (limiter.in_flight, limiter.waiting) == (0, 0)
        fitting = limiter.request_ticket(40, 1000.0)
    assert fitting.admitted
    for parents in (running, waiting):
        parents.release(1000.0)
    assert (limiter.in_flight, limiter.waiting) == (1, 0)
    fitting.release(1000.0)
    assert not limiter.request_ticket(1, 1000.0).admitted
    limiter.renew_after_fork()
    assert limiter.request_ticket(100, 1060.0).admitted


def test_a_grandchild_forgets_the_calls_of_its_parent_too() -> None:
    """Each fork begins a generation of tickets of its own."""
    limiter = RateLimiter(Limits(max_concurrency=1))
    limiter.renew_after_fork()
    of_the_child = limiter.request_ticket(0, 1000.0)
    limiter.renew_after_fork()
    assert limiter.request_ticket(0, 1000.0).admitted
    of_the_child.release(1000.0)
    assert limiter.in_flight == 1


def test_a_child_keeps_latencies_and_the_hedging_budget() -> None:
    """It hedges as its parent would have."""
    timer = HedgeTimer(Hedging(after="p50", budget=0.0, floor=1))
    (candidate,) = World([Target(name="a")]).candidates
    for _ in range(MIN_LATENCIES):
        timer.record_latency(candidate, 2.0)
    with timer._lock, timer.budget._lock:
        timer.renew_after_fork()
        assert timer.find_delay_s(candidate) == 2.0
        assert timer.budget.try_withdraw(1, 1000.0)
    timer.record_latency(candidate, 3.0)
    assert not timer.budget.try_withdraw(1, 1000.0)


# When another process shares its health.


@pytest.mark.parametrize(
    ("gate", "is_admitted"),
    [
        (ProbeGate(), True),
        (ProbeGate(required_until=9.0), False),
        (ProbeGate(required_until=9.0, lease_until=5.0), False),
        (ProbeGate(required_until=9.0, lease_until=5.1), True),
        (ProbeGate(required_until=5.0), True),
        (ProbeGate(required_until=5.1), False),
    ],
)
def test_a_probe_may_need_a_lease(gate: ProbeGate, *, is_admitted: bool) -> None:
    """Without it, the process tries again a moment later."""
    state = opened()
    state.probe_gate = gate
    assert state.get_available_at(5.0) == (5.0 if is_admitted else 5.0 + LEASE_WAIT_S)
    assert (state.admit(5.0) is not None) is is_admitted
    assert state.refused_at == (float("-inf") if is_admitted else 5.0)


def test_a_call_of_a_closed_breaker_needs_no_lease() -> None:
    """Only probes do."""
    state = health_state()
    state.probe_gate = ProbeGate(required_until=9.0)
    assert state.get_available_at(5.0) == 5.0
    assert state.admit(5.0) is not None


def test_a_breaker_that_is_still_open_needs_no_lease_yet() -> None:
    """The end of its cool-down counts."""
    state = opened()
    state.probe_gate = ProbeGate(required_until=9.0)
    assert state.get_available_at(4.0) == 5.0


def test_another_process_opens_a_breaker_for_the_time_that_is_left() -> None:
    """A running probe does not count as one any more: its answer changes nothing."""
    state = opened()
    probe = state.admit(5.0)
    state.open_breaker(6.0, 3.0)
    state.record_success(probe)
    assert state.breaker.state is BreakerState.OPEN
    assert state.get_available_at(6.0) == 9.0


def test_another_process_closes_the_breaker_that_it_knows() -> None:
    """One that has changed since stays as it is."""
    state = opened()
    state.close_breaker(state.breaker.generation - 1)
    assert state.breaker.state is BreakerState.OPEN
    state.close_breaker(state.breaker.generation)
    assert state.breaker.state is BreakerState.CLOSED
    assert state.condition.is_healthy


def test_another_process_ends_the_suspensions_that_it_knows() -> None:
    """One that has begun since stays."""
    state = health_state()
    state.suspend(Suspension(9.0, "old"))
    known = state.suspensions.generation
    state.suspend(Suspension(8.0, "new", stated=True))
    state.end_suspensions(known)
    assert [each.reason for each in state.suspensions.active] == ["new"]
    state.end_suspensions(state.suspensions.generation)
    assert state.condition.is_healthy


# What may be forgotten.


def test_a_state_is_idle_when_forgetting_it_loses_nothing() -> None:
    """No error, no suspension, and no last resort call under way."""
    assert health_state().is_idle(0.0)
    assert not opened().is_idle(1e6)
    suspended = health_state()
    suspended.suspend(Suspension(5.0, "x"))
    assert [suspended.is_idle(now) for now in (4.9, 5.0)] == [False, True]
    called = health_state()
    assert called.last_resort.claim(0.0) == 60.0
    assert [called.is_idle(now) for now in (59.9, 60.0)] == [False, True]


def test_a_last_resort_call_may_start_when_the_lease_of_another_is_over() -> None:
    """Its end does not end the newer lease."""
    state = health_state()
    first = state.last_resort.claim(0.0)
    assert first is not None
    assert state.last_resort.claim(59.9) is None
    assert state.last_resort.claim(60.0) == 120.0
    state.last_resort.end(first)
    assert state.last_resort.claim(119.9) is None


def test_the_oldest_idle_states_are_forgotten_beyond_the_limit() -> None:
    """A tenth of the limit at once; what was requested again or has failed stays."""
    health = Health(SETTINGS, Fixed(1.0))
    failed = ("p", "failed")
    health.get_target(*failed, 0.0).target.record_failure(health_state().admit(0.0), 0.0)
    for number in range(MAX_UNUSED - 2):
        health.get_target("p", f"m{number}", 0.0)
    assert len(health.get_states()) == MAX_UNUSED
    health.get_target("p", "m0", 0.0)
    health.get_target("p", "one more", 0.0)
    known = health.get_states()
    assert len(known) == MAX_UNUSED + 1 - MAX_UNUSED // 10
    assert {("p",), failed, ("p", "m0"), ("p", "one more"), ("p", "m101")} <= set(known)
    assert not {("p", f"m{number}") for number in range(1, 101)} & set(known)


def test_a_state_that_a_chain_uses_is_never_lost() -> None:
    """A chain and a later caller share it, although it is not among the remembered ones."""
    health = Health(SETTINGS, Fixed(1.0))
    used = health.get_target("p", "used", 0.0)
    for number in range(2 * MAX_UNUSED):
        health.get_target("q", f"m{number}", 0.0)
    assert health.get_states()[("p", "used")] is used.target
    assert health.get_target("p", "used", 0.0).target is used.target
