"""The connections of one provider: a pool for blocking calls, and one for each event loop."""

from __future__ import annotations

import asyncio
from threading import Lock
from typing import TYPE_CHECKING

import httpcore
import httpx

from kickai_ollama.network import AsyncNetwork, Network

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from kickai_ollama.address import Address

    Holder = AsyncGenerator[httpcore.AsyncConnectionPool, None]

__all__ = ["Pools"]

KEEP_ALIVE_S = 5.0
"""How long an idle connection is kept, as httpx keeps it by default."""


class Pools:
    """Owns the connections. Safe to share between threads and event loops.

    The pools do not limit how many calls run at once: that is the core's business, and a second queue below it would
    only hide the time a call spends waiting.

    A connection belongs to the event loop that opened it, and a loop that has ended cannot close it. So each loop's
    pool is held by an asynchronous generator of that loop, which `asyncio.run` closes together with all others
    before it closes the loop.

    Args:
        address: The server; what is needed for TLS is loaded only when it is reached over TLS.
        network: Opens connections for blocking calls.
        async_network: Opens connections for event loops.
    """

    def __init__(
        self,
        address: Address,
        *,
        network: httpcore.NetworkBackend | None = None,
        async_network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._async_network = async_network or AsyncNetwork()
        self._tls_context = httpx.create_ssl_context() if address.scheme == "https" else None
        self._lock = Lock()
        self._held: dict[asyncio.AbstractEventLoop, tuple[httpcore.AsyncConnectionPool, Holder]] = {}
        self.blocking = httpcore.ConnectionPool(
            ssl_context=self._tls_context,
            max_connections=None,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=network or Network(),
        )

    async def of_this_loop(self) -> httpcore.AsyncConnectionPool:
        """Return the pool of the running event loop."""
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            holder = self._hold(loop)
            held = await anext(holder), holder
            with self._lock:
                self._held[loop] = held
        return held[0]

    async def _hold(self, loop: asyncio.AbstractEventLoop) -> Holder:
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._tls_context,
            max_connections=None,
            keepalive_expiry=KEEP_ALIVE_S,
            network_backend=self._async_network,
        )
        try:
            yield pool
        finally:
            with self._lock:
                self._held.pop(loop, None)
            await pool.aclose()

    def close(self) -> None:
        """Close all connections: those of an event loop that runs soon, those of one that does not with that loop."""
        self.blocking.close()
        with self._lock:
            others = list(self._held.items())
        for loop, (_, holder) in others:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(_close(holder), loop)

    async def aclose(self) -> None:
        """Close all connections: those of the running loop now, all others as `close` does."""
        held = self._held.get(asyncio.get_running_loop())
        if held is not None:
            await held[1].aclose()
        self.close()


async def _close(holder: Holder) -> None:
    await holder.aclose()
