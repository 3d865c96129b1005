"""The limits of connections: their number, the size of a request's head, and the times in which clients send and read.

uvicorn has no bound for a head, none for the time until a first request is complete or until a client reads, and counts
a connection only when its first request has arrived.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

__all__ = ["MAX_HEAD_BYTES", "Config", "JoiningTransport", "LimitedProtocol"]

MAX_HEAD_BYTES = 65_536
"""The maximum size of the request line and the headers, in bytes, give or take one read of the socket."""

UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*", re.IGNORECASE)

REASONS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


class Config(uvicorn.Config):
    """The settings of the HTTP server.

    Attributes:
        receive_timeout_s: Seconds in which a request must have arrived.
        send_timeout_s: Seconds in which a client must read what waits for it, 64 KiB at most.
        max_connections: The connections at a time.
    """

    def __init__(
        self, app: Any, *, receive_timeout_s: float, send_timeout_s: float, max_connections: int, **options: Any
    ) -> None:
        super().__init__(app, http=LimitedProtocol, **options)
        self.receive_timeout_s = receive_timeout_s
        self.send_timeout_s = send_timeout_s
        self.max_connections = max_connections


class JoiningTransport:
    """A transport that sends what is written in one iteration of the event loop together.

    uvicorn writes the head of a response and each part of its body on their own.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send bytes at the end of this iteration."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)

    def close(self) -> None:
        """Close the connection when everything is sent."""
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        if self._parts:
            data = b"".join(self._parts)
            self._parts.clear()
            self._transport.write(data)


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    config: Config
    _timer: asyncio.TimerHandle | None = None
    _send_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, unless there are too many connections."""
        super().connection_made(JoiningTransport(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > self.config.max_connections:
            self._refuse(503, "there are too many connections; try again later")
            return
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._stop_timer()
        self._stop_send_timer()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait for a client that does not read as fast as the answer comes; it holds the call of a provider."""
        super().pause_writing()
        self._send_timer = self.loop.call_later(self.config.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on: the client has read."""
        self._stop_send_timer()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Read a part of a request, unless its head is too large."""
        if self.transport.is_closing():
            return
        if self._is_in_head:
            self._head_bytes += len(data)
            data = _drop_upgrade(data)
        super().data_received(data)
        if self._is_in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"the request line and the headers may have {MAX_HEAD_BYTES} bytes")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own words, in plain text
        """Refuse bytes that are not HTTP; they may follow a request that is being served."""
        self._refuse(400, "the connection has sent what is not HTTP/1.1")

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._is_in_head = True
        self._start_timer()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Begin the body, which has a limit of its own."""
        self._is_in_head, self._head_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request; the time until the next one is that of idle connections."""
        self._is_in_head = True
        self._stop_timer()
        super().on_message_complete()

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self.loop.call_later(self.config.receive_timeout_s, self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _expire(self) -> None:
        self._timer = None
        if self.flow.read_paused:  # the gateway itself does not read: an earlier request is being served
            self._start_timer()
        else:
            self._refuse(408, f"a request must arrive within {self.config.receive_timeout_s:g} s")

    def _refuse(self, status: int, message: str) -> None:
        """Say why, unless a response has begun, and close the connection."""
        self._stop_timer()
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or not cycle.response_started or cycle.response_complete:
            body = (
                b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % message.encode()
            )
            head = (
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head % (status, REASONS[status], len(body)) + body)
        self.transport.close()


def _drop_upgrade(data: bytes) -> bytes:
    """Return a head without the header ``Upgrade``, which a server may ignore (RFC 9110, section 7.8).

    Some clients, such as Java's, offer HTTP/2 in their first request. httptools then does not read the body.
    """
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else UPGRADE.sub(b"", data[:end]) + data[end:]
