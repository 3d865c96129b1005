"""An outage of a minute under steady traffic, on a virtual clock."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulator import Outcome, Target, World

from kickai_providers_core.values.errors import ProviderTimeoutError, ProviderUnavailableError

MINUTE = 60.0
RECOVERY_S = 30.0


@given(
    seed=st.integers(0, 2**32),
    every_s=st.floats(0.2, 3.0),
    silent=st.booleans(),
)
def test_during_an_outage_every_request_is_answered_and_the_primary_gets_few_probes(
    seed: int, every_s: float, *, silent: bool
) -> None:
    """Promise 6: traffic is back on the primary within half a minute after the outage."""
    down, up = 1010.0, 1010.0 + MINUTE

    def primary(now: float) -> Outcome:
        if not down <= now < up:
            return None
        return ProviderTimeoutError("silence") if silent else ProviderUnavailableError("down", status_code=503)

    world = World([Target(name="primary", script=primary), Target(name="fallback")], random=Random(seed))
    calls, back_at = 0, None
    while world.now < up + RECOVERY_S + every_s:
        began = world.now
        result = world.ask()
        assert result.reply is not None
        calls += sum(down <= call.at < up for call in result.calls if call.target == "primary")
        if began >= up and result.reply.provider == "primary" and back_at is None:
            back_at = began
        world.now = max(world.now, began + every_s)
    # Three errors open the breaker, and its probes come after 5 s at the soonest, then 10 s, then 20 s.
    assert calls <= 3 + 2 + MINUTE / 4.0 / 2
    assert back_at is not None
    assert back_at - up <= RECOVERY_S


@pytest.mark.parametrize("every_s", [0.5])
def test_an_outage_of_a_minute_costs_the_primary_at_most_eight_calls(every_s: float) -> None:
    """Promise 6: the jitter of one seed is used."""
    world = World(
        [
            Target(name="primary", script=lambda _now: ProviderUnavailableError("down", status_code=503)),
            Target(name="fallback"),
        ],
        random=Random(7),
    )
    calls = 0
    while world.now < 1000.0 + MINUTE:
        began = world.now
        calls += world.ask().order.count("primary")
        world.now = max(world.now, began + every_s)
    assert 3 < calls <= 8
