"""One request to the server and its answer: what the ollama client makes of them, put right.

The client parses answers and raises errors; it sits on an httpx transport of ours, which

* sends our body in place of the client's: the client's own types thin a request out (of a tool's schema they
  keep ``type``, ``description`` and ``enum``, and they know neither tool-call ids nor ``truncate``);
* sends the key that the settings name, and no other: the client sends ``OLLAMA_API_KEY`` to any host;
* bounds every step by the attempt's time limits, and the size of an answer after decompression;
* reads JSON strictly, and joins characters that the server cuts in two;
* notes the status and the headers, which the client's errors lack.
"""

from __future__ import annotations

from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import ollama
from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import Decompressor, ajson_lines, dump_bytes, dumps, json_lines, loads
from kickai_providers_core.authoring.iterating import Pauses
from kickai_providers_core.authoring.limits import MAX_ANSWER_BYTES, MAX_ERROR_BYTES

from kickai_ollama.corrections import Corrections

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kickai_providers_core import Secret
    from kickai_providers_core.authoring import AttemptTimeouts

    from kickai_ollama.address import Address

__all__ = ["AsyncTransport", "Exchange", "Transport", "place"]

MAX_STREAM = 256 * 2**20
"""Bytes of a stream, decompressed. The deadline is its usual bound; a hundred thousand tokens are some 15 megabytes."""

OURS = frozenset({b"accept-encoding", b"authorization", b"content-length"})
"""Headers that we write ourselves."""

DECODED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers of an answer that no longer hold once it is decompressed."""

FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def place(address: Address) -> dict[str, Any]:
    """Return the arguments that bind a client to one server; with a transport of ours, no proxy comes between."""
    return {"host": address.url, "timeout": None, "follow_redirects": False}


class Exchange:
    """What one attempt sends, and what it learns beside the answer. Not to be shared between attempts.

    Attributes:
        timeouts: The time limits of the attempt.
        status: The HTTP status, once there is one.
        headers: The headers of the answer, names in lower case.
        failure: What the network raised; the client's own exceptions may lack it.

    Raises:
        UnsupportedRequestError: The body cannot be written as JSON.
    """

    def __init__(
        self, timeouts: AttemptTimeouts, body: Mapping[str, Any] | None = None, *, api_key: Secret | None = None
    ) -> None:
        self.timeouts = timeouts
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.failure: Exception | None = None
        self._content = b"" if body is None else dump_bytes(body)
        self._is_stream = body is not None and bool(body.get("stream"))
        self._api_key = api_key

    def outgoing(self, request: httpx.Request) -> httpcore.Request:
        """Return what goes onto the wire for a request of the client's."""
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in OURS]
        headers += [(b"accept-encoding", b"identity"), (b"content-length", str(len(self._content)).encode())]
        if self._api_key:
            headers.append((b"authorization", f"Bearer {self._api_key.reveal()}".encode("ascii")))
        url = request.url
        return httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=headers,
            content=self._content,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write"), self.timeouts)},
        )

    def incoming(self, response: httpcore.Response, body: _Body) -> httpx.Response:
        """Return what the client gets to see of an answer."""
        self.status = response.status
        headers = [pair for pair in response.headers if pair[0].lower() not in DECODED]
        encoding = b", ".join(value for name, value in response.headers if name.lower() == b"content-encoding")
        if response.status >= httpx.codes.MULTIPLE_CHOICES:
            body.read_at_most(MAX_ERROR_BYTES, encoding, is_error=True)
        else:
            body.read_at_most(MAX_STREAM if self._is_stream else MAX_ANSWER_BYTES, encoding)
        answer = _Answer(response.status, headers=headers, stream=body)
        self.headers = answer.headers
        return answer

    @contextmanager
    def raising_as_httpx(self) -> Iterator[None]:
        """Raise the exceptions of httpcore as those of httpx that the client knows; each has a namesake there."""
        try:
            yield
        except FAILURES as exc:
            self.failure = exc
            raise getattr(httpx, type(exc).__name__)(type(exc).__name__) from exc


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of an answer as they come, decompressed, up to a limit. Of an error's, what is beyond it is left."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange
        self._parts: Any = None
        self.read_at_most(MAX_ERROR_BYTES, b"")

    def read_at_most(self, limit_bytes: int, encoding: bytes, *, is_error: bool = False) -> None:
        """Set the limit, and how the bytes are compressed."""
        self._limit_bytes, self._encoding, self._is_error = limit_bytes, encoding.decode("latin-1"), is_error

    def __iter__(self) -> Iterator[bytes]:
        decompressor = self._decompressor()
        with self._exchange.raising_as_httpx():
            for part in self._stream:
                for piece in self._pieces(decompressor, part):
                    if piece is None:
                        return
                    yield piece
        self._finish(decompressor)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        decompressor = self._decompressor()
        pauses = Pauses()
        # Kept until `aclose`: a generator that is dropped cannot await what httpcore awaits when it ends.
        self._parts = aiter(self._stream)
        with self._exchange.raising_as_httpx():
            async for part in self._parts:
                for piece in self._pieces(decompressor, part):
                    if piece is None:
                        return
                    yield piece
                await pauses.pause()
        self._finish(decompressor)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()
        if self._parts is not None:
            await self._parts.aclose()

    def _decompressor(self) -> Decompressor:
        try:
            return Decompressor(self._encoding, limit_bytes=self._limit_bytes)
        except InvalidReplyError:
            if not self._is_error:
                raise
            return Decompressor(limit_bytes=0)  # the status says enough

    def _pieces(self, decompressor: Decompressor, part: bytes) -> Iterator[bytes | None]:
        """Yield what a part decompresses to; None where the rest of an error's body is left unread."""
        try:
            yield from decompressor.feed(part)
        except InvalidReplyError:
            if not self._is_error:
                raise
            yield None

    def _finish(self, decompressor: Decompressor) -> None:
        if not self._is_error:
            decompressor.finish()


class _Answer(httpx.Response):
    """An answer that the client reads as its protocol means it."""

    def json(self, **_: Any) -> Any:
        """Return the JSON value; raise the error that it holds, as the client does for a line of a stream."""
        value = loads(self.content)
        if isinstance(value, dict) and value.get("error"):
            raise ollama.ResponseError(self.text, self.status_code)
        return Corrections().apply(value)

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines as strict JSON, blank ones left out.

        httpx also ends lines at U+0085, U+2028 and U+2029, which JSON text may hold as they are, and reads bytes
        that are no UTF-8 as if they were.
        """
        corrections = Corrections()
        for value in json_lines(self.iter_bytes()):
            yield dumps(corrections.apply(value))

    async def aiter_lines(self) -> AsyncIterator[str]:
        """Yield the lines, as `iter_lines` does."""
        corrections = Corrections()
        pauses = Pauses()
        async with aclosing(ajson_lines(self.aiter_bytes())) as values:
            async for value in values:
                yield dumps(corrections.apply(value))
                await pauses.pause()


class Transport(httpx.BaseTransport):
    """Carries one exchange over a pool of connections that others use too."""

    def __init__(self, pool: httpcore.ConnectionPool, exchange: Exchange) -> None:
        self._pool = pool
        self._exchange = exchange

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the exchange's request, and return the answer as soon as its head is there."""
        with self._exchange.raising_as_httpx():
            response = self._pool.handle_request(self._exchange.outgoing(request))
        return self._exchange.incoming(response, _Body(response.stream, self._exchange))


class AsyncTransport(httpx.AsyncBaseTransport):
    """Carries one exchange over the pool of the running event loop."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, exchange: Exchange) -> None:
        self._pool = pool
        self._exchange = exchange

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the exchange's request, and return the answer as soon as its head is there."""
        with self._exchange.raising_as_httpx():
            response = await self._pool.handle_async_request(self._exchange.outgoing(request))
        return self._exchange.incoming(response, _Body(response.stream, self._exchange))
