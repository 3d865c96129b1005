"""Nothing is done twice and nothing is left behind: retries, cancelled calls, sockets, tasks, threads."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.concurrency import threads
from kickai_providers_core.testing.contract.helpers.calls import open_stream, run_coroutine, wait_until
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, MODES, PROMPT_S, QUICK_S
from kickai_providers_core.testing.contract.helpers.parameters import format_id, in_each_mode, in_each_stream
from kickai_providers_core.testing.contract.helpers.requirements import require_native
from kickai_providers_core.testing.contract.helpers.spec import ProviderSpec
from kickai_providers_core.testing.faults import CloseEarly, Malformed, Reset, Silence, Stall, Status
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.helpers.harness import ProviderHarness
    from kickai_providers_core.testing.faults import Fault

__all__ = ["CleanupTests"]


class CleanupTests(ProviderSpec):
    """A call frees what it used."""

    @in_each_mode
    @pytest.mark.parametrize(
        "fault",
        [
            Status(429, "rate_limit", {"retry-after": "0"}),
            Status(401, "auth"),
            Status(500, "unavailable"),
            Status(503, "unavailable"),
            Reset(),
            CloseEarly(),
            Malformed(),
        ],
        ids=format_id,
    )
    def test_nothing_is_retried(self, harness: ProviderHarness, mode: Mode, fault: Fault) -> None:
        """A failed attempt sends one request: only the core retries."""
        server = harness.server
        harness.attempt(mode, fault)
        count = len(server.requests)
        assert count == 1, f"the attempt sent {count} requests, expected 1: turn off the client's own retries"

    def test_cancelling_closes_the_connection(self, harness: ProviderHarness) -> None:
        """A cancelled call ends at once with `CancelledError`, and its connection is closed."""
        require_native(harness, "ainvoke")
        harness.server.default = Silence()
        _check_cancellation(harness, "ainvoke")

    def test_cancelling_a_stream_closes_the_connection(self, harness: ProviderHarness) -> None:
        """A cancelled stream ends at once with `CancelledError`, and its connection is closed."""
        require_native(harness, "astream")
        harness.server.default = Stall(1)
        _check_cancellation(harness, "astream")

    @pytest.mark.parametrize("mode", ["ainvoke", "astream"])
    def test_cleaning_up_after_cancellation_ends_in_time(self, harness: ProviderHarness, mode: Mode) -> None:
        """A cancelled call ends in less than a second: its caller, or the next target, waits for it."""
        require_native(harness, mode)
        harness.server.default = Silence() if mode == "ainvoke" else Stall(1)

        async def cancel() -> float:
            task = await _start_call(harness, mode)
            began = time.perf_counter()
            task.cancel()
            await asyncio.wait({task})
            return time.perf_counter() - began

        took_s = run_coroutine(cancel)
        assert took_s < QUICK_S, f"the call took {took_s:.2f} s to end after it was cancelled, expected {QUICK_S:g} s"

    @in_each_stream
    def test_closing_a_stream_ends_in_time(self, harness: ProviderHarness, mode: Mode) -> None:
        """Closing a stream early takes less than a second."""
        require_native(harness, mode)
        harness.server.default = Stall(1)
        if mode == "stream":
            took_s = threads.call(lambda: _time_close(harness), PROMPT_S)
        else:
            took_s = run_coroutine(lambda: _time_aclose(harness))
        assert took_s < QUICK_S, f"closing the stream took {took_s:.2f} s, expected less than {QUICK_S:g} s"

    def test_the_next_call_works_after_a_cancellation(self, harness: ProviderHarness) -> None:
        """After a cancelled call the same provider answers on the same event loop."""
        require_native(harness, "ainvoke")
        harness.server.script(Silence())

        async def cancel_and_call() -> str:
            await _cancel(harness, "ainvoke")
            return str(await harness.call_hook("ainvoke"))

        text = run_coroutine(cancel_and_call)
        assert text == "pong", f"expected 'pong' from the call after the cancelled one, got {text!r}"

    @pytest.mark.parametrize("fault", [None, Status(503, "unavailable"), Reset(), Malformed()], ids=format_id)
    def test_no_socket_is_left(self, harness: ProviderHarness, fault: Fault | None) -> None:
        """After the provider is closed no connection is open, and no socket is left to the garbage collector."""
        server = harness.server
        gc.collect()  # frees what earlier tests have left
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            for mode in MODES:
                harness.attempt(mode, fault)
            harness.close()
            gc.collect()
        left = [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)]
        assert not left, f"not closed, but left to the garbage collector: {left}"
        assert server.wait_closed(GRACE_S), "a connection is still open after the provider was closed"

    @pytest.mark.parametrize("fault", [None, Status(503, "unavailable")], ids=format_id)
    def test_no_task_is_left(self, harness: ProviderHarness, fault: Fault | None) -> None:
        """After a call and a stream, and closing, no task is left on the event loop."""

        async def use() -> set[str]:
            for call in (_call, _read):
                if fault is not None:
                    harness.server.script(fault)
                await call(harness)
            await harness.adapter.aclose(harness.provider)
            await asyncio.sleep(0.05)  # for callbacks that are due
            return {repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}

        left = run_coroutine(use)
        assert not left, f"tasks left on the event loop after the provider was closed: {left}"

    @pytest.mark.parametrize("fault", [None, Status(503, "unavailable"), Silence()], ids=format_id)
    def test_no_thread_is_left(self, harness: ProviderHarness, fault: Fault | None) -> None:
        """After calls that succeed, fail or time out, and closing, no thread is left."""
        before = set(threading.enumerate())
        for mode in MODES:
            harness.attempt(mode, fault, timeout_s=self.patience_s if fault == Silence() else PROMPT_S, as_core=True)
        harness.close()
        harness.core_calls.stop()
        if not harness.info.holds_timeouts and fault == Silence():
            harness.server.drop()  # ends the core's threads, in which the plugin still waits
        wait_until(lambda: not set(threading.enumerate()) - before)
        left = [thread.name for thread in set(threading.enumerate()) - before]
        assert not left, f"threads left after the provider was closed: {', '.join(left)}"


async def _call_hook(harness: ProviderHarness, mode: Mode) -> None:
    """Call the plugin's own hook, and wait for its end."""
    call = harness.call_hook(mode)
    if mode == "ainvoke":
        await call
    else:
        async for _ in await open_stream(call):
            pass


def _time_close(harness: ProviderHarness) -> float:
    """Read the first chunk of a stream and close it; return how long closing took, in seconds."""
    chunks = harness.call_hook("stream")
    next(chunks)
    began = time.perf_counter()
    chunks.close()
    return time.perf_counter() - began


async def _time_aclose(harness: ProviderHarness) -> float:
    """Read the first chunk of an async stream and close it; return how long closing took, in seconds."""
    chunks = await open_stream(harness.call_hook("astream"))
    await anext(chunks)
    began = time.perf_counter()
    await chunks.aclose()
    return time.perf_counter() - began


async def _start_call(harness: ProviderHarness, mode: Mode) -> asyncio.Task[None]:
    """Start a call; return its task once the request has arrived and the call waits for the answer."""
    count = len(harness.server.requests) + 1
    task = asyncio.create_task(_call_hook(harness, mode))
    await asyncio.to_thread(harness.server.wait_requests, count, GRACE_S)
    await asyncio.sleep(0.05)  # the call may not have noticed yet that its request was sent
    return task


async def _cancel(harness: ProviderHarness, mode: Mode) -> bool:
    """Cancel a call; return whether it ended with `CancelledError`, and in time."""
    task = await _start_call(harness, mode)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE_S)
    return bool(done) and task.cancelled()


def _check_cancellation(harness: ProviderHarness, mode: Mode) -> None:
    """Cancel a call; check that it ends with `CancelledError`, and that its connection closes while the loop runs."""

    async def cancel() -> tuple[bool, bool]:
        return await _cancel(harness, mode), await asyncio.to_thread(harness.server.wait_closed, GRACE_S)

    cancelled, closed = run_coroutine(cancel)
    assert cancelled, f"{mode}: expected CancelledError after the call was cancelled: do not catch it"
    assert closed, f"{mode}: the connection is still open after the call was cancelled"


async def _call(harness: ProviderHarness) -> None:
    with suppress(ProviderError):
        await harness.adapter.ainvoke(harness.provider, harness.request, PROMPT_S)


async def _read(harness: ProviderHarness) -> None:
    with suppress(ProviderError):
        async for _ in harness.adapter.astream(harness.provider, harness.request, PROMPT_S, harness.settings):
            pass
