"""A pool of connections of HTTP/1.1 for one event loop.

httpcore's own pool looks at each of its connections twice for each request, and returns bodies through two generators
more. Requests of a busy process spend a fifth of their processor time there.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.async_connection import AsyncConnection

if TYPE_CHECKING:
    import ssl
    from types import ModuleType

    from kickai_providers_core.authoring.async_bounded_network import AsyncBoundedBackend

__all__ = ["AsyncPool"]


class AsyncPool:
    """Connections without a proxy. For one event loop.

    It has the arguments and methods of httpcore's ``AsyncConnectionPool`` that this package uses.

    Args:
        httpcore: The module ``httpcore`` or ``httpcore2``.
        h11: The module ``h11``.
        network_backend: Opens connections.
        ssl_context: Which certificates to trust; for addresses with TLS.
        max_connections: Connections at once, idle ones included; None for no limit.
        max_keepalive_connections: The same number.
        keepalive_expiry: Seconds that an idle connection is kept.
    """

    def __init__(
        self,
        *,
        httpcore: ModuleType,
        h11: ModuleType,
        network_backend: AsyncBoundedBackend,
        ssl_context: ssl.SSLContext | None,
        max_connections: int | None,
        max_keepalive_connections: int | None,  # noqa: ARG002  none is closed before it expires
        keepalive_expiry: float,
    ) -> None:
        self._httpcore = httpcore
        self._h11 = h11
        self._backend = network_backend
        self._tls_context = ssl_context
        self._keep_alive_s = keepalive_expiry
        self._max_connections = sys.maxsize if max_connections is None else max_connections
        self._free = asyncio.Semaphore(self._max_connections)
        self._used: set[AsyncConnection] = set()
        self._idle: deque[AsyncConnection] = deque()  # the one that was used last is at the end

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, and return the response as soon as its head is there. Closing its body frees the connection.

        Raises:
            PoolTimeout: No connection was free in time.
        """
        if request.url.scheme not in {b"http", b"https"}:
            raise self._httpcore.UnsupportedProtocol("the address must begin with http:// or https://")
        while True:
            connection = await self._take(request.url.origin, request.extensions["timeout"]["pool"])
            try:
                return await connection.handle_async_request(request)
            except self._httpcore.ConnectionNotAvailable:  # the service has just ended it
                pass

    async def aclose(self) -> None:
        """Close all connections."""
        connections = [*self._idle, *self._used]
        self._idle.clear()
        for connection in connections:
            await connection.aclose()

    async def _take(self, origin: Any, wait_s: float) -> AsyncConnection:
        """Return an idle connection, or a new one."""
        await self._wait_until_free(wait_s)
        connection, ended = self._choose(origin)
        try:
            for each in ended:
                await each.aclose()
        except BaseException:
            self._take_back(connection)
            raise
        return connection

    def _choose(self, origin: Any) -> tuple[AsyncConnection, list[AsyncConnection]]:
        """Return a connection, which counts as used from now on, and the idle ones to close."""
        ended: list[AsyncConnection] = []
        while self._idle and self._idle[0].has_expired():
            ended.append(self._idle.popleft())
        connection = self._pop_idle(origin)
        while connection is not None and connection.has_expired():
            ended.append(connection)
            connection = self._pop_idle(origin)
        if connection is None:
            if self._idle and len(self._used) + len(self._idle) >= self._max_connections:
                ended.append(self._idle.popleft())  # it leads elsewhere
            connection = self._create(origin)
        self._used.add(connection)
        return connection, ended

    async def _wait_until_free(self, wait_s: float) -> None:
        if not self._free.locked():  # nothing to wait for: no timer is needed
            await self._free.acquire()
            return
        try:
            async with asyncio.timeout(wait_s):
                await self._free.acquire()
        except TimeoutError as exc:
            raise self._httpcore.PoolTimeout(exc) from exc

    def _pop_idle(self, origin: Any) -> AsyncConnection | None:
        """Return the connection to an address that was used last; None when there is none."""
        for place in range(len(self._idle) - 1, -1, -1):
            connection = self._idle[place]
            if connection.origin == origin:
                del self._idle[place]
                return connection
        return None

    def _create(self, origin: Any) -> AsyncConnection:
        return AsyncConnection(
            origin,
            httpcore=self._httpcore,
            h11=self._h11,
            backend=self._backend,
            tls_context=self._tls_context,
            keep_alive_s=self._keep_alive_s,
            give_back=self._take_back,
        )

    def _take_back(self, connection: AsyncConnection) -> None:
        """Keep a connection for other requests if it is idle."""
        self._used.remove(connection)
        self._free.release()
        if connection.is_idle:
            self._idle.append(connection)
