"""A function for each mode of calling a chain, and helpers that run jobs at once and wait."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from kickai_providers_core import Chain
    from kickai_providers_core.runtime.streaming import StreamMode

    Ask = Callable[[Chain], str]

__all__ = [
    "MODES",
    "STREAMS",
    "WAYS",
    "becomes_true",
    "best_of_three",
    "calls",
    "in_time",
    "once_in_three",
    "run_in_parallel",
    "run_on_new_loop",
    "wait_until",
]

HANGS_S = 60.0
"""A job that takes longer than this hangs."""


def invoke(chain: Chain) -> str:
    """Send a blocking request."""
    return chain.invoke("hi").text


def ainvoke(chain: Chain) -> str:
    """Send a request on an event loop."""

    async def main() -> str:
        return (await chain.ainvoke("hi")).text

    return run_on_new_loop(main)


def stream(chain: Chain, mode: StreamMode) -> str:
    """Read a stream as its mode requires."""
    text = ""
    with chain.stream("hi", mode=mode) as chunks:
        for chunk in chunks:
            text = "" if chunk.restart else text + chunk.text
    return text


def astream(chain: Chain, mode: StreamMode) -> str:
    """Read an async stream as its mode requires."""

    async def main() -> str:
        text = ""
        async with chain.astream("hi", mode=mode) as chunks:
            async for chunk in chunks:
                text = "" if chunk.restart else text + chunk.text
        return text

    return run_on_new_loop(main)


MODES: tuple[StreamMode, ...] = ("live", "restart", "buffered")
STREAMS: dict[str, Ask] = {
    f"{name}, {mode}": partial(way, mode=mode)
    for name, way in (("stream", stream), ("astream", astream))
    for mode in MODES
}
WAYS: dict[str, Ask] = {"invoke": invoke, "ainvoke": ainvoke, **STREAMS}


def run_on_new_loop(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine on a new loop; check that it leaves no task and no open stream on it, however it ends."""

    async def watched() -> Any:
        try:
            return await main()
        finally:
            async with asyncio.timeout(HANGS_S):  # the loser of a hedged request is closed behind the answer
                while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  the other thread does not know this loop
                    await asyncio.sleep(0.005)
            # Closing the loop would close open streams, and hide the leak.
            opened = asyncio.get_running_loop()._asyncgens  # type: ignore[attr-defined]
            assert [stream for stream in opened if stream.ag_frame is not None] == []

    return asyncio.run(watched())


async def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true that changes on another thread."""
    async with asyncio.timeout(HANGS_S):
        while not condition():  # noqa: ASYNC110  the other thread does not know this loop
            await asyncio.sleep(0.005)


def run_in_parallel(jobs: Mapping[str, Callable[[], object]]) -> None:
    """Run several jobs at once, each on its own thread; raise their errors, each with its name."""
    wrong: dict[str, BaseException] = {name: AssertionError(f"{name}: it hangs") for name in jobs}

    def do(name: str, job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001  all of it is raised below
            error.add_note(f"this was: {name}")
            wrong[name] = error
        else:
            del wrong[name]

    threads = [threading.Thread(target=do, args=job, daemon=True) for job in jobs.items()]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + HANGS_S
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))
    if wrong:
        message = f"{len(wrong)} of {len(jobs)} went wrong: {'; '.join(wrong)}"
        raise BaseExceptionGroup(message, list(wrong.values()))


def calls() -> set[threading.Thread]:
    """Return the threads in which the core calls providers."""
    return {thread for thread in threading.enumerate() if thread.name == "kickai-call"}


def becomes_true(condition: Callable[[], bool], within_s: float = 20.0) -> bool:
    """Wait until a condition is true; return whether it became true in time."""
    ends = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.005)
    return True


def once_in_three(job: Callable[[], None]) -> None:
    """Run a job, up to three times if its assertions fail: timeouts of a fifth of a second need an idle machine."""
    for _ in range(2):
        with suppress(AssertionError):
            return job()
    return job()


in_time = pytest.mark.parametrize(
    "times", [pytest.param(5.0, id="busy"), pytest.param(1.0, id="exact", marks=pytest.mark.timing)]
)
"""Multiply a test's bound on the real clock: by five on a machine that is busy with other things, as in ``nox``, and by
one where the test runs alone, as in ``nox -s timing``."""


def best_of_three(ask: Callable[[], object], bound_s: float) -> float:
    """Return the shortest time of up to three runs, since the machine may be busy with something else."""
    best = float("inf")
    for _ in range(3):
        began = time.monotonic()
        ask()
        best = min(best, time.monotonic() - began)
        if best <= bound_s:
            break
    return best
