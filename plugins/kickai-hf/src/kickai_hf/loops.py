"""One transport for each event loop: asyncio's sockets belong to the loop that opened them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    import httpx2

__all__ = ["TransportPerLoop"]

CLOSE_S = 2.0
"""How long another thread's loop may take to close its connections; it only has to get round to it."""


@frozen
class _Kept:
    transport: httpx2.AsyncBaseTransport
    keeper: AsyncGenerator[httpx2.AsyncBaseTransport, None]

    async def finish(self) -> None:
        await self.keeper.aclose()


class TransportPerLoop:
    """Gives every event loop a transport of its own, and closes it before the loop ends.

    A loop promises to finish one kind of thing before it is closed: its asynchronous generators
    (`asyncio.loop.shutdown_asyncgens`, which `asyncio.run` and its like call). So each transport is kept open by
    a generator that waits at its ``yield``. A loop that is closed without that call leaves its idle connections to
    the garbage collector, as it does with all of asyncio's.

    Safe to share between threads and loops.
    """

    def __init__(self, make: Callable[[], httpx2.AsyncBaseTransport]) -> None:
        self._make = make
        self._lock = Lock()
        self._kept: dict[asyncio.AbstractEventLoop, _Kept] = {}

    async def current(self) -> httpx2.AsyncBaseTransport:
        """Return the transport of the running loop."""
        loop = asyncio.get_running_loop()
        kept = self._kept.get(loop)
        if kept is None:
            keeper = self._keep(loop)
            kept = _Kept(await anext(keeper), keeper)
            with self._lock:
                for ended in [known for known in self._kept if known.is_closed()]:
                    del self._kept[ended]
                self._kept[loop] = kept
        return kept.transport

    async def _keep(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[httpx2.AsyncBaseTransport, None]:
        transport = self._make()
        try:
            yield transport
        finally:
            with self._lock:
                self._kept.pop(loop, None)
            await transport.aclose()

    def close(self) -> None:
        """Close what every loop has, from a thread without a running loop."""
        for loop, kept in self._take():
            if loop.is_running():
                with suppress(TimeoutError):
                    asyncio.run_coroutine_threadsafe(kept.finish(), loop).result(CLOSE_S)
            elif not loop.is_closed():
                loop.run_until_complete(kept.finish())

    async def aclose(self) -> None:
        """Close what every loop has, the running one's first."""
        kept = self._kept.get(asyncio.get_running_loop())
        if kept is not None:
            await kept.finish()
        if self._kept:
            await asyncio.to_thread(self.close)

    def _take(self) -> list[tuple[asyncio.AbstractEventLoop, _Kept]]:
        with self._lock:
            taken = list(self._kept.items())
            self._kept.clear()
        return taken
