"""Each phase of an attempt has its own limit, which begins when the phase begins."""

from __future__ import annotations

import asyncio
import math

import pytest
from attrs import define

from kickai_providers_core import ProviderSettings, ProviderTimeoutError
from kickai_providers_core.authoring import AttemptTimeouts


@define
class Clock:
    """A clock that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


LIMITS = {"connect_timeout_s": 2.0, "first_token_timeout_s": 3.0, "idle_timeout_s": 4.0}


def _timeouts(clock, timeout_s=60.0, **limits):
    return AttemptTimeouts(timeout_s, clock=clock, **(limits or LIMITS))


@pytest.mark.parametrize(("phase", "seconds"), [("connect", 2.0), ("first_token", 3.0), ("idle", 4.0)])
def test_each_phase_has_its_own_limit(phase, seconds):
    """The limit begins when the phase begins, not when the attempt began."""
    clock = Clock()
    timeouts = _timeouts(clock)
    clock.now += 1.5
    timeouts.begin(phase)
    assert (timeouts.remaining_s(), timeouts.phase, timeouts.limit_s) == (seconds, phase, seconds)
    clock.now += seconds
    assert timeouts.is_expired()
    assert timeouts.remaining_s() == 0
    with pytest.raises(ProviderTimeoutError) as caught:
        timeouts.wait_s()
    assert caught.value.phase == phase


def test_an_attempt_begins_with_connecting():
    """Until another phase begins, the service counts as not reached."""
    timeouts = _timeouts(Clock())
    assert (timeouts.phase, timeouts.is_connected) == ("connect", False)
    timeouts.begin("first_token")
    assert timeouts.is_connected


def test_the_total_ends_every_phase():
    """A phase that would end later ends with the attempt, and the total is the limit to report."""
    clock = Clock()
    timeouts = _timeouts(clock, 5.0)
    clock.now += 4.0
    timeouts.begin("idle")
    assert (timeouts.remaining_s(), timeouts.phase, timeouts.limit_s) == (1.0, "total", 5.0)
    clock.now += 1.0
    assert timeouts.error().phase == "total"


def test_the_same_phase_can_begin_again():
    """Each chunk of a stream gets the whole idle timeout."""
    clock = Clock()
    timeouts = _timeouts(clock)
    for _ in range(5):
        timeouts.begin("idle")
        clock.now += 3.9
        assert timeouts.wait_s() == pytest.approx(0.1)


def test_a_phase_can_be_shortened_but_not_lengthened():
    """What is left to read may be worth less time than the phase has."""
    clock = Clock()
    timeouts = _timeouts(clock)
    timeouts.begin("idle")
    timeouts.shorten(1.0)
    assert timeouts.remaining_s() == 1.0
    timeouts.shorten(50.0)
    assert timeouts.remaining_s() == 1.0
    timeouts.begin("idle", at_most_s=0.5)
    assert (timeouts.remaining_s(), timeouts.limit_s) == (0.5, 0.5)
    timeouts.begin("idle", at_most_s=50.0)
    assert timeouts.remaining_s() == 4.0


@pytest.mark.parametrize("is_stream", [True, False])
def test_a_whole_answer_has_no_limits_for_its_pieces(is_stream):
    """First token and idleness count for streams; connecting and the total count for both."""
    clock = Clock()
    settings = ProviderSettings(connect_timeout_s=1.0, first_token_timeout_s=2.0, idle_timeout_s=3.0)
    timeouts = AttemptTimeouts.from_settings(settings, 9.0, is_stream=is_stream, clock=clock)
    assert timeouts.remaining_s() == 1.0
    timeouts.begin("first_token")
    assert (timeouts.remaining_s(), timeouts.phase) == ((2.0, "first_token") if is_stream else (9.0, "total"))
    timeouts.begin("idle")
    assert (timeouts.remaining_s(), timeouts.phase) == ((3.0, "idle") if is_stream else (9.0, "total"))


async def test_a_block_is_cancelled_when_its_limit_expires():
    """The error names the phase, and code within the block sees a cancellation."""
    timeouts = AttemptTimeouts(5.0, connect_timeout_s=0.01)
    with pytest.raises(ProviderTimeoutError) as caught:
        async with timeouts.hold():
            await asyncio.sleep(5)
    assert (caught.value.phase, caught.value.__suppress_context__) == ("connect", True)


async def test_a_phase_that_begins_within_a_block_moves_its_end():
    """The new phase has its whole limit, or a shorter one."""
    timeouts = AttemptTimeouts(5.0, connect_timeout_s=0.05, first_token_timeout_s=0.01)
    async with timeouts.hold():
        timeouts.begin("idle")
        await asyncio.sleep(0.1)

    async def wait_for_first_token():
        async with timeouts.hold():
            timeouts.begin("first_token")
            await asyncio.sleep(5)

    with pytest.raises(ProviderTimeoutError) as caught:
        await wait_for_first_token()
    assert caught.value.phase == "first_token"


async def test_other_exceptions_and_cancellations_pass_through_a_block():
    """A timeout of something else is not reported as the attempt's, and neither is a cancelled task."""
    timeouts = AttemptTimeouts(5.0)
    with pytest.raises(TimeoutError):
        async with timeouts.hold():
            raise TimeoutError

    async def wait():
        async with timeouts.hold():
            await asyncio.sleep(5)

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_block_of_an_expired_attempt_ends_at_its_first_wait():
    """No time is left, so nothing is waited for."""
    timeouts = AttemptTimeouts(0.0)
    with pytest.raises(ProviderTimeoutError):
        async with timeouts.hold():
            await asyncio.sleep(5)


def test_without_limits_only_the_total_counts():
    """Infinite limits never expire."""
    clock = Clock()
    timeouts = AttemptTimeouts(7.0, clock=clock)
    assert (timeouts.remaining_s(), timeouts.phase) == (7.0, "total")
    assert math.isfinite(timeouts.remaining_s())
