"""That nothing is done twice and nothing is left: retries, cancelled calls, sockets, tasks, threads."""

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
from kickai_providers_core.testing.contract.calling import opened, run, wait_until
from kickai_providers_core.testing.contract.givens import GRACE_S, MODES, PROMPT_S, QUICK_S, STREAMS, id_of
from kickai_providers_core.testing.contract.needs import need_native
from kickai_providers_core.testing.contract.supplied import Supplied
from kickai_providers_core.testing.faults import CloseEarly, Malformed, Reset, Silence, Stall, Status
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.plugin_api.hookspecs import Mode
    from kickai_providers_core.testing.contract.subject import Subject
    from kickai_providers_core.testing.faults import Fault

__all__ = ["Freeing"]


class Freeing(Supplied):
    """What a call takes it gives back."""

    @pytest.mark.parametrize("mode", MODES)
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
        ids=id_of,
    )
    def test_nothing_is_retried(self, subject: Subject, mode: Mode, fault: Fault) -> None:
        """A failed attempt has made one request of the service: retries are the core's."""
        server = subject.server
        subject.attempt(mode, fault)
        assert len(server.requests) == 1

    def test_cancelling_frees(self, subject: Subject) -> None:
        """A cancelled call ends at once, as cancelled, and its connection is closed."""
        need_native(subject, "ainvoke")
        subject.server.default = Silence()
        cancelled, closed = run(lambda: _cancelled_and_closed(subject, lambda: subject.raw("ainvoke")))
        assert cancelled, "the call swallowed its cancellation"
        assert closed, "the connection is open after the call was cancelled"

    def test_cancelling_a_stream_frees(self, subject: Subject) -> None:
        """A cancelled stream ends at once, as cancelled, and its connection is closed."""
        need_native(subject, "astream")
        subject.server.default = Stall(1)

        async def read() -> None:
            async for _ in await opened(subject.raw("astream")):
                pass

        cancelled, closed = run(lambda: _cancelled_and_closed(subject, read))
        assert cancelled, "the stream swallowed its cancellation"
        assert closed, "the connection is open after the stream was cancelled"

    @pytest.mark.parametrize("mode", ["ainvoke", "astream"])
    def test_cleaning_up_after_cancellation_ends_in_time(self, subject: Subject, mode: Mode) -> None:
        """A cancelled call ends in under a second: its caller, or the next target, waits for it."""
        need_native(subject, mode)
        subject.server.default = Silence() if mode == "ainvoke" else Stall(1)

        async def cancel() -> float:
            task = asyncio.create_task(_whole(subject, mode))
            await asyncio.to_thread(subject.server.wait_requests, 1, GRACE_S)
            await asyncio.sleep(0.05)
            began = time.perf_counter()
            task.cancel()
            await asyncio.wait({task})
            return time.perf_counter() - began

        took_s = run(cancel)
        assert took_s < QUICK_S, f"the call took {took_s:.2f} s to clean up after it was cancelled"

    @pytest.mark.parametrize("mode", STREAMS)
    def test_closing_a_stream_ends_in_time(self, subject: Subject, mode: Mode) -> None:
        """A stream that is closed half-way ends in under a second."""
        need_native(subject, mode)
        subject.server.default = Stall(1)
        took_s = threads.call(lambda: _close(subject), PROMPT_S) if mode == "stream" else run(lambda: _aclose(subject))
        assert took_s < QUICK_S, f"closing the stream took {took_s:.2f} s"

    def test_a_cancelled_call_takes_nothing_from_the_next(self, subject: Subject) -> None:
        """After a cancelled call the same provider answers, on the same loop."""
        need_native(subject, "ainvoke")
        subject.server.script(Silence())

        async def both() -> str:
            await _cancelled(subject, lambda: subject.raw("ainvoke"))
            return str(await subject.raw("ainvoke"))

        assert run(both) == "pong"

    @pytest.mark.parametrize("fault", [None, Status(503, "unavailable"), Reset(), Malformed()], ids=id_of)
    def test_no_socket_is_left(self, subject: Subject, fault: Fault | None) -> None:
        """After closing, no connection is open, and no socket was left to the garbage collector."""
        server = subject.server
        gc.collect()  # what earlier tests left is not this one's
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            for mode in MODES:
                subject.attempt(mode, fault)
            subject.hook.kickai_close_provider(provider=subject.provider)
            gc.collect()
        left = [str(warning.message) for warning in caught if issubclass(warning.category, ResourceWarning)]
        assert not left, f"left to the garbage collector: {left}"
        assert server.wait_closed(GRACE_S), "a connection is open after closing"

    @pytest.mark.parametrize("fault", [None, Status(503, "unavailable")], ids=id_of)
    def test_no_task_is_left(self, subject: Subject, fault: Fault | None) -> None:
        """After a call and a stream, and closing, the loop has no task but its own."""

        async def use() -> set[str]:
            for call in (_asked, _read):
                if fault is not None:
                    subject.server.script(fault)
                await call(subject)
            await subject.seam.aclose(subject.provider)
            await asyncio.sleep(0.05)  # for callbacks that are due
            return {repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}

        assert not run(use)

    @pytest.mark.parametrize("fault", [None, Status(503, "unavailable"), Silence()], ids=id_of)
    def test_no_thread_is_left(self, subject: Subject, fault: Fault | None) -> None:
        """After calls that were answered, that failed or that timed out, and closing, there are as many threads."""
        before = set(threading.enumerate())
        for mode in MODES:
            subject.attempt(mode, fault, timeout_s=self.patience_s if fault == Silence() else PROMPT_S, as_core=True)
        subject.hook.kickai_close_provider(provider=subject.provider)
        if not subject.info.holds_timeouts and fault == Silence():
            subject.server.drop()  # the core's threads, which the plugin left waiting
        assert wait_until(lambda: not set(threading.enumerate()) - before), (
            f"left: {[thread.name for thread in set(threading.enumerate()) - before]}"
        )


async def _whole(subject: Subject, mode: Mode) -> None:
    """Make a call by the plugin's own hook, to its end."""
    call = subject.raw(mode)
    if mode == "ainvoke":
        await call
    else:
        async for _ in await opened(call):
            pass


def _close(subject: Subject) -> float:
    """Read the first chunk of a stream and close it; return the seconds that closing took."""
    chunks = subject.raw("stream")
    next(chunks)
    began = time.perf_counter()
    chunks.close()
    return time.perf_counter() - began


async def _aclose(subject: Subject) -> float:
    """Read the first chunk of an async stream and close it; return the seconds that closing took."""
    chunks = await opened(subject.raw("astream"))
    await anext(chunks)
    began = time.perf_counter()
    await chunks.aclose()
    return time.perf_counter() - began


async def _cancelled(subject: Subject, work: Callable[[], object]) -> bool:
    """Cancel a call once its request has come in; return whether it ended as cancelled, and in time."""

    async def run() -> object:
        return await work()  # type: ignore[misc]

    task = asyncio.create_task(run())
    count = len(subject.server.requests) + 1
    await asyncio.to_thread(subject.server.wait_requests, count, GRACE_S)
    await asyncio.sleep(0.05)  # so that it waits for the answer, and not for its own request to be sent
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=GRACE_S)
    return bool(done) and task.cancelled()


async def _cancelled_and_closed(subject: Subject, work: Callable[[], object]) -> tuple[bool, bool]:
    """Cancel a call; return whether it ended as cancelled, and whether its connection closed while the loop ran."""
    return await _cancelled(subject, work), await asyncio.to_thread(subject.server.wait_closed, GRACE_S)


async def _asked(subject: Subject) -> None:
    with suppress(ProviderError):
        await subject.seam.ainvoke(subject.provider, subject.request, PROMPT_S)


async def _read(subject: Subject) -> None:
    with suppress(ProviderError):
        async for _ in subject.seam.astream(subject.provider, subject.request, PROMPT_S, subject.settings):
            pass
