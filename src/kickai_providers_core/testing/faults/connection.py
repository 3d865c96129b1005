"""One client's connection: bytes into requests, requests into faults that play."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol, cast

from kickai_providers_core.testing.faults.answers import Ok
from kickai_providers_core.testing.faults.exchange import Exchange, Link
from kickai_providers_core.testing.faults.wire import Recorded

if TYPE_CHECKING:
    from kickai_providers_core.testing.faults.answers import Fault
    from kickai_providers_core.testing.faults.wire import Wire

__all__ = ["Connection", "Owner"]


class Owner(Protocol):
    """What a connection needs of its server."""

    wire: Wire
    default: Fault

    def opened(self, connection: Connection) -> None:
        """Count a connection."""

    def closed(self, connection: Connection) -> None:
        """Count a connection no more."""

    def came(self, request: Recorded) -> Fault:
        """Record a request, and return what is to be done with it."""

    def failed(self, error: Exception) -> None:
        """Keep an error."""


class Connection(asyncio.Protocol):
    """Reads requests one after the other, and plays the fault that the server has for each.

    Its one task is cancelled as soon as the client is gone, whatever the fault is doing.

    Attributes:
        peer: The client's address.
        done: The task.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._incoming = asyncio.StreamReader(limit=2**20)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve."""
        self._transport = cast("asyncio.Transport", transport)
        # asyncio does so only for sockets that name their protocol; without it each answer waits 40 ms for the client.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._link = Link(self._transport)
        self.peer = self._transport.get_extra_info("peername")
        self._owner.opened(self)
        self.done = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Take what the client sent."""
        self._incoming.feed_data(data)

    def eof_received(self) -> bool:
        """Take the client's FIN for its going away: none of ours half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - given by asyncio
        """Stop whatever plays."""
        self._link.resume()
        self.done.cancel()
        self._owner.closed(self)

    def pause_writing(self) -> None:
        """Hold the fault's next write."""
        self._link.pause()

    def resume_writing(self) -> None:
        """Let it go on."""
        self._link.resume()

    def abort(self) -> None:
        """End the connection from the server's side, at once."""
        self._transport.abort()

    async def _serve(self) -> None:
        try:
            while not self._link.closing:
                request = await _read_request(self._incoming)
                fault = self._owner.came(request)
                good = self._owner.default if isinstance(self._owner.default, Ok) else Ok()
                await fault.play(Exchange(request=request, wire=self._owner.wire, link=self._link, good=good))
                if request.headers.get("connection", "").lower() == "close":
                    self._link.close()
        except Exception as error:  # noqa: BLE001 - the wire's own code may raise anything, and its author must see it
            self._owner.failed(error)
            self.abort()


async def _read_request(incoming: asyncio.StreamReader) -> Recorded:
    """Read one request (RFC 9112); `IncompleteReadError` cannot come, since the end of the input cancels the task."""
    head = (await incoming.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip("\r\n").split("\r\n")
    method, path, _version = line.split(" ", 2)
    headers: dict[str, str] = {}
    for name, _, value in (entry.partition(":") for entry in fields):
        key, told = name.strip().lower(), value.strip()
        headers[key] = f"{headers[key]}, {told}" if key in headers else told
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = await _read_chunks(incoming)
    else:
        body = await incoming.readexactly(int(headers.get("content-length", "0")))
    return Recorded(method=method, path=path, headers=headers, body=body)


async def _read_chunks(incoming: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await incoming.readline()).split(b";")[0], 16):
        body += await incoming.readexactly(size)
        await incoming.readline()
    while (await incoming.readline()).strip():  # trailers
        pass
    return bytes(body)
