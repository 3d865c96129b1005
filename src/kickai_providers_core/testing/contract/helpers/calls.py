"""Calls in any mode, each in its own thread and with a time limit: a provider that hangs must not hang the tests."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, aclosing, closing
from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.concurrency import threads
from kickai_providers_core.testing.contract.helpers.constants import GRACE_S, PROMPT_S
from kickai_providers_core.testing.contract.helpers.outcome import CallOutcome, NotReturnedError
from kickai_providers_core.values.errors import ProviderError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from kickai_providers_core.plugin_api.hookspecs import Mode

__all__ = ["observe", "open_stream", "run_coroutine", "run_in_turn", "run_with_limit", "wait_until"]


def run_with_limit(mode: Mode, call: Callable[[], Any], limit_s: float) -> CallOutcome:
    """Make a call and wait for its end, or until the limit; return how it ended.

    Args:
        mode: What the call returns: a value, an awaitable, an iterator or an async iterator.
        call: Makes the call; called in a new thread, and for async modes on an event loop there.
        limit_s: How long to wait for its end, in seconds.
    """
    chunks: list[object] = []
    began = time.perf_counter()
    try:
        outcome = threads.call(lambda: _finish(mode, call, chunks), limit_s)
    except TimeoutError:
        outcome = CallOutcome(mode=mode, raised=NotReturnedError())
    return evolve(outcome, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


def run_in_turn(mode: Mode, calls: Sequence[Callable[[], Any]], limit_s: float) -> tuple[CallOutcome, ...]:
    """Make several calls one after the other, in one new thread and on one event loop; return how each of them ended.

    Args:
        mode: As in `run_with_limit`.
        calls: Makes the calls.
        limit_s: How long to wait for the end of all calls, in seconds.
    """

    async def observe_all() -> tuple[CallOutcome, ...]:
        return tuple([await _observe_here(mode, call) for call in calls])

    def run() -> tuple[CallOutcome, ...]:
        if mode in {"ainvoke", "astream"}:
            return asyncio.run(observe_all())
        outcomes = []
        for call in calls:
            chunks: list[object] = []
            outcomes.append(evolve(_finish(mode, call, chunks), chunks=tuple(chunks)))
        return tuple(outcomes)

    try:
        return threads.call(run, limit_s)
    except TimeoutError:
        return (CallOutcome(mode=mode, raised=NotReturnedError(), elapsed_s=limit_s),) * len(calls)


async def _observe_here(mode: Mode, call: Callable[[], Any]) -> CallOutcome:
    chunks: list[object] = []
    return evolve(await _afinish(mode, call, chunks), chunks=tuple(chunks))


async def observe(mode: Mode, call: Callable[[], Any]) -> CallOutcome:
    """Make a call on the running event loop, or in a thread for a blocking mode; return how it ended.

    Args:
        mode: What the call returns: a value, an awaitable, an iterator or an async iterator.
        call: Makes the call.
    """
    chunks: list[object] = []
    began = time.perf_counter()
    if mode in {"invoke", "stream"}:
        outcome = await asyncio.to_thread(_finish, mode, call, chunks)
    else:
        outcome = await _afinish(mode, call, chunks)
    return evolve(outcome, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


def run_coroutine(work: Callable[[], Coroutine[Any, Any, Any]], limit_s: float = PROMPT_S) -> Any:
    """Return what a coroutine returns, run on a new event loop in a new thread.

    Raises:
        AssertionError: It did not return within the limit.
    """
    try:
        return threads.call(lambda: asyncio.run(work()), limit_s)
    except TimeoutError as error:
        if isinstance(error, ProviderError):
            raise
        message = f"the event loop had not ended after {limit_s:g} s: a call hangs, or closing the provider does"
        raise AssertionError(message) from error


async def open_stream(stream: Any) -> Any:
    """Return the async iterator that a hook returned, whether it is an async generator or a coroutine function."""
    return await stream if asyncio.iscoroutine(stream) else stream


def wait_until(condition: Callable[[], bool], timeout_s: float = GRACE_S) -> bool:
    """Wait until a condition holds; return whether it did in time."""
    end = time.perf_counter() + timeout_s
    while not condition() and time.perf_counter() < end:
        time.sleep(0.01)
    return condition()


def _finish(mode: Mode, call: Callable[[], Any], chunks: list[object]) -> CallOutcome:
    """Make a call in any mode; return how it ended as a value, so that only the kit raises `TimeoutError`."""
    if mode in {"ainvoke", "astream"}:
        return asyncio.run(_afinish(mode, call, chunks))
    try:
        if mode == "invoke":
            return CallOutcome(mode=mode, value=call())
        _read(call, chunks)
        return CallOutcome(mode=mode)
    except BaseException as error:  # noqa: BLE001 - the tests judge whatever a provider raises
        return CallOutcome(mode=mode, raised=error)


async def _afinish(mode: Mode, call: Callable[[], Any], chunks: list[object]) -> CallOutcome:
    try:
        if mode == "ainvoke":
            return CallOutcome(mode=mode, value=await call())
        await _aread(call, chunks)
        return CallOutcome(mode=mode)
    except BaseException as error:  # noqa: BLE001 - the tests judge whatever a provider raises
        return CallOutcome(mode=mode, raised=error)


def _read(call: Callable[[], Any], chunks: list[object]) -> None:
    stream = call()
    with closing(stream) if hasattr(stream, "close") else ExitStack():
        for chunk in stream:
            chunks.append(chunk)  # noqa: PERF402 - keeps the chunks before an error


async def _aread(call: Callable[[], Any], chunks: list[object]) -> None:
    async with aclosing(await open_stream(call())) as stream:
        async for chunk in stream:
            chunks.append(chunk)  # noqa: PERF401 - keeps the chunks before an error
