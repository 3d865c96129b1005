"""The portal, and its callers while it stops."""

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
    """Return the threads that run a portal."""
    return [thread for thread in threading.enumerate() if thread.name == "kickai-portal"]


@pytest.mark.parametrize("used", [True, False])
def test_a_stopped_portal_does_not_start_again(*, used: bool) -> None:
    """A late call is refused, and no thread is left behind."""
    background = Portal()
    if used:
        assert background.run(answered) == "yes"
    background.stop()
    with pytest.raises(RuntimeError, match="closed"):
        background.run(answered)
    assert not background.is_running
    assert in_the_background() == []


def test_a_waiting_caller_gets_an_error_when_the_portal_stops() -> None:
    """The error is not a cancellation, which would be the caller's own."""
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


def test_a_coroutine_that_cancels_itself_stays_cancelled() -> None:
    """The error does not say that the portal was stopped."""
    background = Portal()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        background.run(cancelled)
    background.stop()
