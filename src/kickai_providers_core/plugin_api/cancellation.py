"""Coroutines and async iterators of plugins that their caller can leave, whatever they do when they are cancelled.

Each runs in its own task. Whoever leaves it cancels the task and waits for its clean-up for `GRACE_S`. After that it
goes on alone, and counts as abandoned until it ends.
"""

from __future__ import annotations

import asyncio
import sys
from os import getpid
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core.concurrency.forking import ForkGuard, Guarded, keep_for_good
from kickai_providers_core.plugin_api.awaitables import Driven, PluginExitError, aclose_quietly
from kickai_providers_core.plugin_api.isolation import cancellations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine

    from kickai_providers_core.concurrency.abandoned import Abandoned

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

    def __init__(self, abandoned: Abandoned) -> None:
        self._abandoned = abandoned
        self._guard = ForkGuard()
        self._left: set[asyncio.Task[Any]] = set()  # an event loop itself does not keep its tasks

    def renew_after_fork(self) -> None:
        """Keep what was left in the parent, and goes on only there, from ever being finalized here."""
        for task in self._left:
            keep_for_good(task)
        self._left = set()

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
        task = _begun(loop, _settling(ended, open_))
        if not ended.done():
            timer = loop.call_later(timeout_s, _settle, ended)
            try:
                await ended
            finally:
                timer.cancel()
                if not task.done():
                    await self._leave(task)
        if (outcome := ended.result()) is None:
            raise TimeoutError
        return _result_of(outcome)  # type: ignore[no-any-return]

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep a task that nobody waits for any more until it ends."""
        self._left.add(task)
        task.add_done_callback(self._left.discard)

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
        tickets = _Turns(asyncio.get_running_loop())
        task = tickets.loop.create_task(_outcome(_read(open_, tickets), self._guard))
        task.add_done_callback(lambda _: tickets.hand_over(END))
        try:
            while True:
                tickets.ask()
                async with asyncio.timeout(wait_s()):
                    item = await tickets.item
                if item is END:
                    break
                yield item
        finally:
            tickets.is_left = True
            if not task.done():
                await self._leave(task)
        _result_of(_cancelled() if task.cancelled() else task.result())

    async def _leave(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, and wait a moment for it to clean up."""
        call = self._abandoned.track()
        task.add_done_callback(lambda _: call.return_())
        self.keep(task)
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=GRACE_S)
        finally:
            if not task.done():
                call.leave()


class _Turns:
    """What the reader of an iterator and its task hand each other: a wish for an item, and the item."""

    __slots__ = ("is_left", "item", "loop", "wish")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.is_left = False
        self.wish: asyncio.Future[None] = loop.create_future()
        self.item: asyncio.Future[Any] = loop.create_future()

    def ask(self) -> None:
        """Ask for the next item."""
        self.item = self.loop.create_future()
        _settle(self.wish)

    async def wait_for_wish(self) -> None:
        """Wait until the next item is asked for."""
        await self.wish
        self.wish = self.loop.create_future()

    def hand_over(self, item: object) -> None:
        """Hand an item to who asked for it, if that is still of interest."""
        if not self.item.done():
            self.item.set_result(item)


async def _read(open_: Callable[[], Awaitable[AsyncIterator[Any]]], tickets: _Turns) -> None:
    """Read an iterator item by item, as each is asked for, and close it."""
    await tickets.wait_for_wish()
    items = aiter(await Driven(open_))
    try:
        while True:
            try:
                item = await Driven(items.__anext__)
            except StopAsyncIteration:
                break
            tickets.hand_over(item)
            if tickets.is_left:  # a cancellation that the iterator has swallowed
                break
            await tickets.wait_for_wish()
    finally:
        await aclose_quietly(items)


def _begun(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Return a task that has begun already where Python can do that, which saves a ticket of the loop."""
    if loop.get_task_factory() is None:
        return asyncio.Task(coroutine, loop=loop, name=NAME, **EAGER)
    return loop.create_task(coroutine, name=NAME)


async def _settling(ended: asyncio.Future[Outcome | None], open_: Callable[[], Awaitable[Any]]) -> None:
    """Settle a future with what an awaitable comes to; its waiter is woken in the loop's next ticket."""
    try:
        outcome: Outcome = await Driven(open_), None
    except GeneratorExit:  # from outside: a plugin's own is a PluginExitError
        raise
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError) and cancellations():
            _settle(ended, _cancelled())
            raise
        _settle(ended, (None, exc))
    else:
        _settle(ended, outcome)


async def _outcome(reading: Coroutine[Any, Any, None], guard: ForkGuard) -> Outcome:
    """Return what a coroutine raises: asyncio complains of a task that raises when nobody waits for it."""
    try:
        await Guarded(reading, guard, asyncio.current_task(), getpid())
    except GeneratorExit:  # as above
        raise
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError) and cancellations():
            raise
        return None, exc  # raised again for whoever waits, which also ends the loop in an orderly way
    return None, None


def _cancelled() -> Outcome:
    return None, RuntimeError("the plugin cancelled its own call")


def _result_of(outcome: Outcome) -> Any:
    result, error = outcome
    if error is None:
        return result
    if isinstance(error, asyncio.CancelledError):  # whoever waits was not cancelled
        raise PluginExitError from error
    raise error


def _settle(future: asyncio.Future[Any], result: Any = None) -> None:
    if not future.done():
        future.set_result(result)
