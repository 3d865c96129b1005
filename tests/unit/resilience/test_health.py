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
    """Return a condition whose breaker opens at the first error, for exactly five seconds."""
    return HealthState(settings, Fixed(1.0))


def opened() -> HealthState:
    """Return a condition whose breaker opened at 0."""
    there = health_state()
    there.record_failure(there.admit(0.0), 0.0)
    return there


def target_health(settings: BreakerSettings = ONE_ERROR) -> TargetHealth:
    """Return the way to a target."""
    return Health(settings, Fixed(1.0)).for_target("p", "m")


def test_a_rest_refuses_up_to_its_end_and_not_at_it() -> None:
    """The end of a rest is the first moment at which a call is admitted."""
    there = health_state()
    there.suspend(Suspension(5.0, "x"))
    assert there.admit(4.999) is None
    assert there.available_at(1.0) == 5.0
    assert there.admit(5.0) is not None


def test_the_longer_of_two_rests_counts() -> None:
    """A shorter one changes nothing; a longer one replaces it."""
    there = health_state()
    for rest in (Suspension(5.0, "first"), Suspension(4.0, "shorter")):
        there.suspend(rest)
        assert (there.suspensions.longest.until, there.suspensions.longest.reason) == (5.0, "first")
    there.suspend(Suspension(6.0, "longer"))
    assert (there.suspensions.longest.until, there.suspensions.longest.reason) == (6.0, "longer")


@pytest.mark.parametrize("stated", [True, False])
def test_an_answer_to_a_call_from_before_a_rest_does_not_end_it(*, stated: bool) -> None:
    """What was admitted before a suspension began says nothing of it, whenever it comes back."""
    there = health_state()
    permit = there.admit(0.0)
    there.suspend(Suspension(5.0, "x", stated=stated))
    there.record_success(permit)
    assert there.suspensions.longest.until == 5.0
    assert there.admit(4.9) is None
    straggler = there.admit(5.0)
    there.record_success(straggler)
    assert there.suspensions.longest is NOT_SUSPENDED


def test_an_answer_ends_the_rests_that_had_begun_when_its_call_was_admitted() -> None:
    """A rest that began after it goes on, though it is the shorter one."""
    there = health_state()
    there.suspend(Suspension(9.0, "long"))
    permit = there.force(1.0)
    there.suspend(Suspension(7.0, "short"))
    there.record_success(permit)
    assert (there.suspensions.longest.until, there.suspensions.longest.reason) == (7.0, "short")
    there.record_success(permit)
    assert there.suspensions.longest.until == 7.0


def test_no_more_rests_are_kept_than_matter() -> None:
    """One that ends before a later one is forgotten, unless only it was stated by the service."""
    there = health_state()
    for until in (1.0, 2.0, 3.0):
        there.suspend(Suspension(until, "x", stated=until == 2.0))
    assert [rest.until for rest in there.suspensions.active] == [2.0, 3.0]
    assert there.suspensions.stated_until == 2.0
    assert there.force(1.9) is None
    assert there.force(2.0) is not None


def test_an_open_breaker_can_be_forced_once_early() -> None:
    """The first forced call is the probe; while it is out, there is no other."""
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


def test_forcing_a_condition_that_only_rests_is_an_ordinary_call() -> None:
    """Its breaker is closed, and the call counts as any other; its answer ends the rest."""
    there = health_state()
    there.suspend(Suspension(5.0, "x"))
    permit = there.force(1.0)
    assert permit == Permit(0, probe=False, suspension=1)
    there.record_success(permit)
    assert there.admit(1.0) is not None


def test_a_stated_rest_is_not_forced() -> None:
    """Neither that of a target nor that of its provider, and nothing is held afterwards."""
    for part in ("provider", "target"):
        way = target_health()
        for condition_ in (way.provider, way.target):
            condition_.record_failure(condition_.admit(0.0), 0.0)
        getattr(way, part).suspend(Suspension(9.0, "x", stated=True))
        for _ in range(2):
            assert way.force(8.9) is None
            assert way.breaker_states() == (BreakerState.OPEN, BreakerState.OPEN)
        assert way.force(9.0) is not None


def test_one_call_of_last_resort_is_out_at_a_time() -> None:
    """The next is let through when it has ended in any way, or when its lease is over; a late end changes nothing."""
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


def test_a_good_result_counts_one_error_down() -> None:
    """An ordinary success is heard as long as there are errors to forget."""
    there = health_state(BreakerSettings(max_errors=3))
    permit = there.admit(0.0)
    there.record_failure(permit, 0.0)
    there.record_failure(permit, 0.0)
    there.record_success(permit)
    assert there.breaker.errors == 1


def test_a_good_probe_closes_even_when_the_error_count_is_nought() -> None:
    """A probe's result is heard whatever the count."""
    there = opened()
    probe = there.admit(5.0)
    there.record_success(probe)
    assert (there.breaker.state, there.breaker.errors) == (BreakerState.CLOSED, 0)


def test_a_probe_that_is_given_back_is_free_at_once() -> None:
    """The next caller gets it."""
    there = opened()
    there.release(there.admit(5.0))
    assert there.breaker.state is BreakerState.OPEN
    assert there.admit(5.0).probe


def test_an_ordinary_permit_that_is_given_back_changes_nothing() -> None:
    """There is nothing to give back."""
    there = health_state(BreakerSettings(max_errors=2))
    there.record_failure(there.admit(0.0), 0.0)
    there.release(there.admit(0.0))
    assert there.breaker.errors == 1


def test_a_target_that_refuses_gives_the_probe_of_its_provider_back() -> None:
    """Otherwise the provider would wait for a probe that nobody makes."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    way.target.suspend(Suspension(9.0, "x"))
    assert way.admit(6.0) is None
    assert way.provider.breaker.state is BreakerState.OPEN
    assert way.provider.admit(6.0).probe


def test_a_provider_that_refuses_leaves_the_probe_of_its_target_alone() -> None:
    """The target is not even asked."""
    way = target_health()
    way.target.record_failure(way.target.admit(0.0), 0.0)
    way.provider.suspend(Suspension(9.0, "x"))
    assert way.admit(6.0) is None
    assert way.breaker_states() == (BreakerState.CLOSED, BreakerState.OPEN)


def test_leave_probes_when_either_permit_does() -> None:
    """A result may then change a breaker."""
    way = target_health()
    assert not way.admit(0.0).is_probe
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    assert way.admit(6.0).is_probe
    other = target_health()
    other.target.record_failure(other.target.admit(0.0), 0.0)
    assert other.admit(6.0).is_probe


def test_leave_tells_the_states_that_it_found() -> None:
    """Before a probe was let through, be it due or forced; an ordinary call has nothing to tell."""
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


def test_an_admission_has_the_permits_of_the_present_generation() -> None:
    """Also where only one of its two breakers has changed since the last admission."""
    for changed in ("provider", "target"):
        health = target_health()
        health.admit(0.0)
        state = getattr(health, changed)
        state.record_failure(state.admit(0.0), 0.0)
        state.record_success(state.admit(6.0))
        admission = health.admit(7.0)
        assert admission.provider_permit == health.provider.breaker.permit
        assert admission.target_permit == health.target.breaker.permit


def test_a_forced_way_forces_both() -> None:
    """Provider and target are probed early, at that time."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    way.target.record_failure(way.target.admit(0.0), 0.0)
    leave = way.force(1.0)
    assert way.breaker_states() == (BreakerState.HALF_OPEN, BreakerState.HALF_OPEN)
    assert (way.provider.breaker.lease_until, way.target.breaker.lease_until) == (121.0, 121.0)
    way.release(leave)
    assert way.breaker_states() == (BreakerState.OPEN, BreakerState.OPEN)


def test_the_way_is_due_when_both_are() -> None:
    """The later of the two times counts, whichever of them it is."""
    way = target_health()
    way.provider.suspend(Suspension(3.0, "p"))
    way.target.suspend(Suspension(4.0, "t"))
    assert way.available_at(1.0) == 4.0
    way.provider.suspend(Suspension(6.0, "p"))
    assert way.available_at(1.0) == 6.0
    assert way.available_at(7.0) == 7.0


def test_the_longest_rest_on_the_way_is_told_until_it_is_over() -> None:
    """At its end there is none."""
    way = target_health()
    assert way.active_suspension(0.0) is None
    short, long = Suspension(3.0, "short"), Suspension(4.0, "long")
    way.provider.suspend(long)
    way.target.suspend(short)
    assert way.active_suspension(3.5).reason == "long"
    assert way.active_suspension(4.0) is None


def test_a_good_result_wakes_both_and_closes_both() -> None:
    """An answer says that provider and target are well."""
    way = target_health()
    way.provider.record_failure(way.provider.admit(0.0), 0.0)
    way.target.record_failure(way.target.admit(0.0), 0.0)
    way.provider.suspend(Suspension(9.0, "p"))
    way.target.suspend(Suspension(9.0, "t"))
    way.record_success(way.force(1.0))
    assert way.breaker_states() == (BreakerState.CLOSED, BreakerState.CLOSED)
    assert way.active_suspension(1.0) is None


@pytest.mark.parametrize(("target", "provider"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_failure_counts_against_whom_it_is_told_to(*, target: bool, provider: bool) -> None:
    """The one it says nothing of gets its probe back."""
    way = target_health()
    way.record_failure(way.admit(0.0), 0.0, target=target, provider=provider)
    expected = tuple(BreakerState.OPEN if counts else BreakerState.CLOSED for counts in (provider, target))
    assert way.breaker_states() == expected


def test_a_failure_that_says_nothing_gives_probes_back() -> None:
    """A rate limit during a probe leaves the breaker open and due, not stuck half-open."""
    way = target_health()
    way.target.record_failure(way.target.admit(0.0), 0.0)
    way.record_failure(way.admit(6.0), 6.0, target=False, provider=False)
    assert way.breaker_states() == (BreakerState.CLOSED, BreakerState.OPEN)
    assert way.admit(6.0).is_probe


def test_all_ways_of_a_provider_share_its_health_state() -> None:
    """And all ways of a target share that of the target; a target without a model is one of its own."""
    health = Health(ONE_ERROR, Fixed(1.0))
    one, same, other = health.for_target("p", "m"), health.for_target("p", "m"), health.for_target("p", "n")
    assert (one.provider, one.target) == (same.provider, same.target)
    assert one.provider is other.provider
    assert one.target is not other.target
    nameless = health.for_target("p", None)
    assert nameless.target not in {one.target, nameless.provider}
    assert nameless.target is health.for_target("p", None).target
    assert health.for_target("q", "m").target is not one.target


def test_the_settings_and_the_jitter_are_those_of_the_health() -> None:
    """Each condition opens as the settings say, for as long as is drawn."""
    way = Health(BreakerSettings(max_errors=2), Fixed(0.0)).for_target("p", "m")
    way.target.record_failure(way.target.admit(0.0), 0.0)
    assert way.breaker_states()[1] is BreakerState.CLOSED
    way.target.record_failure(way.target.admit(0.0), 0.0)
    assert way.target.available_at(0.0) == pytest.approx(4.0)
