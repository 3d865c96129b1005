"""The public report of health, and how much of it is remembered."""

from __future__ import annotations

import gc
import json

import pytest
from attrs.exceptions import FrozenInstanceError
from simulator import Fixed

from kickai_providers_core import ChainExhaustedError, Resolver
from kickai_providers_core.resilience.breaker import BreakerSettings, State
from kickai_providers_core.resilience.health import KEPT, Health, Rest
from kickai_providers_core.resilience.health_report import report_health
from kickai_providers_core.runtime.drivers import Clockwork

ONE_ERROR = BreakerSettings(max_errors=1)


def test_a_report_says_for_each_target_and_provider_what_keeps_it_from_being_called() -> None:
    """Breaker, errors, suspension and reason, and the seconds until it may be called; also as JSON."""
    health = Health(ONE_ERROR, Fixed(1.0))
    well, down = health.route("p", "well"), health.route("p", "down")
    resting = health.route("q", None)
    down.target.failed(down.target.admit(0.0), 0.0)
    resting.provider.leave_alone(Rest(90.0, "QuotaExhaustedError", stated=True))
    report = report_health(health, 1.0)
    assert json.loads(json.dumps(report.as_dict())) == report.as_dict() == dict(report)
    rows = [(row.provider, row.model, row.available, row.available_in_s) for row in report.targets]
    assert rows == [("p", "down", False, 4.0), ("p", "well", True, 0.0), ("q", None, True, 0.0)]
    assert report.targets[0].breaker is State.OPEN
    assert report.targets[0].errors == 1
    q = report.providers[1]
    assert (q.provider, q.suspended_s, q.reason, q.available) == ("q", 89.0, "QuotaExhaustedError", False)
    assert report.healthy
    with pytest.raises(FrozenInstanceError):
        q.errors = 2  # type: ignore[misc]
    over = report_health(health, 90.0).providers[1]
    assert (over.suspended_s, over.reason, over.available) == (0.0, "", True)
    well.provider.leave_alone(Rest(90.0, "x"))
    assert not report_health(health, 1.0).healthy


def test_a_report_of_nothing_is_healthy() -> None:
    """Before the first chain nothing is known against anybody."""
    report = report_health(Health(ONE_ERROR, Fixed(1.0)), 0.0)
    assert (report.healthy, report.providers, report.targets) == (True, (), ())


def test_a_resolver_reports_its_health() -> None:
    """On its own clock, without calling anything."""
    now = [100.0]
    time = Clockwork(clock=lambda: now[0], sleep=lambda _s: None, asleep=None)
    with Resolver.from_settings({"providers": {"mock": {}}}, env={}, time=time) as resolver:
        chain = resolver.chain("mock:a")
        resolver._health.route("mock", "a").target.leave_alone(Rest(130.0, "RateLimitedError", stated=True))
        (row,) = resolver.health().targets
        assert (row.provider, row.model, row.suspended_s) == ("mock", "a", 30.0)
        with pytest.raises(ChainExhaustedError):
            chain.invoke("hi", deadline_s=5.0)


def test_health_does_not_grow_with_every_model_that_was_ever_asked_for() -> None:
    """What is at rest and used by no chain is forgotten; what is not stays, and so does what a chain uses."""
    health = Health(ONE_ERROR, Fixed(1.0))
    used = health.route("p", "used")
    health.route("p", "down").target.failed(health.route("p", "down").target.admit(0.0), 0.0)
    health.route("p", "resting").target.leave_alone(Rest(50.0, "x"))
    for number in range(5 * KEPT):
        health.route("p", f"m{number}", 10.0)
    gc.collect()
    known = set(health.conditions())
    assert len(known) <= KEPT + 3
    assert {("p", "down"), ("p", "resting"), ("p", "used"), ("p",)} <= known
    assert health.route("p", "used").target is used.target
    for number in range(5 * KEPT):
        health.route("p", f"n{number}", 60.0)
    gc.collect()
    assert ("p", "resting") not in health.conditions()
    assert ("p", "down") in health.conditions()
