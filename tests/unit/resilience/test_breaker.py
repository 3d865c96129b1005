"""The circuit breaker, state by state."""

from __future__ import annotations

import pytest
from simulator import Fixed

from kickai_providers_core.resilience.breaker import JITTER, Breaker, BreakerSettings, Permit
from kickai_providers_core.values.breaker_state import BreakerState

RANDOM = Fixed(1.0)


def opened(at: float = 0.0, **settings: float) -> Breaker:
    """Return a breaker that has just opened."""
    breaker = Breaker(settings=BreakerSettings(max_errors=1, **settings))
    return breaker.record_failure(breaker.permit, at, RANDOM)


def test_a_closed_breaker_admits_everything() -> None:
    """A closed breaker admits a call without changing."""
    breaker = Breaker()
    same, permit = breaker.admit(0.0)
    assert same is breaker
    assert permit == Permit(0)
    assert breaker.get_retry_in_s(5.0) == 0.0


def test_the_error_count_goes_up_and_down_by_one() -> None:
    """A failure counts one up, a success one down, and never below zero."""
    breaker = Breaker()
    for outcome, errors in (("bad", 1), ("bad", 2), ("good", 1), ("bad", 2), ("good", 1), ("good", 0), ("good", 0)):
        permit = breaker.permit
        breaker = breaker.record_failure(permit, 0.0, RANDOM) if outcome == "bad" else breaker.record_success(permit)
        assert (breaker.state, breaker.errors) == (BreakerState.CLOSED, errors)


def test_it_opens_at_max_errors() -> None:
    """The third error opens the breaker for the cool-down, and it says when to come back."""
    breaker = Breaker()
    for _ in range(3):
        breaker = breaker.record_failure(breaker.permit, 10.0, RANDOM)
    assert breaker.state is BreakerState.OPEN
    assert breaker.admit(10.0) == (breaker, None)
    assert breaker.get_retry_in_s(12.0) == pytest.approx(3.0)


def test_the_cool_down_is_jittered_below_its_nominal_length() -> None:
    """The cool-down lies between its nominal length less the jitter, and its nominal length."""
    breaker = Breaker(settings=BreakerSettings(max_errors=1))
    assert breaker.record_failure(breaker.permit, 0.0, Fixed(0.0)).opens_until == pytest.approx(5.0 * (1 - JITTER))
    assert breaker.record_failure(breaker.permit, 0.0, Fixed(1.0)).opens_until == pytest.approx(5.0)


def test_an_open_breaker_admits_one_probe_after_the_cool_down() -> None:
    """A half-open breaker admits a single call."""
    breaker, probe = opened().admit(5.0)
    assert breaker.state is BreakerState.HALF_OPEN
    assert probe is not None
    assert probe.probe
    assert breaker.admit(6.0) == (breaker, None)


def test_a_good_probe_closes_it() -> None:
    """A probe that works closes the breaker and forgets its errors."""
    breaker, probe = opened().admit(5.0)
    assert probe is not None
    closed = breaker.record_success(probe)
    assert (closed.state, closed.errors, closed.failed_probes) == (BreakerState.CLOSED, 0, 0)


def test_failed_probes_double_the_cool_down_up_to_its_ceiling() -> None:
    """Each failed probe opens the breaker for twice as long, at most the ceiling, however long the outage lasts."""
    breaker, now, lengths = opened(), 0.0, []
    for _ in range(2000):
        lengths.append(breaker.opens_until - now)
        now = breaker.opens_until
        breaker, probe = breaker.admit(now)
        assert probe is not None
        breaker = breaker.record_failure(probe, now, RANDOM)
    assert lengths[:5] == pytest.approx([5.0, 10.0, 20.0, 20.0, 20.0])
    assert set(lengths[2:]) == {20.0}


def test_a_released_probe_is_available_to_the_next_call() -> None:
    """A cancelled probe releases its permit: the next call is the probe."""
    breaker, probe = opened().admit(5.0)
    assert probe is not None
    breaker, another = breaker.release(probe).admit(5.0)
    assert another is not None
    assert another.probe


def test_a_lost_probe_expires() -> None:
    """A lost probe cannot keep the breaker half-open for ever."""
    breaker, lost = opened(probe_lease_s=60.0).admit(5.0)
    assert breaker.admit(64.0)[1] is None
    assert breaker.get_retry_in_s(64.0) == pytest.approx(1.0)
    breaker, another = breaker.admit(65.0)
    assert lost is not None
    assert another is not None
    assert breaker.record_success(lost) is breaker
    assert breaker.record_success(another).state is BreakerState.CLOSED


def test_results_of_an_earlier_generation_change_nothing() -> None:
    """A call that began before the breaker opened neither closes it nor keeps it open."""
    before = Breaker(settings=BreakerSettings(max_errors=1))
    stale = before.permit
    breaker = before.record_failure(stale, 0.0, RANDOM)
    assert breaker.record_success(stale) is breaker
    assert breaker.record_failure(stale, 1.0, RANDOM) is breaker
    assert breaker.release(stale) is breaker


def test_releasing_an_ordinary_permit_changes_nothing() -> None:
    """A cancelled call through a closed breaker is neither a success nor a failure."""
    breaker = Breaker(errors=1)
    assert breaker.release(breaker.permit) is breaker


def test_a_probe_can_be_forced_early_but_only_once() -> None:
    """When forced, an open breaker admits its probe at once; a half-open one still refuses."""
    breaker, probe = opened().admit(0.0, early=True)
    assert probe is not None
    assert breaker.admit(0.0, early=True) == (breaker, None)


@pytest.mark.parametrize(
    "wrong", [{"max_errors": 0}, {"cooldown_s": 0}, {"max_cooldown_s": -1.0}, {"probe_lease_s": 0.0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    """A breaker that could never open, or never close, cannot be configured."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        BreakerSettings(**wrong)


def test_every_change_of_state_is_a_new_generation() -> None:
    """Each of closed, open and half-open raises the generation by one."""
    breaker = Breaker(settings=BreakerSettings(max_errors=1))
    generations = [breaker.generation]
    breaker = breaker.record_failure(breaker.permit, 0.0, RANDOM)
    generations.append(breaker.generation)
    for end in ("bad", "back", "good"):
        breaker, probe = breaker.admit(1000.0)
        assert probe is not None
        generations.append(breaker.generation)
        if end == "bad":
            breaker = breaker.record_failure(probe, 900.0, RANDOM)
        else:
            breaker = breaker.release(probe) if end == "back" else breaker.record_success(probe)
        generations.append(breaker.generation)
    assert generations == list(range(8))


def test_a_breaker_shows_its_error_count_and_keeps_its_settings() -> None:
    """An open breaker shows the count at which it opened; a closed one starts at zero."""
    settings = BreakerSettings(max_errors=2, cooldown_s=1.0)
    breaker = Breaker(settings=settings)
    for _ in range(2):
        breaker = breaker.record_failure(breaker.permit, 0.0, RANDOM)
    assert (breaker.errors, breaker.settings) == (2, settings)
    breaker, probe = breaker.admit(1.0)
    assert probe is not None
    closed = breaker.record_success(probe)
    assert closed == Breaker(settings=settings, generation=breaker.generation + 1)


def test_a_very_long_outage_does_not_overflow() -> None:
    """After thousands of failed probes the cool-down is its ceiling."""
    breaker = opened()
    for _ in range(2000):
        breaker, probe = breaker.admit(breaker.opens_until)
        assert probe is not None
        breaker = breaker.record_failure(probe, breaker.opens_until, RANDOM)
    assert breaker.get_retry_in_s(breaker.opens_until - 20.0) == pytest.approx(20.0)
    assert breaker.failed_probes == 2000


def test_the_breaker_defaults_are_the_documented_ones() -> None:
    """They are the documented ones."""
    settings = BreakerSettings()
    assert (settings.max_errors, settings.cooldown_s, settings.max_cooldown_s) == (3, 5.0, 20.0)
    assert settings.probe_lease_s == 120.0
