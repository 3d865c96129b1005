"""The public report of health, and how much of it is remembered."""

from __future__ import annotations

import gc
import json

import pytest
from attrs.exceptions import FrozenInstanceError
from simulator import Fixed

from kickai_providers_core import ChainExhaustedError, ProviderInfo, Reply, Resolver, hookimpl
from kickai_providers_core.concurrency.clock import Clockwork
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.resilience.health import MAX_UNUSED, Health
from kickai_providers_core.resilience.health_report import report_health
from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.values.breaker_state import BreakerState

ONE_ERROR = BreakerSettings(max_errors=1)


class Silent:
    """A provider that fails a test that calls it."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="silent", summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        raise AssertionError


def test_a_report_says_for_each_target_and_provider_what_keeps_it_from_being_called() -> None:
    """Breaker, errors, suspension and reason, and the seconds until it may be called; also as JSON."""
    health = Health(ONE_ERROR, Fixed(1.0))
    well, down = health.get_target("p", "well"), health.get_target("p", "down")
    resting = health.get_target("q", None)
    down.target.record_failure(down.target.admit(0.0), 0.0)
    resting.provider.suspend(Suspension(90.0, "QuotaExhaustedError", stated=True))
    report = report_health(health, 1.0)
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict() == dict(report)
    rows = [(row.provider, row.model, row.available, row.available_in_s) for row in report.targets]
    assert rows == [("p", "down", False, 4.0), ("p", "well", True, 0.0), ("q", None, True, 0.0)]
    assert report.targets[0].breaker is BreakerState.OPEN
    assert report.targets[0].errors == 1
    q = report.providers[1]
    assert (q.provider, q.suspended_s, q.reason, q.available) == ("q", 89.0, "QuotaExhaustedError", False)
    assert report.healthy
    with pytest.raises(FrozenInstanceError):
        q.errors = 2  # type: ignore[misc]
    over = report_health(health, 90.0).providers[1]
    assert (over.suspended_s, over.reason, over.available) == (0.0, "", True)
    well.provider.suspend(Suspension(90.0, "x"))
    assert not report_health(health, 1.0).healthy


def test_a_report_of_nothing_is_healthy() -> None:
    """Before the first chain no target is known."""
    report = report_health(Health(ONE_ERROR, Fixed(1.0)), 0.0)
    assert (report.healthy, report.providers, report.targets) == (True, (), ())


def test_a_resolver_reports_its_health() -> None:
    """On its own clock, without calling anything."""
    now = [100.0]
    time = Clockwork(clock=lambda: now[0], sleep=lambda _s: None, asleep=None)
    with Resolver.from_settings({}, env={}, time=time, plugins={"silent": Silent()}) as resolver:
        chain = resolver.chain("silent:a")
        resolver._health.get_target("silent", "a").target.suspend(Suspension(130.0, "RateLimitedError", stated=True))
        (row,) = resolver.health().targets
        assert (row.provider, row.model, row.suspended_s) == ("silent", "a", 30.0)
        with pytest.raises(ChainExhaustedError):
            chain.invoke("hi", deadline_s=5.0)


def test_health_forgets_healthy_models_that_no_chain_uses() -> None:
    """Suspended models and the models of a chain stay."""
    health = Health(ONE_ERROR, Fixed(1.0))
    used = health.get_target("p", "used")
    health.get_target("p", "down").target.record_failure(health.get_target("p", "down").target.admit(0.0), 0.0)
    health.get_target("p", "resting").target.suspend(Suspension(50.0, "x"))
    for number in range(5 * MAX_UNUSED):
        health.get_target("p", f"m{number}", 10.0)
    gc.collect()
    known = set(health.get_states())
    assert len(known) <= MAX_UNUSED + 3
    assert {("p", "down"), ("p", "resting"), ("p", "used"), ("p",)} <= known
    assert health.get_target("p", "used").target is used.target
    for number in range(5 * MAX_UNUSED):
        health.get_target("p", f"n{number}", 60.0)
    gc.collect()
    assert ("p", "resting") not in health.get_states()
    assert ("p", "down") in health.get_states()
