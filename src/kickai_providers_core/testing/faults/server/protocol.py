"""One client's connection: parses requests and plays a fault for each."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol, cast

from kickai_providers_core.testing.faults.client_connection import ClientConnection
from kickai_providers_core.testing.faults.exchange import Exchange, GoodAnswer
from kickai_providers_core.testing.faults.wire import Recorded

if TYPE_CHECKING:
    from kickai_providers_core.testing.faults.exchange import Fault
    from kickai_providers_core.testing.faults.wire import Wire

__all__ = ["ConnectionProtocol", "Owner"]


class Owner(Protocol):
    """The server, as a connection sees it."""

    wire: Wire
    default: Fault

    def add_connection(self, connection: ConnectionProtocol) -> None:
        """Add an open connection."""

    def remove_connection(self, connection: ConnectionProtocol) -> None:
        """Remove a connection that has ended."""

    def take_fault(self, request: Recorded) -> Fault:
        """Record a request; return the fault to play for it."""

    def add_error(self, error: Exception) -> None:
        """Keep an exception."""


class ConnectionProtocol(asyncio.Protocol):
    """Reads one request after the other, and plays a fault for each.

    Its only task is cancelled as soon as the client is gone, whatever the fault is doing.

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
        # asyncio only does this for sockets that name their protocol; without it each answer takes 40 ms longer.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = ClientConnection(self._transport)
        self.peer = self._transport.get_extra_info("peername")
        self._owner.add_connection(self)
        self.done = asyncio.get_running_loop().create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        """Keep what the client sent."""
        self._incoming.feed_data(data)

    def eof_received(self) -> bool:
        """Close: a client that sends FIN has gone, since no client of ours half-closes."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - given by asyncio
        """Stop the fault."""
        self._connection.resume()
        self.done.cancel()
        self._owner.remove_connection(self)

    def pause_writing(self) -> None:
        """Make the fault wait before it writes more."""
        self._connection.pause()

    def resume_writing(self) -> None:
        """Let the fault write."""
        self._connection.resume()

    def abort(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    async def _serve(self) -> None:
        try:
            while not self._connection.closing:
                request = await _read_request(self._incoming)
                fault = self._owner.take_fault(request)
                good = self._owner.default if isinstance(self._owner.default, GoodAnswer) else GoodAnswer()
                exchange = Exchange(request=request, wire=self._owner.wire, connection=self._connection, good=good)
                await fault.play(exchange)
                if request.headers.get("connection", "").lower() == "close":
                    self._connection.close()
        except Exception as error:  # noqa: BLE001 - the author's wire may raise anything, and must see it
            self._owner.add_error(error)
            self.abort()


async def _read_request(incoming: asyncio.StreamReader) -> Recorded:
    """Read one request (RFC 9112). Never raises `IncompleteReadError`: the end of the input cancels the task."""
    head = (await incoming.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *fields = head.rstrip("\r\n").split("\r\n")
    method, path, _version = line.split(" ", 2)
    headers: dict[str, str] = {}
    for name, _, value in (entry.partition(":") for entry in fields):
        key, text = name.strip().lower(), value.strip()
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
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
