"""Connections for asyncio alone, below the transport of `kickai_hf.transport`.

httpx2 serves several kinds of event loops through anyio, and pays for it with each read, each write and each look at an
idle connection: a quarter of a small request's CPU time (``benchmarks/hf_overhead.py`` measured it). Providers run
on asyncio alone, whose own streams do the same.

Only connecting has a timeout here. Whatever comes after it is cancelled from outside when the time is over.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar, cast

import httpcore2
from kickai_providers_core.concurrency import threads

from kickai_hf.lookup import LookUp, addresses_of, is_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Iterable

    from kickai_hf.patience import Limit

__all__ = ["AsyncioBackend"]

T = TypeVar("T")

READ_BYTES = 16 * 1024
"""The most that is read at once: h11 parses it without a pause, and takes half a second for 64 KiB of tiny chunks."""

TURN_S = 0.005
"""How long the work between two reads may keep the event loop before other tasks get their turn."""


class AsyncioBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections on the running loop, within the limit that is given as their timeout.

    Args:
        look_up: From a host and a port to IP addresses; may block.
    """

    def __init__(self, look_up: LookUp = addresses_of) -> None:
        self._look_up = look_up

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - the transport sets none
    ) -> httpcore2.AsyncNetworkStream:
        """Return a stream to the first address of the host that answers; each gets its share of the time.

        Not all at once, as asyncio can do: there it may lose a connection that stands when the time is over.
        """
        limit = cast("Limit", timeout)
        limit.begin("connect", limit)
        failure: Exception = httpcore2.ConnectError("the host has no address")
        addresses = await self._addresses(host, port, limit)
        for number, address in enumerate(addresses):
            opening = asyncio.open_connection(address, port, local_addr=(local_address, 0) if local_address else None)
            try:
                return AsyncioStream(*await _in_time(opening, limit.left() / (len(addresses) - number)))
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                failure = exc
        raise failure

    async def _addresses(self, host: str, port: int, limit: Limit) -> list[str]:
        if is_address(host):
            return [host]
        # Not the loop's own lookup: its pool has few threads, and ``asyncio.run`` waits for those that hang.
        return await _in_time(threads.acall(lambda: self._look_up(host, port)), limit.left())


async def _in_time(connecting: Awaitable[T], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await connecting
    except TimeoutError as exc:
        raise httpcore2.ConnectTimeout(exc) from exc
    except (OSError, UnicodeError) as exc:  # the latter from a host that is no name
        raise httpcore2.ConnectError(exc) from exc


class AsyncioStream(httpcore2.AsyncNetworkStream):
    """One connection.

    Attributes:
        has_read: Whether anything was read since the last write.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._turn_ends = 0.0
        self.has_read = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        """Return the next bytes, at most `READ_BYTES`; none at the end.

        Where bytes are there already, asyncio's reader does not suspend: a server that sends faster than they are
        parsed would keep the event loop to itself.
        """
        if time.monotonic() > self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = time.monotonic() + TURN_S
        self.has_read = True
        try:
            return await self._reader.read(min(max_bytes, READ_BYTES))
        except OSError as exc:
            raise httpcore2.ReadError(exc) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send all the bytes."""
        if not buffer:
            return
        cast("Limit", timeout).note_sending()
        self.has_read = False
        try:
            self._writer.write(buffer)
            await self._writer.drain()
        except OSError as exc:
            raise httpcore2.WriteError(exc) from exc

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Return the same connection, encrypted; it is closed when that fails."""
        try:
            starting = self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            await _in_time(starting, cast("Limit", timeout).left())
        except BaseException:
            await self.aclose()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what httpcore2 asks of a connection: whether it is encrypted, and whether an idle one can be used.

        It cannot when the server has ended it, or has sent something that nobody requested.
        """
        if info == "is_readable":
            unrequested = self._reader._buffer  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio has no question for it
            return bool(unrequested) or self._reader.at_eof() or self._writer.is_closing()
        return self._writer.get_extra_info(info)

    async def aclose(self) -> None:
        """Close the connection without waiting for the server to agree."""
        self._writer.close()
        await asyncio.sleep(0)  # for the loop to close the socket, where nothing is left to send
        self._writer.transport.abort()
