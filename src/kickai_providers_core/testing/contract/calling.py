"""Calling, and being called back: a call in any mode is carried out in a thread of its own, and left when it hangs."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, aclosing, closing
from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.concurrency import threads
from kickai_providers_core.testing.contract.givens import GRACE_S, PROMPT_S
from kickai_providers_core.testing.contract.outcome import LeftAloneError, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["observe", "opened", "run", "timed", "wait_until"]


def timed(mode: Mode, call: Callable[[], Any], limit_s: float) -> Outcome:
    """Carry a call out to its end, or to the limit; return how it ended.

    Args:
        mode: What the call returns: a value, an awaitable, an iterator or an async iterator.
        call: Makes it; called in the thread, and for async modes on an event loop there.
        limit_s: How long to wait for its end, seconds.
    """
    chunks: list[object] = []
    began = time.perf_counter()
    try:
        ended = threads.call(lambda: _finish(mode, call, chunks), limit_s)
    except TimeoutError:
        ended = Outcome(mode=mode, raised=LeftAloneError())
    return evolve(ended, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


async def observe(mode: Mode, call: Callable[[], Any]) -> Outcome:
    """Make a call on the running event loop, or in a thread for a blocking mode; return how it ended.

    Args:
        mode: What the call returns: a value, an awaitable, an iterator or an async iterator.
        call: Makes it.
    """
    chunks: list[object] = []
    began = time.perf_counter()
    if mode in {"invoke", "stream"}:
        ended = await asyncio.to_thread(_finish, mode, call, chunks)
    else:
        ended = await _afinish(mode, call, chunks)
    return evolve(ended, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


def wait_until(condition: Callable[[], bool], timeout_s: float = GRACE_S) -> bool:
    """Wait until a condition holds; return whether it did in time."""
    end = time.perf_counter() + timeout_s
    while not condition() and time.perf_counter() < end:
        time.sleep(0.01)
    return condition()


def run(work: Callable[[], Coroutine[Any, Any, Any]], limit_s: float = PROMPT_S) -> Any:
    """Return what a coroutine returns on an event loop of its own, in a thread of its own."""
    return threads.call(lambda: asyncio.run(work()), limit_s)


async def opened(stream: Any) -> Any:
    """Return the iterator of an ``async def`` that yields, or of one that returns an iterator."""
    return await stream if asyncio.iscoroutine(stream) else stream


def _finish(mode: Mode, call: Callable[[], Any], chunks: list[object]) -> Outcome:
    """Make a call in any mode; return how it ended, as a value: a `TimeoutError` raised here is the kit's own."""
    if mode in {"ainvoke", "astream"}:
        return asyncio.run(_afinish(mode, call, chunks))
    try:
        if mode == "invoke":
            return Outcome(mode=mode, value=call())
        _read(call, chunks)
        return Outcome(mode=mode)
    except BaseException as error:  # noqa: BLE001 - whatever a provider raises is what the test is about
        return Outcome(mode=mode, raised=error)


async def _afinish(mode: Mode, call: Callable[[], Any], chunks: list[object]) -> Outcome:
    try:
        if mode == "ainvoke":
            return Outcome(mode=mode, value=await call())
        await _aread(call, chunks)
        return Outcome(mode=mode)
    except BaseException as error:  # noqa: BLE001 - whatever a provider raises is what the test is about
        return Outcome(mode=mode, raised=error)


def _read(call: Callable[[], Any], chunks: list[object]) -> None:
    stream = call()
    with closing(stream) if hasattr(stream, "close") else ExitStack():
        for chunk in stream:
            chunks.append(chunk)  # noqa: PERF402 - what came before an error counts


async def _aread(call: Callable[[], Any], chunks: list[object]) -> None:
    async with aclosing(await opened(call())) as stream:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - what came before an error counts
