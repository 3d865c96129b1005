"""Runs the coroutines and async iterators of plugins so that callers can abandon them at any time.

Each runs in its own task. To abandon it, the caller cancels the task and waits `GRACE_S` for its cleanup. A task that
is still running after that continues on its own, and counts as abandoned until it ends.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from os import getpid
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core.concurrency.forking import ForkAwareAwaitable, ForkGuard, never_finalize
from kickai_providers_core.plugin_api.awaitables import PluginAwaitable, PluginExitError, aclose_quietly
from kickai_providers_core.plugin_api.isolation import count_cancellations

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator

    from kickai_providers_core.concurrency.abandoned_calls import AbandonedCalls

__all__ = ["GRACE_S", "CallRunner"]

T = TypeVar("T")

Result = tuple[Any, BaseException | None]
"""The return value of a coroutine, and the exception that it raised."""

GRACE_S = 0.1
"""Seconds to wait for the cleanup of an abandoned call; less than the 0.25 s by which a deadline may be exceeded."""

END = object()
"""Marks the end of an async iterator that a task reads."""

NAME = "kickai-call"
"""The name of the task of a call."""

EAGER: dict[str, Any] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
"""Arguments that make a new task run at once until it first waits."""


class CallRunner:
    """Runs coroutines and async iterators that callers can abandon. Safe to share between event loops."""

    def __init__(self, abandoned: AbandonedCalls) -> None:
        self._abandoned = abandoned
        self._guard = ForkGuard()
        self._abandoned_tasks: set[asyncio.Task[Any]] = set()  # event loops hold tasks weakly

    def renew_after_fork(self) -> None:
        """Never finalize abandoned tasks of the parent in a child: they continue in the parent only."""
        for task in self._abandoned_tasks:
            never_finalize(task)
        self._abandoned_tasks = set()

    async def run(self, open_: Callable[[], Awaitable[T]], timeout_s: float) -> T:
        """Return the result of a plugin's awaitable.

        Args:
            open_: Creates the awaitable; called in the task.
            timeout_s: The time limit in seconds.

        Raises:
            TimeoutError: The time limit expired.
            PluginExitError: The awaitable raised a `CancelledError` of its own.
        """
        loop, call = asyncio.get_running_loop(), _Call()
        ends = loop.time() + timeout_s
        task = _start_task(loop, _run_call(call, open_))
        try:
            if not EAGER:
                await _YieldOnce()  # the task begins in this iteration of the loop
            is_in_time = call.result is not None or await call.wait(loop, ends)
        finally:
            if not task.done():
                await self._abandon(task)
        if not is_in_time:
            raise TimeoutError
        return call.unwrap()  # type: ignore[no-any-return]

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Keep an abandoned task alive until it ends."""
        self._abandoned_tasks.add(task)
        task.add_done_callback(self._abandoned_tasks.discard)

    async def iterate(
        self,
        open_: Callable[[], Awaitable[AsyncIterator[Any]]],
        wait_s: Callable[[], float],
        accept: Callable[[Any], T],
        *,
        max_ahead: int = 0,
    ) -> AsyncGenerator[T, None]:
        """Yield the items of an async iterator. One task reads it, and closes it.

        Args:
            open_: Creates the iterator; called in the task.
            wait_s: Returns the number of seconds to wait for the next item; called when none has arrived.
            accept: Called with each item when it arrives; returns what is yielded, or raises.
            max_ahead: How many items are read ahead of the caller. Items that arrive together then reach the caller
                together, in one iteration of the event loop.

        Raises:
            TimeoutError: The next item did not arrive in time.
        """
        handoff = _Handoff(asyncio.get_running_loop(), max_ahead)
        task = handoff.loop.create_task(_run_forkable(_read_ahead(open_, accept, handoff), self._guard))
        task.add_done_callback(lambda _: handoff.deliver(END))
        try:
            while True:
                if not handoff.items:
                    await handoff.wait_for_item(wait_s())
                item = handoff.take()
                if item is END:
                    break
                yield item
        finally:
            handoff.abandon()
            if not task.done():
                await self._abandon(task)
        try:
            _unwrap(_build_cancellation_result() if task.cancelled() else task.result())
        finally:
            del task  # as in `_run_call`

    async def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task, and wait `GRACE_S` for its cleanup."""
        call = self._abandoned.track()
        task.add_done_callback(lambda _: call.record_return())
        self.keep(task)
        task.cancel()
        try:
            await asyncio.wait((task,), timeout=GRACE_S)
        finally:
            if not task.done():
                call.abandon()


class _Call:
    """The result of a coroutine that runs in a task of its own, and the caller that waits for it."""

    __slots__ = ("_ended", "result")

    def __init__(self) -> None:
        self.result: Result | None = None
        self._ended: asyncio.Future[None] | None = None

    def record(self, result: Result) -> None:
        """Record the result, and wake the caller."""
        self.result = result
        if self._ended is not None:
            _settle(self._ended)

    async def wait(self, loop: asyncio.AbstractEventLoop, ends: float) -> bool:
        """Wait for the result, and return whether there is one before the time of the loop is ``ends``."""
        self._ended = loop.create_future()
        timer = loop.call_at(ends, _settle, self._ended)
        try:
            await self._ended
        finally:
            timer.cancel()
        return self.result is not None

    def unwrap(self) -> Any:
        """Return the result or raise its error, and forget both: an error refers to the frames that refer to this."""
        ended = [self.result or (None, None)]
        self.result = None
        return _unwrap(ended.pop())


class _YieldOnce:
    """Awaiting it takes one iteration of the event loop."""

    def __await__(self) -> Generator[None, None, None]:
        yield


class _Handoff:
    """Passes items from the task that reads an iterator to a caller, and the news of free room back."""

    __slots__ = ("_ends", "_max_ahead", "_room", "_timer", "_waiting", "is_abandoned", "items", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, max_ahead: int) -> None:
        self.loop = loop
        self._max_ahead = max_ahead
        self.is_abandoned = False
        self.items: deque[Any] = deque()
        self._room: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends = 0.0

    async def wait_for_item(self, timeout_s: float) -> None:
        """Wait for an item.

        Raises:
            TimeoutError: There is none in time.
        """
        self._ends = self.loop.time() + timeout_s
        if self._timer is not None and self._timer.when() > self._ends:
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self.loop.call_at(self._ends, self._check_time)
        self._waiting = self.loop.create_future()
        self._signal_room()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def take(self) -> Any:
        """Return the next item."""
        item = self.items.popleft()
        if len(self.items) < self._max_ahead:
            self._signal_room()
        return item

    def deliver(self, item: object) -> None:
        """Pass an item to the caller."""
        self.items.append(item)
        if self._waiting is not None:
            _settle(self._waiting)

    @property
    def has_room(self) -> bool:
        """Whether the caller waits for an item, or fewer items are ahead than may be."""
        return len(self.items) < self._max_ahead or (self._waiting is not None and not self._waiting.done())

    async def wait_for_room(self) -> None:
        """Wait until there is room."""
        self._room = self.loop.create_future()
        try:
            await self._room
        finally:
            self._room = None

    def abandon(self) -> None:
        """Take no further item."""
        self.is_abandoned = True
        if self._timer is not None:
            self._timer.cancel()

    def _signal_room(self) -> None:
        if self._room is not None:
            _settle(self._room)

    def _check_time(self) -> None:
        """End the wait of the caller if its time is over; one timer serves many waits, which end later and later."""
        self._timer = None
        waiting = self._waiting
        if waiting is None or waiting.done():
            return
        if self.loop.time() < self._ends:
            self._timer = self.loop.call_at(self._ends, self._check_time)
        else:
            waiting.set_exception(TimeoutError())


async def _read_ahead(
    open_: Callable[[], Awaitable[AsyncIterator[Any]]], accept: Callable[[Any], object], handoff: _Handoff
) -> None:
    """Read an iterator, slightly ahead of the caller, and close it."""
    items = aiter(await PluginAwaitable(open_))
    try:
        while not handoff.is_abandoned:  # it may swallow the cancellation
            try:
                item = await PluginAwaitable(items.__anext__)
            except StopAsyncIteration:
                break
            handoff.deliver(accept(item))
            if not handoff.has_room:
                await handoff.wait_for_room()
    finally:
        await aclose_quietly(items)


def _start_task(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a task. Where Python supports it, the task runs at once, which saves one iteration of the loop."""
    if loop.get_task_factory() is None:
        return asyncio.Task(coroutine, loop=loop, name=NAME, **EAGER)
    return loop.create_task(coroutine, name=NAME)


async def _run_call(call: _Call, open_: Callable[[], Awaitable[Any]]) -> None:
    """Run an awaitable and record its result. Never raise: asyncio logs a task that raises while nobody awaits it."""
    try:
        call.record((await PluginAwaitable(open_), None))
    except GeneratorExit:  # from the caller; the plugin's own is a PluginExitError
        raise
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError) and count_cancellations():
            call.record(_build_cancellation_result())
            raise
        call.record((None, exc))
    finally:
        del call  # it refers to the error, which refers to this frame: no reference cycle


async def _run_forkable(reading: Coroutine[Any, Any, None], guard: ForkGuard) -> Result:
    """Run a coroutine and return its exception: asyncio logs a task that raises while nobody awaits it."""
    try:
        await ForkAwareAwaitable(reading, guard, asyncio.current_task(), getpid())
    except GeneratorExit:  # as above
        raise
    except BaseException as exc:
        if isinstance(exc, asyncio.CancelledError) and count_cancellations():
            raise
        return None, exc  # the caller raises it again, which also closes the iterator
    return None, None


def _build_cancellation_result() -> Result:
    return None, RuntimeError("the plugin cancelled its own call")


def _unwrap(ended: Result) -> Any:
    result, error = ended
    try:
        if error is None:
            return result
        if isinstance(error, asyncio.CancelledError):  # the caller was not cancelled
            raise PluginExitError from error
        raise error
    finally:
        del ended, error  # as in `_run_call`


def _settle(future: asyncio.Future[Any], result: Any = None) -> None:
    if not future.done():
        future.set_result(result)
