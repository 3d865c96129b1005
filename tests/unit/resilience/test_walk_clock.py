"""The times in a trace, whatever the clock does."""

from __future__ import annotations

from simulator import Target, World

from kickai_providers_core.resilience.actions import TICK_S, Call, Sleep
from kickai_providers_core.values.errors import ProviderUnavailableError


def test_an_attempt_that_starts_a_tick_early_has_no_negative_latency() -> None:
    """A retry may begin a tick before it is due, and fail before it is due."""
    world = World([Target(name="a", retries=1)])
    walk = world.walk()
    walk.next(1000.0)
    sleep = walk.record_failure(ProviderUnavailableError("down", status_code=503), 1000.0)
    assert isinstance(sleep, Sleep)
    early = 1000.0 + sleep.wait_s - TICK_S / 2
    assert isinstance(walk.next(early), Call)
    walk.record_failure(ProviderUnavailableError("down", status_code=503), early)
    assert [attempt.latency_s for attempt in walk._recorder.attempts] == [0.0, 0.0]
