"""What is known of a target and its provider: rests, permits, and who hears of a result."""

from __future__ import annotations

import pytest
from simulator import Fixed

from kickai_providers_core.resilience.breaker import BreakerSettings, Permit
from kickai_providers_core.resilience.health import Health, HealthState, TargetHealth
from kickai_providers_core.resilience.suspensions import NOT_SUSPENDED, Suspension
from kickai_providers_core.values.breaker_state import BreakerState

OUTSIDER = Permit(-1)

ONE_ERROR = BreakerSettings(max_errors=1)


def health_state(settings: BreakerSettings = ONE_ERROR) -> HealthState:
    """Return a health state whose breaker opens at the first error, for exactly five seconds."""
    return HealthState(settings, Fixed(1.0))


def opened() -> HealthState:
    """Return a health state whose breaker opened at 0."""
    there = health_state()
    there.record_failure(there.admit(0.0), 0.0)
    return there


def target_health(settings: BreakerSettings = ONE_ERROR) -> TargetHealth:
    """Return the health of a target."""
    return Health(settings, Fixed(1.0)).for_target("p", "m")


def test_a_suspension_refuses_calls_until_its_end() -> None:
    """The end of a suspension is the first moment at which a call is admitted."""
    there = health_state()
    there.suspend(Suspension(5.0, "x"))
    assert there.admit(4.999) is None
    assert there.available_at(1.0) == 5.0
    assert there.admit(5.0) is not None


def test_the_longer_of_two_suspensions_counts() -> None:
    """A shorter one changes nothing; a longer one replaces it."""
    there = health_state()
    for rest in (Suspension(5.0, "first"), Suspension(4.0, "shorter")):
        there.suspend(rest)
        assert (there.suspensions.longest.until, there.suspensions.longest.reason) == (5.0, "first")
    there.suspend(Suspension(6.0, "longer"))
    assert (there.suspensions.longest.until, there.suspensions.longest.reason) == (6.0, "longer")


@pytest.mark.parametrize("stated", [True, False])
def test_a_call_admitted_before_a_suspension_does_not_end_it(*, stated: bool) -> None:
    """Its answer says nothing about the suspension, however late it arrives."""
    there = health_state()
    permit = there.admit(0.0)
    there.suspend(Suspension(5.0, "x", stated=stated))
    there.record_success(permit)
    assert there.suspensions.longest.until == 5.0
    assert there.admit(4.9) is None
    straggler = there.admit(5.0)
    there.record_success(straggler)
    assert there.suspensions.longest is NOT_SUSPENDED


def test_an_answer_ends_the_suspensions_that_began_before_its_call() -> None:
    """A suspension that began after the call continues, even if it is the shorter one."""
    there = health_state()
    there.suspend(Suspension(9.0, "long"))
    permit = there.force(1.0)
    there.suspend(Suspension(7.0, "short"))
    there.record_success(permit)
    assert (there.suspensions.longest.until, there.suspensions.longest.reason) == (7.0, "short")
    there.record_success(permit)
    assert there.suspensions.longest.until == 7.0


def test_only_suspensions_that_matter_are_kept() -> None:
    """One that ends before a later one is dropped, unless it alone was stated by the service."""
    there = health_state()
    for until in (1.0, 2.0, 3.0):
        there.suspend(Suspension(until, "x", stated=until == 2.0))
    assert [rest.until for rest in there.suspensions.active] == [2.0, 3.0]
    assert there.suspensions.stated_until == 2.0
    assert there.force(1.9) is None
    assert there.force(2.0) is not None


def test_an_open_breaker_can_be_forced_once_early() -> None:
    """The first forced call is the probe; no second one is admitted while it is under way."""
    there = opened()
    assert there.admit(1.0) is None
    probe = there.force(1.0)
    assert probe.probe
    assert there.breaker.state is BreakerState.HALF_OPEN
    assert there.force(1.0) is None
    there.record_success(OUTSIDER)
    there.record_failure(OUTSIDER, 2.0)
    there.release(OUTSIDER)
    assert there.breaker.state is BreakerState.HALF_OPEN
    there.record_success(probe)
    assert there.breaker.state is BreakerState.CLOSED


def test_forcing_a_suspended_target_with_a_closed_breaker_is_an_ordinary_call() -> None:
    """Its breaker is closed, so the call counts as any other, and its answer ends the suspension."""
    there = health_state()
    there.suspend(Suspension(5.0, "x"))
    permit = there.force(1.0)
    assert permit == Permit(0, probe=False, suspension=1)
    there.record_success(permit)
    assert there.admit(1.0) is not None


def test_a_stated_suspension_is_never_forced() -> None:
    """Neither a target's nor a provider's stated suspension is forced, and no permit is held afterwards."""
    for part in ("provider", "target"):
        way = target_health()
        for condition_ in (way.provider, way.target):
            condition_.record_failure(condition_.admit(0.0), 0.0)
        getattr(way, part).suspend(Suspension(9.0, "x", stated=True))
        for _ in range(2):
            assert way.force(8.9) is None
            assert way.breaker_states() == (BreakerState.OPEN, BreakerState.OPEN)
        assert way.force(9.0) is not None


def test_one_last_resort_call_is_under_way_at_a_time() -> None:
    """The next is admitted when the first has ended, or when its lease is over; a late end changes nothing."""
    ends = (
        lambda way, leave: way.record_success(leave),
        lambda way, leave: way.record_failure(leave, 1.0, target=False, provider=False),
        lambda way, leave: way.release(leave),
    )
    for end in ends:
        way = target_health()
        way.target.suspend(Suspension(1000.0, "x"))
        leave = way.force(1.0)
        assert way.force(1.0) is None
        end(way, leave)
        assert way.force(1.0) is not None
    way = target_health()
    way.target.suspend(Suspension(1000.0, "x"))
    late = way.force(1.0)
    assert way.force(120.9) is None
    assert way.force(121.0) is not None
    way.release(late)
    assert way.force(121.0) is None


def test_a_success_reduces_the_error_count() -> None:
    """A success counts as long as there are errors to forget."""
    there = health_state(BreakerSettings(max_errors=3))
    permit = there.admit(0.0)
    there.record_failure(permit, 0.0)
    there.record_failure(permit, 0.0)
    there.record_success(permit)
    assert there.breaker.errors == 1


def test_a_good_probe_closes_a_breaker_whose_error_count_is_zero() -> None:
    """A probe's result counts whatever the error count is."""
    there = opened()
    probe = there.admit(5.0)
    there.record_success(probe)
    assert (there.breaker.state, there.breaker.errors) == (BreakerState.CLOSED, 0)


def test_a_released_probe_is_available_at_once() -> None:
    """The next caller gets it."""
    there = opened()
    there.release(there.admit(5.0))
    assert there.breaker.state is BreakerState.OPEN
    assert there.admit(5.0).probe


def test_releasing_an_ordinary_permit_changes_nothing() -> None:
    """There is nothing to give back."""
    there = health_state(BreakerSettings(max_errors=2))
    there.record_failure(there.admit(0.0), 0.0)
    there.release(there.admit(0.0))
    assert there.breaker.errors == 1


def test_a_refusing_target_releases_its_providers_probe() -> None:
    """Otherwise the provider would wait for a probe that is never made."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    way.target.suspend(Suspension(9.0, "x"))
    assert way.admit(6.0) is None
    assert way.provider.breaker.state is BreakerState.OPEN
    assert way.provider.admit(6.0).probe


def test_a_refusing_provider_does_not_use_its_targets_probe() -> None:
    """The target is not even asked."""
    way = target_health()
    way.target.record_failure(way.target.admit(0.0), 0.0)
    way.provider.suspend(Suspension(9.0, "x"))
    assert way.admit(6.0) is None
    assert way.breaker_states() == (BreakerState.CLOSED, BreakerState.OPEN)


def test_an_admission_is_a_probe_when_either_permit_is() -> None:
    """Its result may then change a breaker."""
    way = target_health()
    assert not way.admit(0.0).is_probe
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    assert way.admit(6.0).is_probe
    other = target_health()
    other.target.record_failure(other.target.admit(0.0), 0.0)
    assert other.admit(6.0).is_probe


def test_an_admission_records_the_states_that_it_found() -> None:
    """It holds the states from before a due or forced probe; an ordinary call records none."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    assert way.admit(6.0).states_before == (BreakerState.OPEN, BreakerState.CLOSED)
    early = target_health()
    early.target.record_failure(early.target.admit(0.0), 0.0)
    assert early.force(1.0).states_before == (BreakerState.CLOSED, BreakerState.OPEN)
    assert target_health().force(1.0).states_before is None
    once = Health(BreakerSettings(max_errors=2), Fixed(1.0)).for_target("p", "m")
    once.target.record_failure(once.target.admit(0.0), 0.0)
    assert once.admit(0.0).states_before is None


def test_an_admission_has_permits_of_the_current_generation() -> None:
    """This holds too when only one of the two breakers has changed since the last admission."""
    for changed in ("provider", "target"):
        health = target_health()
        health.admit(0.0)
        state = getattr(health, changed)
        state.record_failure(state.admit(0.0), 0.0)
        state.record_success(state.admit(6.0))
        admission = health.admit(7.0)
        assert admission.provider_permit == health.provider.breaker.permit
        assert admission.target_permit == health.target.breaker.permit


def test_forcing_a_target_forces_its_provider_too() -> None:
    """Provider and target are both probed early."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    way.target.record_failure(way.target.admit(0.0), 0.0)
    leave = way.force(1.0)
    assert way.breaker_states() == (BreakerState.HALF_OPEN, BreakerState.HALF_OPEN)
    assert (way.provider.breaker.lease_until, way.target.breaker.lease_until) == (121.0, 121.0)
    way.release(leave)
    assert way.breaker_states() == (BreakerState.OPEN, BreakerState.OPEN)


def test_a_target_is_due_when_it_and_its_provider_are() -> None:
    """The later of the two times counts."""
    way = target_health()
    way.provider.suspend(Suspension(3.0, "p"))
    way.target.suspend(Suspension(4.0, "t"))
    assert way.available_at(1.0) == 4.0
    way.provider.suspend(Suspension(6.0, "p"))
    assert way.available_at(1.0) == 6.0
    assert way.available_at(7.0) == 7.0


def test_the_longest_suspension_is_reported_until_it_is_over() -> None:
    """At its end there is none."""
    way = target_health()
    assert way.active_suspension(0.0) is None
    short, long = Suspension(3.0, "short"), Suspension(4.0, "long")
    way.provider.suspend(long)
    way.target.suspend(short)
    assert way.active_suspension(3.5).reason == "long"
    assert way.active_suspension(4.0) is None


def test_a_success_ends_the_suspensions_and_closes_the_breakers_of_both() -> None:
    """An answer shows that provider and target work."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    way.target.record_failure(way.target.admit(0.0), 0.0)
    way.provider.suspend(Suspension(9.0, "p"))
    way.target.suspend(Suspension(9.0, "t"))
    way.record_success(way.force(1.0))
    assert way.breaker_states() == (BreakerState.CLOSED, BreakerState.CLOSED)
    assert way.active_suspension(1.0) is None


@pytest.mark.parametrize(("target", "provider"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_failure_counts_against_target_or_provider_as_requested(*, target: bool, provider: bool) -> None:
    """The other one gets its probe back."""
    way = target_health()
    way.record_failure(way.admit(0.0), 0.0, target=target, provider=provider)
    expected = tuple(BreakerState.OPEN if counts else BreakerState.CLOSED for counts in (provider, target))
    assert way.breaker_states() == expected


def test_a_failure_that_counts_against_neither_releases_the_probes() -> None:
    """A rate limit during a probe leaves the breaker open and due, not stuck half-open."""
    way = target_health()
    way.target.record_failure(way.target.admit(0.0), 0.0)
    way.record_failure(way.admit(6.0), 6.0, target=False, provider=False)
    assert way.breaker_states() == (BreakerState.CLOSED, BreakerState.OPEN)
    assert way.admit(6.0).is_probe


def test_all_targets_of_a_provider_share_its_health_state() -> None:
    """Equal targets share their own state too; a target without a model has its own."""
    health = Health(ONE_ERROR, Fixed(1.0))
    one, same, other = health.for_target("p", "m"), health.for_target("p", "m"), health.for_target("p", "n")
    assert (one.provider, one.target) == (same.provider, same.target)
    assert one.provider is other.provider
    assert one.target is not other.target
    nameless = health.for_target("p", None)
    assert nameless.target not in {one.target, nameless.provider}
    assert nameless.target is health.for_target("p", None).target
    assert health.for_target("q", "m").target is not one.target


def test_breakers_use_the_settings_and_jitter_of_the_health() -> None:
    """Each breaker opens as the settings say, for the time that the jitter draws."""
    way = Health(BreakerSettings(max_errors=2), Fixed(0.0)).for_target("p", "m")
    way.target.record_failure(way.target.admit(0.0), 0.0)
    assert way.breaker_states()[1] is BreakerState.CLOSED
    way.target.record_failure(way.target.admit(0.0), 0.0)
    assert way.target.available_at(0.0) == pytest.approx(4.0)
