"""Connections of HTTP/1.1 for an event loop.

httpcore's own ones return each chunk of a body separately, through four generators, and a streamed answer has a chunk
for each word. These return all chunks that arrive together. h11 writes and reads the bytes, as it does there.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal, Self

from kickai_providers_core.authoring.bounded_network import READ_BYTES

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import ModuleType

    from kickai_providers_core.authoring.async_bounded_network import AsyncBoundedBackend, AsyncBoundedStream

__all__ = ["AsyncConnection"]

MAX_HEAD_BYTES = 100 * 1024
"""The most bytes of a response's head, as in httpcore."""

State = Literal["new", "active", "idle", "closed"]


class AsyncConnection:
    """One connection to one service, without a proxy; it has one request at a time. For one event loop.

    Args:
        origin: The address, as a value of httpcore.
        httpcore: The module ``httpcore`` or ``httpcore2``.
        h11: The module ``h11``.
        backend: Opens connections.
        tls_context: Which certificates to trust; for addresses with TLS.
        keep_alive_s: Seconds that it is kept while it is idle.
        give_back: Called at the end of each request, when the connection is idle or closed.
        clock: Returns the monotonic time in seconds.

    Attributes:
        origin: As given.
    """

    def __init__(
        self,
        origin: Any,
        *,
        httpcore: ModuleType,
        h11: ModuleType,
        backend: AsyncBoundedBackend,
        tls_context: ssl.SSLContext | None,
        keep_alive_s: float,
        give_back: Callable[[AsyncConnection], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.origin = origin
        self._httpcore = httpcore
        self._h11 = h11
        self._backend = backend
        self._tls_context = tls_context
        self._keep_alive_s = keep_alive_s
        self._give_back = give_back
        self._clock = clock
        self._stream: AsyncBoundedStream | None = None
        self._state: State = "new"
        self._expires = 0.0

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request, and return the response as soon as its head is there. The connection is new or idle.

        Raises:
            ConnectionNotAvailable: It was idle, and the service has ended it; the pool takes another one.
        """
        self._state = "active"
        try:
            timeout = request.extensions["timeout"]["read"]
            if self._stream is None:
                self._stream = await self._connect(timeout)
            return await self._exchange(request, self._stream, timeout)
        except BaseException:
            try:
                await self.aclose()
            finally:
                self._give_back(self)
            raise

    def take_body(self, exchange: Any) -> tuple[list[bytes], bool]:
        """Return the chunks of a response's body that have arrived, and whether they were the last ones.

        Raises:
            RemoteProtocolError: What follows is malformed. Chunks before it are returned first; h11 then fails again.
        """
        h11, parts = self._h11, []
        try:
            while isinstance(event := exchange.next_event(), h11.Data):
                parts.append(event.data)
        except h11.RemoteProtocolError as exc:
            if not parts:
                raise self._httpcore.RemoteProtocolError(exc) from exc
            return parts, False
        return parts, event is not h11.NEED_DATA

    async def release(self, exchange: Any, *, is_read: bool) -> None:
        """End a request; close the connection unless it can take another one.

        Args:
            exchange: What was sent and received.
            is_read: Whether the caller has read the body to its end. It may have stopped on purpose, so that the
                connection is not used again, although all bytes were there already.
        """
        is_whole = (
            is_read and exchange.our_state is exchange.their_state is self._h11.DONE and not exchange.trailing_data[0]
        )
        try:
            if is_whole and self._state == "active":
                self._state, self._expires = "idle", self._clock() + self._keep_alive_s
            else:
                await self.aclose()
        finally:
            self._give_back(self)

    async def aclose(self) -> None:
        """Close the connection."""
        self._state = "closed"
        if self._stream is not None:
            await self._stream.aclose()

    @property
    def is_idle(self) -> bool:
        """Whether it can take a request now."""
        return self._state == "idle"

    def has_expired(self) -> bool:
        """Return whether it was idle for too long, or the service has ended it meanwhile."""
        if self._state != "idle" or self._stream is None:
            return False
        return self._clock() > self._expires or bool(self._stream.get_extra_info("is_readable"))

    async def _connect(self, timeout: Any) -> AsyncBoundedStream:  # noqa: ASYNC109  what a request carries
        host = self.origin.host.decode("ascii")
        stream = await self._backend.connect_tcp(host, self.origin.port, timeout)
        if self.origin.scheme != b"https":
            return stream
        context = self._tls_context or self._httpcore.default_ssl_context()
        context.set_alpn_protocols(["http/1.1"])
        return await stream.start_tls(context, host, timeout)

    async def _exchange(self, request: Any, stream: AsyncBoundedStream, timeout: Any) -> Any:  # noqa: ASYNC109
        """Send a request, and return the response when its head has come."""
        h11, httpcore = self._h11, self._httpcore
        exchange = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)
        try:
            with suppress(httpcore.WriteError):  # a service may answer, and end the connection, before it has read all
                await self._send(request, exchange, stream, timeout)
            head = await self._read_head(exchange, stream, timeout)
        except h11.LocalProtocolError as exc:
            raise httpcore.LocalProtocolError(exc) from exc
        except h11.RemoteProtocolError as exc:
            raise httpcore.RemoteProtocolError(exc) from exc
        return httpcore.Response(
            status=head.status_code,
            headers=head.headers.raw_items(),
            content=_ResponseBody(self, stream, exchange, timeout),
            extensions={"network_stream": stream},
        )

    async def _send(self, request: Any, exchange: Any, stream: AsyncBoundedStream, timeout: Any) -> None:  # noqa: ASYNC109
        h11 = self._h11
        head = h11.Request(method=request.method, target=request.url.target, headers=request.headers)
        await stream.write(exchange.send(head), timeout)
        async for part in request.stream:
            await stream.write(exchange.send(h11.Data(data=part)), timeout)
        last = exchange.send(h11.EndOfMessage())
        if last:
            await stream.write(last, timeout)

    async def _read_head(self, exchange: Any, stream: AsyncBoundedStream, timeout: Any) -> Any:  # noqa: ASYNC109
        """Return the head of the response, after those with a status below 200."""
        h11 = self._h11
        while True:
            event = exchange.next_event()
            if event is h11.NEED_DATA:
                data = await stream.read(READ_BYTES, timeout)
                if not data:
                    raise self._httpcore.RemoteProtocolError("the service ended the connection without a response")
                exchange.receive_data(data)
            elif isinstance(event, h11.Response):
                return event
            elif not isinstance(event, h11.InformationalResponse):
                raise self._httpcore.RemoteProtocolError("the service speaks another protocol")


class _ResponseBody:
    """The body of a response. An asynchronous iterator of bytes, to be closed with `aclose`."""

    def __init__(self, connection: AsyncConnection, stream: AsyncBoundedStream, exchange: Any, timeout: Any) -> None:
        self._connection = connection
        self._stream = stream
        self._exchange = exchange
        self._timeout = timeout
        self._is_done = False
        self._is_read = False
        self._is_closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._is_done:
            parts, self._is_done = self._connection.take_body(self._exchange)
            if parts:
                return b"".join(parts)
            if not self._is_done:
                self._exchange.receive_data(await self._stream.read(READ_BYTES, self._timeout))
        self._is_read = True
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        if not self._is_closed:
            self._is_closed = True
            await self._connection.release(self._exchange, is_read=self._is_read)
