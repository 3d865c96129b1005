"""One client for each event loop: asyncio's connections belong to the loop that opened them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

__all__ = ["PerLoop"]

T = TypeVar("T")

CLOSE_S = 2.0
"""Seconds that the loop of another thread has to close its client."""


class PerLoop(Generic[T]):
    """Keeps one object for each event loop, and closes it before the loop ends.

    A loop finishes its asynchronous generators before it is closed (`asyncio.run` and its like call
    `asyncio.loop.shutdown_asyncgens`). So each object is held by a generator that waits at its ``yield``. A loop that
    is closed without that call leaves its idle connections to the garbage collector, as it does with all of asyncio's.

    Safe to share between threads and loops. After a fork the core creates new providers, so nothing is needed here.

    Args:
        make: Makes an object inside a running loop; must not wait.
        close: Closes one, in its own loop.
    """

    def __init__(self, make: Callable[[], T], close: Callable[[T], Awaitable[object]]) -> None:
        self._make = make
        self._close = close
        self._lock = Lock()
        self._held: dict[asyncio.AbstractEventLoop, tuple[T, AsyncGenerator[T, None]]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def current(self) -> T:
        """Return the object of the running loop; the first call makes it."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            # In a task of its own: within `Untracked` a loop does not learn of the generators that start. A plain Task
            # starts later even on a loop with an eager task factory.
            held = await asyncio.Task(self._start(loop), loop=loop)
        return held[0]

    async def _start(self, loop: asyncio.AbstractEventLoop) -> tuple[T, AsyncGenerator[T, None]]:
        held = self._held.get(loop)  # nothing is awaited from here on: two tasks cannot both start
        if held is None:
            holder = self._hold(loop)
            held = await anext(holder), holder
            with self._lock:
                ended = [self._held.pop(known) for known in list(self._held) if known.is_closed()]
                self._held[loop] = held
            del ended  # outside of the lock, which a generator takes when it ends
        return held

    async def _hold(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[T, None]:
        value = self._make()
        try:
            yield value
        finally:
            with self._lock:
                self._held.pop(loop, None)
            await self._close(value)

    def close(self) -> None:
        """Close the objects of all loops.

        Waits up to 2 s for loops that run in other threads. The object of the loop that runs in this thread is closed
        soon after. A loop that does not run is run to close its object, unless another loop runs in this thread.
        """
        running = asyncio._get_running_loop()  # noqa: SLF001  the form of get_running_loop that returns None
        with self._lock:
            held = list(self._held.items())
            self._held.clear()
        for loop, (_, holder) in held:
            if loop is running:
                task = loop.create_task(_finish(holder))
                self._closing.add(task)
                task.add_done_callback(self._closing.discard)
            elif loop.is_running():
                with suppress(TimeoutError):
                    asyncio.run_coroutine_threadsafe(_finish(holder), loop).result(CLOSE_S)
            elif running is None and not loop.is_closed():
                loop.run_until_complete(_finish(holder))

    async def aclose(self) -> None:
        """Close the objects of all loops, the running loop's first."""
        held = self._held.get(asyncio.get_running_loop())
        if held is not None:
            await held[1].aclose()
        if self._held:
            await asyncio.to_thread(self.close)


async def _finish(holder: AsyncGenerator[T, None]) -> None:
    await holder.aclose()
