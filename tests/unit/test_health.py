"""What is known of a target and its provider: rests, permits, and who hears of a result."""

from __future__ import annotations

import pytest
from simulator import Fixed

from kickai_providers_core.resilience.breaker import BreakerSettings, Permit, State
from kickai_providers_core.resilience.health import NO_REST, OUTSIDER, Condition, Health, Rest, Route

ONE_ERROR = BreakerSettings(max_errors=1)


def condition(settings: BreakerSettings = ONE_ERROR) -> Condition:
    """Return a condition whose breaker opens at the first error, for exactly five seconds."""
    return Condition(settings, Fixed(1.0))


def opened() -> Condition:
    """Return a condition whose breaker opened at 0."""
    there = condition()
    there.failed(there.admit(0.0), 0.0)
    return there


def route(settings: BreakerSettings = ONE_ERROR) -> Route:
    """Return the way to a target."""
    return Health(settings, Fixed(1.0)).route("p", "m")


def test_a_rest_refuses_up_to_its_end_and_not_at_it() -> None:
    """The end of a rest is the first moment at which a call is admitted."""
    there = condition()
    there.leave_alone(Rest(5.0, "x"))
    assert there.admit(4.999) is None
    assert there.due_at(1.0) == 5.0
    assert there.admit(5.0) is not None


def test_the_longer_of_two_rests_counts() -> None:
    """A shorter one changes nothing; a longer one replaces it."""
    there = condition()
    for rest in (Rest(5.0, "first"), Rest(4.0, "shorter")):
        there.leave_alone(rest)
        assert (there.rest.until, there.rest.reason) == (5.0, "first")
    there.leave_alone(Rest(6.0, "longer"))
    assert (there.rest.until, there.rest.reason) == (6.0, "longer")


@pytest.mark.parametrize("stated", [True, False])
def test_an_answer_to_a_call_from_before_a_rest_does_not_end_it(*, stated: bool) -> None:
    """What was admitted before a suspension began says nothing of it, whenever it comes back."""
    there = condition()
    permit = there.admit(0.0)
    there.leave_alone(Rest(5.0, "x", stated=stated))
    there.succeeded(permit)
    assert there.free is None
    assert there.rest.until == 5.0
    assert there.admit(4.9) is None
    straggler = there.admit(5.0)
    there.succeeded(straggler)
    assert there.rest is NO_REST
    assert there.free is there.admit(6.0)


def test_an_answer_ends_the_rests_that_had_begun_when_its_call_was_admitted() -> None:
    """A rest that began after it goes on, though it is the shorter one."""
    there = condition()
    there.leave_alone(Rest(9.0, "long"))
    permit = there.force(1.0)
    there.leave_alone(Rest(7.0, "short"))
    there.succeeded(permit)
    assert (there.rest.until, there.rest.reason) == (7.0, "short")
    there.succeeded(permit)
    assert there.rest.until == 7.0


def test_no_more_rests_are_kept_than_matter() -> None:
    """One that ends before a later one is forgotten, unless only it was stated by the service."""
    there = condition()
    for until in (1.0, 2.0, 3.0):
        there.leave_alone(Rest(until, "x", stated=until == 2.0))
    assert [rest.until for rest in there.suspensions.active] == [2.0, 3.0]
    assert there.suspensions.stated_until() == 2.0
    assert there.force(1.9) is None
    assert there.force(2.0) is not None


def test_a_healthy_condition_gives_the_same_permit_again_and_again() -> None:
    """The healthy path makes nothing anew."""
    there = condition()
    assert there.admit(0.0) is there.admit(1.0)


def test_an_open_breaker_can_be_forced_once_early() -> None:
    """The first forced call is the probe; while it is out, there is no other."""
    there = opened()
    assert there.admit(1.0) is None
    probe = there.force(1.0)
    assert probe.probe
    assert there.breaker.state is State.HALF_OPEN
    assert there.force(1.0) is None
    there.succeeded(OUTSIDER)
    there.failed(OUTSIDER, 2.0)
    there.give_back(OUTSIDER)
    assert there.breaker.state is State.HALF_OPEN
    there.succeeded(probe)
    assert there.breaker.state is State.CLOSED


def test_forcing_a_condition_that_only_rests_is_an_ordinary_call() -> None:
    """Its breaker is closed, and the call counts as any other; its answer ends the rest."""
    there = condition()
    there.leave_alone(Rest(5.0, "x"))
    permit = there.force(1.0)
    assert permit == Permit(0, probe=False, suspension=1)
    there.succeeded(permit)
    assert there.admit(1.0) is not None


def test_a_stated_rest_is_not_forced() -> None:
    """Neither that of a target nor that of its provider, and nothing is held afterwards."""
    for part in ("provider", "target"):
        way = route()
        for condition_ in (way.provider, way.target):
            condition_.failed(condition_.admit(0.0), 0.0)
        getattr(way, part).leave_alone(Rest(9.0, "x", stated=True))
        for _ in range(2):
            assert way.force(8.9) is None
            assert way.states() == (State.OPEN, State.OPEN)
        assert way.force(9.0) is not None


def test_one_call_of_last_resort_is_out_at_a_time() -> None:
    """The next is let through when it has ended in any way, or when its lease is over; a late end changes nothing."""
    ends = (
        lambda way, leave: way.succeeded(leave),
        lambda way, leave: way.failed(leave, 1.0, target=False, provider=False),
        lambda way, leave: way.give_back(leave),
    )
    for end in ends:
        way = route()
        way.target.leave_alone(Rest(1000.0, "x"))
        leave = way.force(1.0)
        assert way.force(1.0) is None
        end(way, leave)
        assert way.force(1.0) is not None
    way = route()
    way.target.leave_alone(Rest(1000.0, "x"))
    late = way.force(1.0)
    assert way.force(120.9) is None
    assert way.force(121.0) is not None
    way.give_back(late)
    assert way.force(121.0) is None


def test_a_good_result_counts_one_error_down() -> None:
    """An ordinary success is heard as long as there are errors to forget."""
    there = condition(BreakerSettings(max_errors=3))
    permit = there.admit(0.0)
    there.failed(permit, 0.0)
    there.failed(permit, 0.0)
    there.succeeded(permit)
    assert there.breaker.errors == 1


def test_a_good_probe_closes_even_when_the_error_count_is_nought() -> None:
    """A probe's result is heard whatever the count."""
    there = opened()
    probe = there.admit(5.0)
    there.succeeded(probe)
    assert (there.breaker.state, there.breaker.errors) == (State.CLOSED, 0)


def test_a_probe_that_is_given_back_is_free_at_once() -> None:
    """The next caller gets it."""
    there = opened()
    there.give_back(there.admit(5.0))
    assert there.breaker.state is State.OPEN
    assert there.admit(5.0).probe


def test_an_ordinary_permit_that_is_given_back_changes_nothing() -> None:
    """There is nothing to give back."""
    there = condition(BreakerSettings(max_errors=2))
    there.failed(there.admit(0.0), 0.0)
    there.give_back(there.admit(0.0))
    assert there.breaker.errors == 1


def test_a_target_that_refuses_gives_the_probe_of_its_provider_back() -> None:
    """Otherwise the provider would wait for a probe that nobody makes."""
    way = route()
    way.provider.failed(way.provider.admit(0.0), 0.0)
    way.target.leave_alone(Rest(9.0, "x"))
    assert way.admit(6.0) is None
    assert way.provider.breaker.state is State.OPEN
    assert way.provider.admit(6.0).probe


def test_a_provider_that_refuses_leaves_the_probe_of_its_target_alone() -> None:
    """The target is not even asked."""
    way = route()
    way.target.failed(way.target.admit(0.0), 0.0)
    way.provider.leave_alone(Rest(9.0, "x"))
    assert way.admit(6.0) is None
    assert way.states() == (State.CLOSED, State.OPEN)


def test_leave_probes_when_either_permit_does() -> None:
    """A result may then change a breaker."""
    way = route()
    assert not way.admit(0.0).probing
    way.provider.failed(way.provider.admit(0.0), 0.0)
    assert way.admit(6.0).probing
    other = route()
    other.target.failed(other.target.admit(0.0), 0.0)
    assert other.admit(6.0).probing


def test_leave_tells_the_states_that_it_found() -> None:
    """Before a probe was let through, be it due or forced; an ordinary call has nothing to tell."""
    way = route()
    way.provider.failed(way.provider.admit(0.0), 0.0)
    assert way.admit(6.0).found == (State.OPEN, State.CLOSED)
    early = route()
    early.target.failed(early.target.admit(0.0), 0.0)
    assert early.force(1.0).found == (State.CLOSED, State.OPEN)
    assert route().force(1.0).found is None
    once = Health(BreakerSettings(max_errors=2), Fixed(1.0)).route("p", "m")
    once.target.failed(once.target.admit(0.0), 0.0)
    assert once.admit(0.0).found is None


def test_leave_is_that_of_the_present_generation() -> None:
    """Also where one of its two permits is as before, since another way has changed the other meanwhile."""
    for changed in ("provider", "target"):
        way = route()
        stale = way.admit(0.0)
        assert way.admit(0.0) is stale
        condition = getattr(way, changed)
        condition.failed(condition.admit(0.0), 0.0)
        condition.succeeded(condition.admit(6.0))
        fresh = way.admit(7.0)
        assert (fresh.of_provider, fresh.of_target) == (way.provider.free, way.target.free)
        assert fresh is not stale


def test_a_condition_that_is_well_has_its_permit_ready() -> None:
    """From the beginning, and again when its errors and rests are over; not while there is one."""
    there = condition(BreakerSettings(max_errors=2))
    assert there.free is there.admit(0.0)
    there.failed(there.admit(0.0), 0.0)
    assert there.free is None
    there.succeeded(there.admit(0.0))
    assert there.free is there.admit(0.0)
    there.leave_alone(Rest(5.0, "x"))
    assert there.free is None
    there.succeeded(there.admit(6.0))
    assert there.free is there.admit(6.0)
    assert there.free.suspension == 1


def test_a_forced_way_forces_both() -> None:
    """Provider and target are probed early, at that time."""
    way = route()
    way.provider.failed(way.provider.admit(0.0), 0.0)
    way.target.failed(way.target.admit(0.0), 0.0)
    leave = way.force(1.0)
    assert way.states() == (State.HALF_OPEN, State.HALF_OPEN)
    assert (way.provider.breaker.lease_until, way.target.breaker.lease_until) == (121.0, 121.0)
    way.give_back(leave)
    assert way.states() == (State.OPEN, State.OPEN)


def test_the_way_is_due_when_both_are() -> None:
    """The later of the two times counts, whichever of them it is."""
    way = route()
    way.provider.leave_alone(Rest(3.0, "p"))
    way.target.leave_alone(Rest(4.0, "t"))
    assert way.due_at(1.0) == 4.0
    way.provider.leave_alone(Rest(6.0, "p"))
    assert way.due_at(1.0) == 6.0
    assert way.due_at(7.0) == 7.0


def test_the_longest_rest_on_the_way_is_told_until_it_is_over() -> None:
    """At its end there is none."""
    way = route()
    assert way.rest(0.0) is None
    short, long = Rest(3.0, "short"), Rest(4.0, "long")
    way.provider.leave_alone(long)
    way.target.leave_alone(short)
    assert way.rest(3.5).reason == "long"
    assert way.rest(4.0) is None


def test_a_good_result_wakes_both_and_closes_both() -> None:
    """An answer says that provider and target are well."""
    way = route()
    way.provider.failed(way.provider.admit(0.0), 0.0)
    way.target.failed(way.target.admit(0.0), 0.0)
    way.provider.leave_alone(Rest(9.0, "p"))
    way.target.leave_alone(Rest(9.0, "t"))
    way.succeeded(way.force(1.0))
    assert way.states() == (State.CLOSED, State.CLOSED)
    assert way.rest(1.0) is None


@pytest.mark.parametrize(("target", "provider"), [(True, False), (False, True), (True, True), (False, False)])
def test_a_failure_counts_against_whom_it_is_told_to(*, target: bool, provider: bool) -> None:
    """The one it says nothing of gets its probe back."""
    way = route()
    way.failed(way.admit(0.0), 0.0, target=target, provider=provider)
    expected = tuple(State.OPEN if counts else State.CLOSED for counts in (provider, target))
    assert way.states() == expected


def test_a_failure_that_says_nothing_gives_probes_back() -> None:
    """A rate limit during a probe leaves the breaker open and due, not stuck half-open."""
    way = route()
    way.target.failed(way.target.admit(0.0), 0.0)
    way.failed(way.admit(6.0), 6.0, target=False, provider=False)
    assert way.states() == (State.CLOSED, State.OPEN)
    assert way.admit(6.0).probing


def test_all_ways_of_a_provider_share_its_condition() -> None:
    """And all ways of a target share that of the target; a target without a model is one of its own."""
    health = Health(ONE_ERROR, Fixed(1.0))
    one, same, other = health.route("p", "m"), health.route("p", "m"), health.route("p", "n")
    assert (one.provider, one.target) == (same.provider, same.target)
    assert one.provider is other.provider
    assert one.target is not other.target
    nameless = health.route("p", None)
    assert nameless.target not in {one.target, nameless.provider}
    assert nameless.target is health.route("p", None).target
    assert health.route("q", "m").target is not one.target


def test_the_settings_and_the_jitter_are_those_of_the_health() -> None:
    """Each condition opens as the settings say, for as long as is drawn."""
    way = Health(BreakerSettings(max_errors=2), Fixed(0.0)).route("p", "m")
    way.target.failed(way.target.admit(0.0), 0.0)
    assert way.states()[1] is State.CLOSED
    way.target.failed(way.target.admit(0.0), 0.0)
    assert way.target.due_at(0.0) == pytest.approx(4.0)
