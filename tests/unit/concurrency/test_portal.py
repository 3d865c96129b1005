"""The portal, and its callers while it stops."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import CancelledError

import pytest

from kickai_providers_core.concurrency.portal import Portal


async def answer() -> str:
    """Answer at once."""
    return "yes"


def find_portal_threads() -> list[threading.Thread]:
    """Return the threads that run a portal."""
    return [thread for thread in threading.enumerate() if thread.name == "kickai-portal"]


@pytest.mark.parametrize("used", [True, False])
def test_a_stopped_portal_does_not_start_again(*, used: bool) -> None:
    """A late call is refused, and no thread is left behind."""
    portal = Portal()
    if used:
        assert portal.run(answer) == "yes"
    portal.stop()
    with pytest.raises(RuntimeError, match="closed"):
        portal.run(answer)
    assert not portal.is_running
    assert find_portal_threads() == []


def test_a_waiting_caller_gets_an_error_when_the_portal_stops() -> None:
    """The error is not a cancellation, which would be the caller's own."""
    portal, waits = Portal(), threading.Event()
    ended: list[BaseException] = []

    async def forever() -> None:
        waits.set()
        await asyncio.get_running_loop().create_future()

    def call() -> None:
        try:
            portal.run(forever)
        except BaseException as error:  # noqa: BLE001  whatever it is, it is looked at below
            ended.append(error)

    caller = threading.Thread(target=call)
    caller.start()
    assert waits.wait(5)
    portal.stop()
    caller.join(5)
    assert [type(error) for error in ended] == [RuntimeError]


def test_a_coroutine_that_cancels_itself_stays_cancelled() -> None:
    """The error does not say that the portal was stopped."""
    portal = Portal()

    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(CancelledError):
        portal.run(cancelled)
    portal.stop()


def test_stopping_a_portal_that_never_started_does_nothing() -> None:
    """Stopping it twice does nothing either."""
    portal = Portal()
    assert not portal.is_running
    portal.stop()
    portal.stop()
    assert not portal.is_running


INTERRUPTED = """
import asyncio, signal, threading
from kickai_providers_core.concurrency.portal import Portal

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what runs behind it ignore SIGINT
portal, cancelled = Portal(), threading.Event()

async def forever():
    asyncio.get_running_loop().call_later(0.1, signal.pthread_kill, threading.main_thread().ident, signal.SIGINT)
    try:
        await asyncio.Event().wait()
    finally:
        cancelled.set()

try:
    portal.run(forever)
except KeyboardInterrupt:
    print("cancelled" if cancelled.wait(20) else "left under way")
portal.stop()
"""


def test_interrupting_a_blocking_caller_cancels_its_request() -> None:
    """A KeyboardInterrupt in a waiting caller also ends the call on the portal's loop."""
    ran = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.strip() == "cancelled", ran.stderr
