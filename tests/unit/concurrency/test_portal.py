"""The loop in the background, and those who call it while it ends."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError

import pytest

from kickai_providers_core.concurrency.portal import Portal


async def answered() -> str:
    """Answer at once."""
    return "yes"


def in_the_background() -> list[threading.Thread]:
    """Return the threads with such a loop."""
    return [thread for thread in threading.enumerate() if thread.name == "kickai-background"]


@pytest.mark.parametrize("used", [True, False])
def test_a_loop_that_was_stopped_does_not_begin_again(*, used: bool) -> None:
    """A call that comes too late is refused, and leaves no thread behind that nobody would ever end."""
    background = Portal()
    if used:
        assert background.run(answered) == "yes"
    background.stop()
    with pytest.raises(RuntimeError, match="closed"):
        background.run(answered)
    assert not background.running
    assert in_the_background() == []


def test_whoever_waits_when_the_loop_is_stopped_is_told_so() -> None:
    """Not with a cancellation, which would be the caller's own."""
    background, waits = Portal(), threading.Event()
    ended: list[BaseException] = []

    async def forever() -> None:
        waits.set()
        await asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            background.run(forever)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is looked at below
            ended.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert waits.wait(5)
    background.stop()
    caller.join(5)
    assert [type(error) for error in ended] == [RuntimeError]


def test_a_cancellation_that_is_the_coroutines_own_stays_one() -> None:
    """What was not stopped is not said to be."""
    background = Portal()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        background.run(cancelled)
    background.stop()
