"""The health of a target and its provider: suspensions, permits, and the effect of results."""

from __future__ import annotations

import pytest
from simulator import Fixed

from kickai_providers_core.resilience.breaker import Breaker, BreakerSettings, Permit
from kickai_providers_core.resilience.condition import Condition
from kickai_providers_core.resilience.health import Health, HealthState, TargetHealth
from kickai_providers_core.resilience.suspensions import NOT_SUSPENDED, Suspension
from kickai_providers_core.values.breaker_state import BreakerState

OUTSIDER = Condition(Breaker(generation=-1))

ONE_ERROR = BreakerSettings(max_errors=1)


def health_state(settings: BreakerSettings = ONE_ERROR) -> HealthState:
    """Return a health state whose breaker opens at the first error, for exactly five seconds."""
    return HealthState(settings, Fixed(1.0))


def opened() -> HealthState:
    """Return a health state whose breaker opened at 0."""
    state = health_state()
    state.record_failure(state.admit(0.0), 0.0)
    return state


def target_health(settings: BreakerSettings = ONE_ERROR) -> TargetHealth:
    """Return the health of a target."""
    return Health(settings, Fixed(1.0)).get_target("p", "m")


def test_a_suspension_refuses_calls_until_its_end() -> None:
    """The end of a suspension is the first moment at which a call is admitted."""
    state = health_state()
    state.suspend(Suspension(5.0, "x"))
    assert state.admit(4.999) is None
    assert state.get_available_at(1.0) == 5.0
    assert state.admit(5.0) is not None


def test_the_longer_of_two_suspensions_counts() -> None:
    """A shorter one changes nothing; a longer one replaces it."""
    state = health_state()
    for rest in (Suspension(5.0, "first"), Suspension(4.0, "shorter")):
        state.suspend(rest)
        assert (state.suspensions.longest.until, state.suspensions.longest.reason) == (5.0, "first")
    state.suspend(Suspension(6.0, "longer"))
    assert (state.suspensions.longest.until, state.suspensions.longest.reason) == (6.0, "longer")


@pytest.mark.parametrize("stated", [True, False])
def test_a_call_admitted_before_a_suspension_does_not_end_it(*, stated: bool) -> None:
    """Its answer says nothing about the suspension, however late it arrives."""
    state = health_state()
    permit = state.admit(0.0)
    state.suspend(Suspension(5.0, "x", stated=stated))
    state.record_success(permit)
    assert state.suspensions.longest.until == 5.0
    assert state.admit(4.9) is None
    straggler = state.admit(5.0)
    state.record_success(straggler)
    assert state.suspensions.longest is NOT_SUSPENDED


def test_an_answer_ends_the_suspensions_that_began_before_its_call() -> None:
    """A suspension that began after the call continues, even if it is the shorter one."""
    state = health_state()
    state.suspend(Suspension(9.0, "long"))
    permit = state.force(1.0)
    state.suspend(Suspension(7.0, "short"))
    state.record_success(permit)
    assert (state.suspensions.longest.until, state.suspensions.longest.reason) == (7.0, "short")
    state.record_success(permit)
    assert state.suspensions.longest.until == 7.0


def test_only_suspensions_that_matter_are_kept() -> None:
    """One that ends before a later one is dropped, unless it alone was stated by the service."""
    state = health_state()
    for until in (1.0, 2.0, 3.0):
        state.suspend(Suspension(until, "x", stated=until == 2.0))
    assert [rest.until for rest in state.suspensions.active] == [2.0, 3.0]
    assert state.suspensions.stated_until == 2.0
    assert state.force(1.9) is None
    assert state.force(2.0) is not None


def test_an_open_breaker_can_be_forced_once_early() -> None:
    """The first forced call is the probe; no second one is admitted while it is under way."""
    state = opened()
    assert state.admit(1.0) is None
    probe = state.force(1.0)
    assert probe.is_probe
    assert state.breaker.state is BreakerState.HALF_OPEN
    assert state.force(1.0) is None
    state.record_success(OUTSIDER)
    state.record_failure(OUTSIDER, 2.0)
    state.release(OUTSIDER)
    assert state.breaker.state is BreakerState.HALF_OPEN
    state.record_success(probe)
    assert state.breaker.state is BreakerState.CLOSED


def test_forcing_a_suspended_target_with_a_closed_breaker_is_an_ordinary_call() -> None:
    """Its breaker is closed, so the call counts as any other, and its answer ends the suspension."""
    state = health_state()
    state.suspend(Suspension(5.0, "x"))
    permit = state.force(1.0)
    assert (permit.permit, permit.suspensions.generation) == (Permit(0, probe=False), 1)
    state.record_success(permit)
    assert state.admit(1.0) is not None


def test_a_stated_suspension_is_never_forced() -> None:
    """Neither a target's nor a provider's stated suspension is forced, and no permit is held afterwards."""
    for part in ("provider", "target"):
        health = target_health()
        for state in (health.provider, health.target):
            state.record_failure(state.admit(0.0), 0.0)
        getattr(health, part).suspend(Suspension(9.0, "x", stated=True))
        for _ in range(2):
            assert health.force(8.9) is None
            assert health.get_breaker_states() == (BreakerState.OPEN, BreakerState.OPEN)
        assert health.force(9.0) is not None


def test_one_last_resort_call_is_under_way_at_a_time() -> None:
    """The next is admitted when the first has ended, or when its lease is over; a late end changes nothing."""
    ends = (
        lambda health, admission: health.record_success(admission),
        lambda health, admission: health.record_failure(admission, 1.0, target=False, provider=False),
        lambda health, admission: health.release(admission),
    )
    for end in ends:
        health = target_health()
        health.target.suspend(Suspension(1000.0, "x"))
        admission = health.force(1.0)
        assert health.force(1.0) is None
        end(health, admission)
        assert health.force(1.0) is not None
    health = target_health()
    health.target.suspend(Suspension(1000.0, "x"))
    late = health.force(1.0)
    assert health.force(120.9) is None
    assert health.force(121.0) is not None
    health.release(late)
    assert health.force(121.0) is None


def test_a_success_reduces_the_error_count() -> None:
    """A success counts as long as there are errors to forget."""
    state = health_state(BreakerSettings(max_errors=3))
    permit = state.admit(0.0)
    state.record_failure(permit, 0.0)
    state.record_failure(permit, 0.0)
    state.record_success(permit)
    assert state.breaker.errors == 1


def test_a_good_probe_closes_a_breaker_whose_error_count_is_zero() -> None:
    """A probe's result counts whatever the error count is."""
    state = opened()
    probe = state.admit(5.0)
    state.record_success(probe)
    assert (state.breaker.state, state.breaker.errors) == (BreakerState.CLOSED, 0)


def test_a_released_probe_is_available_at_once() -> None:
    """The next caller gets it."""
    state = opened()
    state.release(state.admit(5.0))
    assert state.breaker.state is BreakerState.OPEN
    assert state.admit(5.0).is_probe


def test_releasing_an_ordinary_permit_changes_nothing() -> None:
    """There is nothing to give back."""
    state = health_state(BreakerSettings(max_errors=2))
    state.record_failure(state.admit(0.0), 0.0)
    state.release(state.admit(0.0))
    assert state.breaker.errors == 1


def test_a_refusing_target_releases_its_providers_probe() -> None:
    """Otherwise the provider would wait for a probe that is never made."""
    health = target_health()
    health.provider.record_failure(health.provider.admit(0.0), 0.0)
    health.target.suspend(Suspension(9.0, "x"))
    assert health.admit(6.0) is None
    assert health.provider.breaker.state is BreakerState.OPEN
    assert health.provider.admit(6.0).is_probe


def test_a_refusing_provider_does_not_use_its_targets_probe() -> None:
    """The target is not checked at all."""
    health = target_health()
    health.target.record_failure(health.target.admit(0.0), 0.0)
    health.provider.suspend(Suspension(9.0, "x"))
    assert health.admit(6.0) is None
    assert health.get_breaker_states() == (BreakerState.CLOSED, BreakerState.OPEN)


def test_an_admission_is_a_probe_when_either_permit_is() -> None:
    """Its result may then change a breaker."""
    health = target_health()
    assert not health.admit(0.0).is_probe
    health.provider.record_failure(health.provider.admit(0.0), 0.0)
    assert health.admit(6.0).is_probe
    other = target_health()
    other.target.record_failure(other.target.admit(0.0), 0.0)
    assert other.admit(6.0).is_probe


def test_an_admission_records_the_states_that_it_found() -> None:
    """It holds the states from before a due or forced probe; an ordinary call records none."""
    health = target_health()
    health.provider.record_failure(health.provider.admit(0.0), 0.0)
    assert health.admit(6.0).states_before == (BreakerState.OPEN, BreakerState.CLOSED)
    early = target_health()
    early.target.record_failure(early.target.admit(0.0), 0.0)
    assert early.force(1.0).states_before == (BreakerState.CLOSED, BreakerState.OPEN)
    assert target_health().force(1.0).states_before is None
    health = Health(BreakerSettings(max_errors=2), Fixed(1.0)).get_target("p", "m")
    health.target.record_failure(health.target.admit(0.0), 0.0)
    assert health.admit(0.0).states_before is None


def test_an_admission_has_permits_of_the_current_generation() -> None:
    """This holds too when only one of the two breakers has changed since the last admission."""
    for changed in ("provider", "target"):
        health = target_health()
        health.admit(0.0)
        state = getattr(health, changed)
        state.record_failure(state.admit(0.0), 0.0)
        state.record_success(state.admit(6.0))
        admission = health.admit(7.0)
        assert admission.provider.permit == health.provider.breaker.permit
        assert admission.target.permit == health.target.breaker.permit


def test_forcing_a_target_forces_its_provider_too() -> None:
    """Provider and target are both probed early."""
    health = target_health()
    health.provider.record_failure(health.provider.admit(0.0), 0.0)
    health.target.record_failure(health.target.admit(0.0), 0.0)
    admission = health.force(1.0)
    assert health.get_breaker_states() == (BreakerState.HALF_OPEN, BreakerState.HALF_OPEN)
    assert (health.provider.breaker.lease_until, health.target.breaker.lease_until) == (121.0, 121.0)
    health.release(admission)
    assert health.get_breaker_states() == (BreakerState.OPEN, BreakerState.OPEN)


def test_a_target_is_due_when_it_and_its_provider_are() -> None:
    """The later of the two times counts."""
    health = target_health()
    health.provider.suspend(Suspension(3.0, "p"))
    health.target.suspend(Suspension(4.0, "t"))
    assert health.get_available_at(1.0) == 4.0
    health.provider.suspend(Suspension(6.0, "p"))
    assert health.get_available_at(1.0) == 6.0
    assert health.get_available_at(7.0) == 7.0


def test_the_longest_suspension_is_reported_until_it_is_over() -> None:
    """At its end there is none."""
    health = target_health()
    assert health.find_active_suspension(0.0) is None
    short, long = Suspension(3.0, "short"), Suspension(4.0, "long")
    health.provider.suspend(long)
    health.target.suspend(short)
    assert health.find_active_suspension(3.5).reason == "long"
    assert health.find_active_suspension(4.0) is None


@pytest.mark.parametrize("is_provider_limited", [True, False])
@pytest.mark.parametrize("second", ["provider", "target"])
def test_of_two_suspensions_that_end_together_a_rate_limit_counts(*, is_provider_limited: bool, second: str) -> None:
    """Waiting for its end makes sense, whether it is the provider's or the target's, and whichever began first."""
    health = target_health()
    health.provider.suspend(Suspension(4.0, "p", is_rate_limit=is_provider_limited))
    state = getattr(health, second)
    state.suspend(Suspension(4.0, "s", is_rate_limit=not is_provider_limited))
    assert health.find_active_suspension(1.0).is_rate_limit
    assert health.find_active_suspension(1.0).reason == ("p" if is_provider_limited else "s")


def test_a_success_ends_the_suspensions_and_closes_the_breakers_of_both() -> None:
    """An answer shows that provider and target work."""
    health = target_health()
    health.provider.record_failure(health.provider.admit(0.0), 0.0)
    health.target.record_failure(health.target.admit(0.0), 0.0)
    health.provider.suspend(Suspension(9.0, "p"))
    health.target.suspend(Suspension(9.0, "t"))
    health.record_success(health.force(1.0))
    assert health.get_breaker_states() == (BreakerState.CLOSED, BreakerState.CLOSED)
    assert health.find_active_suspension(1.0) is None


@pytest.mark.parametrize(("target", "provider"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_failure_counts_against_target_or_provider_as_requested(*, target: bool, provider: bool) -> None:
    """The other one gets its probe back."""
    health = target_health()
    health.record_failure(health.admit(0.0), 0.0, target=target, provider=provider)
    expected = tuple(BreakerState.OPEN if counts else BreakerState.CLOSED for counts in (provider, target))
    assert health.get_breaker_states() == expected


def test_a_failure_that_counts_against_neither_releases_the_probes() -> None:
    """A rate limit during a probe leaves the breaker open and due, not stuck half-open."""
    health = target_health()
    health.target.record_failure(health.target.admit(0.0), 0.0)
    health.record_failure(health.admit(6.0), 6.0, target=False, provider=False)
    assert health.get_breaker_states() == (BreakerState.CLOSED, BreakerState.OPEN)
    assert health.admit(6.0).is_probe


def test_all_targets_of_a_provider_share_its_health_state() -> None:
    """Equal targets share their own state too; a target without a model has its own."""
    health = Health(ONE_ERROR, Fixed(1.0))
    one, same, other = health.get_target("p", "m"), health.get_target("p", "m"), health.get_target("p", "n")
    assert (one.provider, one.target) == (same.provider, same.target)
    assert one.provider is other.provider
    assert one.target is not other.target
    nameless = health.get_target("p", None)
    assert nameless.target not in {one.target, nameless.provider}
    assert nameless.target is health.get_target("p", None).target
    assert health.get_target("q", "m").target is not one.target


def test_breakers_use_the_settings_and_jitter_of_the_health() -> None:
    """Each breaker opens as the settings say, for the time that the jitter draws."""
    health = Health(BreakerSettings(max_errors=2), Fixed(0.0)).get_target("p", "m")
    health.target.record_failure(health.target.admit(0.0), 0.0)
    assert health.get_breaker_states()[1] is BreakerState.CLOSED
    health.target.record_failure(health.target.admit(0.0), 0.0)
    assert health.target.get_available_at(0.0) == pytest.approx(4.0)
