"""The asynchronous counterpart of `kickai_providers_core.authoring.bounded_network`, for asyncio.

It uses asyncio's own streams, since httpcore's backend for anyio takes a quarter more processor time.
"""

from __future__ import annotations

import asyncio
import select
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core.authoring.bounded_network import READ_BYTES, StreamState, is_ip_address, look_up_host
from kickai_providers_core.authoring.loop_pauses import Pauses
from kickai_providers_core.concurrency import threads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable
    from types import ModuleType

    from kickai_providers_core.authoring.bounded_network import RequestTimeout

__all__ = ["AsyncBoundedBackend", "AsyncBoundedStream"]

T = TypeVar("T")

HELD_BYTES = 64 * 1024
"""The most bytes of one write that wait for the next read: a head and the usual body of a request."""


class AsyncBoundedBackend:
    """Opens connections for the running event loop, with asyncio alone: anyio takes a quarter more processor time.

    Args:
        httpcore: The module ``httpcore`` or ``httpcore2``.
        look_up: As in `BoundedBackend`.
    """

    def __init__(self, httpcore: ModuleType, look_up: Callable[[str, int], list[str]] = look_up_host) -> None:
        self._httpcore = httpcore
        self._look_up = look_up

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Any = None,  # noqa: ARG002  the pools of this package set none
    ) -> AsyncBoundedStream:
        """Return a connection to the first address of the host that accepts; each gets its share of the time."""
        httpcore = self._httpcore
        timeout.timeouts.begin("connect")
        local = (local_address, 0) if local_address else None
        failure: Exception = httpcore.ConnectError("the host has no address")
        addresses = await self._find_addresses(host, port, timeout)
        for number, address in enumerate(addresses):
            share_s = timeout.wait_s(httpcore.ConnectTimeout) / (len(addresses) - number)
            opening = asyncio.open_connection(address, port, local_addr=local)
            try:
                reader, writer = await _connect_within(httpcore, opening, share_s)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return AsyncBoundedStream(httpcore, reader, writer, timeout)
        raise failure

    async def _find_addresses(self, host: str, port: int, timeout: RequestTimeout) -> list[str]:  # noqa: ASYNC109  as above
        if is_ip_address(host):
            return [host]
        # Not the loop's own look-up: its pool has few threads, and `asyncio.run` waits for those that hang.
        looking_up = threads.acall(lambda: self._look_up(host, port))
        return await _connect_within(self._httpcore, looking_up, timeout.wait_s(self._httpcore.ConnectTimeout))


class AsyncBoundedStream(StreamState):
    """A connection for the event loop that opened it."""

    def __init__(
        self, httpcore: ModuleType, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, timeout: RequestTimeout
    ) -> None:
        super().__init__(httpcore, timeout)
        self._reader = reader
        self._writer = writer
        self._pauses = Pauses()
        self._unsent: list[bytes] = []

    async def read(self, max_bytes: int, timeout: Any = None) -> bytes:  # noqa: ASYNC109
        """Return the next bytes; none at the end. Other tasks run at least every 5 ms."""
        if self._unsent:
            await self._send(self.choose_timeout(timeout))
        wait_s = self.read_wait_s(timeout)
        await self._pauses.pause()
        size = min(max_bytes, READ_BYTES)
        try:
            if self._has_data():  # nothing to wait for: no timer is needed
                return await self._reader.read(size)
            async with asyncio.timeout(wait_s):
                return await self._reader.read(size)
        except TimeoutError as exc:
            raise self.httpcore.ReadTimeout(exc) from exc
        except OSError as exc:
            raise self.httpcore.ReadError(exc) from exc

    async def write(self, buffer: bytes, timeout: Any = None) -> None:  # noqa: ASYNC109
        """Send bytes: at once when there are many, else with the next read, so that a request is one packet.

        Raises:
            ConnectionNotAvailable: The connection was idle, and the server has ended it; the pool takes another one.
        """
        if self.has_read and not self._unsent and self._is_ended():
            raise self.httpcore.ConnectionNotAvailable
        bound = self.note_write(timeout)
        bound.wait_s(self.httpcore.WriteTimeout)
        self._unsent.append(buffer)
        if len(buffer) > HELD_BYTES:
            await self._send(bound)

    async def _send(self, bound: RequestTimeout) -> None:
        wait_s = bound.wait_s(self.httpcore.WriteTimeout)
        data = b"".join(self._unsent)
        self._unsent.clear()
        try:
            self._writer.write(data)
            if self._writer.transport.get_write_buffer_size():  # else there is nothing to wait for: no timer is needed
                async with asyncio.timeout(wait_s):
                    await self._writer.drain()
        except TimeoutError as exc:
            raise self.httpcore.WriteTimeout(exc) from exc
        except OSError as exc:
            raise self.httpcore.WriteError(exc) from exc

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: Any = None,  # noqa: ASYNC109
    ) -> AsyncBoundedStream:
        """Return the same connection, encrypted; it is closed when that fails."""
        bound = self.choose_timeout(timeout)
        bound.note_handshake()
        try:
            starting = self._writer.start_tls(ssl_context, server_hostname=server_hostname)
            await _connect_within(self.httpcore, starting, bound.wait_s(self.httpcore.ConnectTimeout))
        except BaseException:
            await self.aclose()
            raise
        self.is_encrypted, self.has_read = True, False
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself.

        ``is_readable`` says that an idle connection cannot be used again: the server has ended it, or has sent
        something that was not requested.
        """
        if info == "is_readable":  # asked of every idle connection before each request: the event loop knows enough
            return self._reader.at_eof() or self._writer.is_closing() or self._has_data()
        return self._writer.get_extra_info(info)

    def _is_ended(self) -> bool:
        """Return whether the server has ended an idle connection, even if the event loop has not noticed it yet."""
        return bool(self.get_extra_info("is_readable")) or _is_readable(self._writer.get_extra_info("socket"))

    def _has_data(self) -> bool:
        return bool(self._reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001  asyncio has no method for it

    async def aclose(self) -> None:
        """Close the connection without waiting for the server to agree."""
        self._writer.close()
        await asyncio.sleep(0)  # the loop closes the socket when nothing is left to send
        self._writer.transport.abort()


def _is_readable(sock: Any) -> bool:
    """Return whether a socket has data that the event loop has not read yet."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


async def _connect_within(httpcore: ModuleType, connecting: Awaitable[T], seconds: float) -> T:
    try:
        async with asyncio.timeout(seconds):
            return await connecting
    except TimeoutError as exc:
        raise httpcore.ConnectTimeout(exc) from exc
    except (OSError, UnicodeError) as exc:
        raise httpcore.ConnectError(exc) from exc
