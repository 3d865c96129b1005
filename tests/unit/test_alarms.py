"""The alarms of an event loop: they end what takes too long as `asyncio.timeout` does, with one timer for all."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from kickai_providers_core.concurrency.timeouts import Alarms

SOON_S, NEVER_S = 0.02, 30.0


async def late(alarms: Alarms, seconds: float = SOON_S) -> float:
    """Wait for what never comes; return how long it took to be told so."""
    began = time.monotonic()
    with pytest.raises(TimeoutError), alarms.after(seconds):
        await asyncio.sleep(NEVER_S)
    return time.monotonic() - began


async def test_what_takes_too_long_is_ended() -> None:
    """With a TimeoutError, whose cause is the cancellation, and the task goes on as if nothing had been cancelled."""
    alarms = Alarms()
    with pytest.raises(TimeoutError) as raised, alarms.after(SOON_S):
        await asyncio.sleep(NEVER_S)
    assert isinstance(raised.value.__cause__, asyncio.CancelledError)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(0)


async def test_what_ends_in_time_is_left_alone() -> None:
    """Its result and its errors pass, and no alarm rings afterwards."""
    alarms = Alarms()
    with alarms.after(SOON_S):
        await asyncio.sleep(0)
    with pytest.raises(KeyError), alarms.after(SOON_S):
        raise KeyError
    await asyncio.sleep(2 * SOON_S)


async def test_each_ends_at_its_own_time() -> None:
    """Whichever is set first, and however many: the soonest end sets the timer, and those behind it are not lost."""
    alarms = Alarms()
    ends = [0.08, 0.02, 0.05, 0.02, 0.11]
    took = await asyncio.gather(*(late(alarms, seconds) for seconds in ends))
    for seconds, after in zip(ends, took, strict=True):
        assert seconds - 0.005 <= after < seconds + 0.25


async def test_one_timer_serves_them_all() -> None:
    """A thousand calls in a row and a thousand at once leave one timer behind, not two thousand."""
    alarms, loop = Alarms(), asyncio.get_running_loop()
    timers = []
    call_at = loop.call_at

    def counted(*args: object, **kwargs: object) -> asyncio.TimerHandle:
        timers.append(args)
        return call_at(*args, **kwargs)

    async def quick() -> None:
        with alarms.after(NEVER_S):
            await asyncio.sleep(0)

    loop.call_at = counted
    for _ in range(1000):
        await quick()
    await asyncio.gather(*(quick() for _ in range(1000)))
    assert len(timers) == 1


async def test_a_cancellation_from_outside_is_obeyed() -> None:
    """It stays a cancellation, also when the alarm rings in the same moment."""
    alarms = Alarms()

    async def waits() -> None:
        with alarms.after(SOON_S):
            await asyncio.sleep(NEVER_S)

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    both = asyncio.create_task(waits())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(SOON_S, both.cancel)
    time.sleep(2 * SOON_S)  # noqa: ASYNC251  both are due when the loop comes by again
    with pytest.raises(asyncio.CancelledError):
        await both


@pytest.mark.parametrize("ours_first", [True, False])
async def test_of_two_limits_the_one_that_is_over_speaks(*, ours_first: bool) -> None:
    """Inside an `asyncio.timeout`, each ends what is in it, and neither takes the other for its own."""
    alarms = Alarms()
    outer, inner = (NEVER_S, SOON_S) if ours_first else (SOON_S, NEVER_S)
    reached = []
    with suppress(TimeoutError):
        async with asyncio.timeout(outer):
            with suppress(TimeoutError), alarms.after(inner):
                await asyncio.sleep(NEVER_S)
            reached.append("after ours")
    assert reached == (["after ours"] if ours_first else [])


async def test_who_swallows_the_cancellation_is_not_told_of_a_timeout() -> None:
    """What goes on after its end and comes to a result has it; the task is not left cancelled."""
    alarms = Alarms()
    with alarms.after(SOON_S):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(NEVER_S)
        result = "all the same"
    assert result == "all the same"
    assert asyncio.current_task().cancelling() == 0


def test_one_set_of_alarms_serves_many_loops() -> None:
    """One loop after the other in one thread, and one in each of several threads at the same time."""
    alarms = Alarms()
    for _ in range(3):
        assert asyncio.run(late(alarms)) < SOON_S + 0.25
    with ThreadPoolExecutor(8) as pool:
        for took in pool.map(lambda _: asyncio.run(late(alarms)), range(8)):
            assert took < SOON_S + 0.25


# The collector also comes upon loops that others made for their tests and did not close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_is_not_kept_alive_by_another() -> None:
    """Of a loop that was closed nothing is held once the thread has turned to the next."""
    alarms = Alarms()

    def turned() -> weakref.ref[asyncio.AbstractEventLoop]:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(late(alarms))
        loop.close()
        return weakref.ref(loop)

    first = turned()
    turned()
    gc.collect()
    assert first() is None


def test_without_a_task_there_is_nothing_to_end() -> None:
    """A callback of the loop cannot be cancelled, and is told so rather than waited for in vain."""
    alarms, loop = Alarms(), asyncio.new_event_loop()
    raised: list[BaseException] = []

    def callback() -> None:
        try:
            with alarms.after(1.0):
                pass
        except RuntimeError as error:
            raised.append(error)
        loop.stop()

    loop.call_soon(callback)
    loop.run_forever()
    loop.close()
    assert "needs a task" in str(raised[0])


async def test_a_bell_settles_a_future_that_is_waited_for_too_long() -> None:
    """With None, at its own time, and whoever waits is not cancelled."""
    alarms, future = Alarms(), asyncio.get_running_loop().create_future()
    began = time.monotonic()
    alarms.settling(future, SOON_S)
    assert await future is None
    assert SOON_S - 0.005 <= time.monotonic() - began < SOON_S + 0.25
    assert asyncio.current_task().cancelling() == 0


async def test_a_bell_leaves_alone_what_is_settled_or_was_taken_back() -> None:
    """A future that has its result keeps it; one whose bell was stopped is never settled."""
    alarms, loop = Alarms(), asyncio.get_running_loop()
    settled, stopped = loop.create_future(), loop.create_future()
    alarms.settling(settled, SOON_S)
    alarms.settling(stopped, SOON_S).stop()
    settled.set_result("an answer")
    await asyncio.sleep(3 * SOON_S)
    assert await settled == "an answer"
    assert not stopped.done()
