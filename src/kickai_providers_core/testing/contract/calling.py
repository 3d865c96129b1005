"""Calling, and being called back: a call in any mode is carried out in a thread of its own, and left when it hangs."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, aclosing, closing
from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.concurrency import threads
from kickai_providers_core.testing.contract.givens import PROMPT_S
from kickai_providers_core.testing.contract.outcome import LeftAloneError, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["opened", "run", "timed"]


def timed(mode: Mode, call: Callable[[], Any], limit_s: float) -> Outcome:
    """Carry a call out to its end, or to the limit; return how it ended.

    Args:
        mode: What the call returns: a value, an awaitable, an iterator or an async iterator.
        call: Makes it; called in the thread, and for async modes on an event loop there.
        limit_s: How long to wait for its end, seconds.
    """
    chunks: list[object] = []
    whole = {
        "invoke": call,
        "ainvoke": lambda: asyncio.run(_awaited(call)),
        "stream": lambda: _read(call, chunks),
        "astream": lambda: asyncio.run(_aread(call, chunks)),
    }[mode]
    began = time.perf_counter()
    try:
        ended = threads.call(lambda: _ended(whole), limit_s)
    except TimeoutError:
        ended = Outcome(mode=mode, raised=LeftAloneError())
    return evolve(ended, mode=mode, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


def run(work: Callable[[], Coroutine[Any, Any, Any]], limit_s: float = PROMPT_S) -> Any:
    """Return what a coroutine returns on an event loop of its own, in a thread of its own."""
    return threads.call(lambda: asyncio.run(work()), limit_s)


async def opened(stream: Any) -> Any:
    """Return the iterator of an ``async def`` that yields, or of one that returns an iterator."""
    return await stream if asyncio.iscoroutine(stream) else stream


def _ended(run: Callable[[], Any]) -> Outcome:
    """Return how a call ends, as a value: so the kit's own `TimeoutError` is told from the provider's."""
    try:
        return Outcome(mode="invoke", value=run())
    except BaseException as error:  # noqa: BLE001 - whatever a provider raises is what the test is about
        return Outcome(mode="invoke", raised=error)


async def _awaited(call: Callable[[], Any]) -> Any:
    return await call()


def _read(call: Callable[[], Any], chunks: list[object]) -> None:
    stream = call()
    with closing(stream) if hasattr(stream, "close") else ExitStack():
        for chunk in stream:
            chunks.append(chunk)  # noqa: PERF402 - what came before an error counts


async def _aread(call: Callable[[], Any], chunks: list[object]) -> None:
    async with aclosing(await opened(call())) as stream:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error counts
