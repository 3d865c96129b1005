"""Coroutines and async iterators of plugins that their caller can leave, whatever they do when they are cancelled.

Each runs in its own task. Whoever leaves it cancels the task and waits for its clean-up for `GRACE_S`. After that it
goes on alone, and counts as abandoned until it ends.
"""

from __future__ import annotations

import asyncio
import sys
from os import getpid
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core.concurrency.forking import ForkAwareAwaitable, ForkGuard, never_finalize
from kickai_providers_core.plugin_api.awaitables import PluginAwaitable, PluginExitError, aclose_quietly
from kickai_providers_core.plugin_api.isolation import count_cancellations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine

    from kickai_providers_core.concurrency.abandoned import AbandonedCalls

__all__ = ["GRACE_S", "CallRunner"]

T = TypeVar("T")

Outcome = tuple[Any, BaseException | None]
"""What a coroutine returned, and what it raised."""

GRACE_S = 0.1
"""How long to wait for the clean-up of a call that is left, in seconds: less than a deadline may be missed by."""

END = object()
"""What ends an async iterator that is read in a task."""

NAME = "kickai-call"
"""What the task of a call is called."""

EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""What makes a task run up to its first wait while it is made."""


class CallRunner:
    """Runs coroutines and async iterators so that they can be left. Safe to share between event loops."""

    def __init__(self, abandoned: AbandonedCalls) -> None:
        self._abandoned = abandoned
        self._guard = ForkGuard()
        self._abandoned_tasks: set[asyncio.Task[Any]] = set()  # an event loop itself does not keep its tasks

    def renew_after_fork(self) -> None:
        """Keep what was left in the parent, and goes on only there, from ever being finalized here."""
        for task in self._abandoned_tasks:
            never_finalize(task)
        self._abandoned_tasks = set()

    async def run(self, open_: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Return what an awaitable of a plugin comes to.

        Args:
            open_: Makes the awaitable; called in the task.
            timeout_s: How long it may take, in seconds.

        Raises:
            TimeoutError: It did not return within ``timeout_s`` seconds.
            PluginExitError: It raised a `CancelledError` of its own.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome | None] = loop.create_future()
        task = _start_task(loop, _run_and_settle(ended, open_))
        if not ended.done():
            timer = loop.call_later(timeout_s, _settle, ended)
            try:
                await ended
            finally:
                timer.cancel()
                if not task.done():
                    await self._abandon(task)
        if (outcome := ended.result()) is None:
            raise TimeoutError
        return _unwrap(outcome)  # type: ignore[no-any-return]

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task that nobody waits for any more until it ends."""
        self._abandoned_tasks.add(task)
        task.add_done_callback(self._abandoned_tasks.discard)

    async def iterate(
        self, open_: Callable[[], Awaitable[AsyncIterator[T]]], wait_s: Callable[[], float]
    ) -> AsyncGenerator[T, None]:
        """Yield what an async iterator yields. It is never read ahead, and is closed in the task that reads it.

        Args:
            open_: Makes the iterator; called in the task.
            wait_s: Asked before each item for how many seconds to wait for it.

        Raises:
            TimeoutError: The next item did not come in time.
        """
        handoff = _Handoff(asyncio.get_running_loop())
        task = handoff.loop.create_task(_run_forkable(_read_on_request(open_, handoff), self._guard))
        task.add_done_callback(lambda _: handoff.deliver(END))
        try:
            while True:
                handoff.request_item()
                async with asyncio.timeout(wait_s()):
                    item = await handoff.item
                if item is END:
                    break
                yield item
        finally:
            handoff.is_left = True
            if not task.done():
                await self._abandon(task)
        _unwrap(_own_cancellation() if task.cancelled() else task.result())

    async def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, and wait a moment for it to clean up."""
        call = self._abandoned.track()
        task.add_done_callback(lambda _: call.record_return())
        self.keep(task)
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=GRACE_S)
        finally:
            if not task.done():
                call.abandon()


class _Handoff:
    """What the reader of an iterator and its task hand each other: a wish for an item, and the item."""

    __slots__ = ("is_left", "item", "loop", "requested")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_left = False
        self.requested: asyncio.Future[None] = loop.create_future()
        self.item: asyncio.Future[Any] = loop.create_future()

    def request_item(self) -> None:
        """Ask for the next item."""
        self.item = self.loop.create_future()
        _settle(self.requested)

    async def wait_for_request(self) -> None:
        """Wait until the next item is asked for."""
        await self.requested
        self.requested = self.loop.create_future()

    def deliver(self, item: object) -> None:
        """Hand an item to who asked for it, if that is still of interest."""
        if not self.item.done():
            self.item.set_result(item)


async def _read_on_request(open_: Callable[[], Awaitable[AsyncIterator[Any]]], handoff: _Handoff) -> None:
    """Read an iterator item by item, as each is asked for, and close it."""
    await handoff.wait_for_request()
    items = aiter(await PluginAwaitable(open_))
    try:
        while True:
            try:
                item = await PluginAwaitable(items.__anext__)
            except StopAsyncIteration:
                break
            handoff.deliver(item)
            if handoff.is_left:  # a cancellation that the iterator has swallowed
                break
            await handoff.wait_for_request()
    finally:
        await aclose_quietly(items)


def _start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Return a task that has begun already where Python can do that, which saves a ticket of the loop."""
    if loop.get_task_factory() is None:
        return asyncio.Task(coroutine, loop=loop, name=NAME, **EAGER)
    return loop.create_task(coroutine, name=NAME)


async def _run_and_settle(ended: asyncio.Future[Outcome | None], open_: Callable[[], Awaitable[Any]]) -> None:
    """Settle a future with what an awaitable comes to; its waiter is woken in the loop's next ticket."""
    try:
        outcome: Outcome = await PluginAwaitable(open_), None
    except GeneratorExit:  # from outside: a plugin's own is a PluginExitError
        raise
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError) and count_cancellations():
            _settle(ended, _own_cancellation())
            raise
        _settle(ended, (None, exc))
    else:
        _settle(ended, outcome)


async def _run_forkable(reading: Coroutine[Any, Any, None], guard: ForkGuard) -> Outcome:
    """Return what a coroutine raises: asyncio complains of a task that raises when nobody waits for it."""
    try:
        await ForkAwareAwaitable(reading, guard, asyncio.current_task(), getpid())
    except GeneratorExit:  # as above
        raise
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError) and count_cancellations():
            raise
        return None, exc  # raised again for whoever waits, which also ends the loop in an orderly way
    return None, None


def _own_cancellation() -> Outcome:
    return None, RuntimeError("the plugin cancelled its own call")


def _unwrap(outcome: Outcome) -> Any:
    result, error = outcome
    if error is None:
        return result
    if isinstance(error, asyncio.CancelledError):  # whoever waits was not cancelled
        raise PluginExitError from error
    raise error


def _settle(future: asyncio.Future[Any], result: Any = None) -> None:
    if not future.done():
        future.set_result(result)
