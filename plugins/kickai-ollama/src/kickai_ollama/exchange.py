"""One request to the server and its answer: what the ollama client makes of them, put right.

The client parses answers and raises errors; it sits on an httpx transport of ours, which

* sends our body in place of the client's: the client's own types thin a request out (of a tool's schema they
  keep ``type``, ``description`` and ``enum``, and they know neither tool-call ids nor ``truncate``);
* sends the key that the settings name, and no other: the client sends ``OLLAMA_API_KEY`` to any host;
* bounds every step by the attempt's deadline, and the size of an answer;
* notes the status and the headers, which the client's errors lack.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpcore
import httpx
import ollama

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kickai_providers_core.secret import Secret

    from kickai_ollama.address import Address
    from kickai_ollama.deadline import Deadline

__all__ = ["AsyncTransport", "Exchange", "OversizedReplyError", "Transport", "place"]

MAX_BODY = 32 * 2**20
"""Bytes of an answer that is read as a whole; a hundred thousand tokens are about half of one of these megabytes."""

MAX_LINE = 4 * 2**20
"""Bytes of one line of a stream, which is one token or one tool call."""

OURS = frozenset({b"accept-encoding", b"authorization", b"content-length"})
"""Headers that we write ourselves."""

FAILURES = (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)


def place(address: Address) -> dict[str, Any]:
    """Return the arguments that bind a client to one server; with a transport of ours, no proxy comes between."""
    return {"host": address.url, "timeout": None, "follow_redirects": False}


class OversizedReplyError(Exception):
    """The server sends more than any answer is long."""


class Exchange:
    """What one attempt sends, and what it learns beside the answer. Not to be shared between attempts.

    Attributes:
        deadline: Until when each step may take.
        status: The HTTP status, once there is one.
        headers: The headers of the answer, names in lower case.
    """

    def __init__(
        self, deadline: Deadline, body: Mapping[str, Any] | None = None, *, api_key: Secret | None = None
    ) -> None:
        self.deadline = deadline
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self._body = body
        self._api_key = api_key

    def outgoing(self, request: httpx.Request) -> httpcore.Request:
        """Return what goes onto the wire for a request of the client's."""
        content = b"" if self._body is None else json.dumps(self._body).encode()
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in OURS]
        headers += [(b"accept-encoding", b"identity"), (b"content-length", str(len(content)).encode())]
        if self._api_key:
            headers.append((b"authorization", f"Bearer {self._api_key.reveal()}".encode("ascii")))
        url = request.url
        return httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=headers,
            content=content,
            extensions={"timeout": dict.fromkeys(("connect", "read", "write"), self.deadline)},
        )

    def incoming(self, response: httpcore.Response, body: _Body) -> httpx.Response:
        """Return what the client gets to see of an answer."""
        self.status = response.status
        streamed = response.status == httpx.codes.OK and bool(self._body and self._body.get("stream"))
        body.limit = None if streamed else MAX_BODY
        answer = _Answer(response.status, headers=response.headers, stream=body)
        self.headers = answer.headers
        return answer


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The bytes of an answer as they come, up to a limit."""

    def __init__(self, stream: Any) -> None:
        self.limit: int | None = MAX_BODY
        self._stream = stream
        self._size = 0

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            for part in self._stream:
                yield self._counted(part)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx():
            async for part in self._stream:
                yield self._counted(part)

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _counted(self, part: bytes) -> bytes:
        self._size += len(part)
        if self.limit is not None and self._size > self.limit:
            raise OversizedReplyError
        return part


class _Answer(httpx.Response):
    """An answer that the client reads as its protocol means it."""

    def json(self, **kwargs: Any) -> Any:
        """Return the JSON value; raise the error that it tells, as the client does for a line of a stream."""
        value = super().json(**kwargs)
        if isinstance(value, dict) and value.get("error"):
            raise ollama.ResponseError(self.text, self.status_code)
        return value

    def iter_lines(self) -> Iterator[str]:
        """Yield the lines, which end with a line feed alone, blank ones left out.

        httpx also ends lines at U+0085, U+2028 and U+2029, which JSON text may hold as they are, and reads bytes
        that are no UTF-8 as if they were.
        """
        lines = _Lines()
        for part in self.iter_bytes():
            yield from lines.feed(part)
        yield from lines.feed(b"\n")

    async def aiter_lines(self) -> AsyncIterator[str]:
        """Yield the lines, as `iter_lines` does."""
        lines = _Lines()
        async for part in self.aiter_bytes():
            for line in lines.feed(part):
                yield line
        for line in lines.feed(b"\n"):
            yield line


class _Lines:
    """Bytes in, whole lines out."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, part: bytes) -> list[str]:
        *whole, self._rest = (self._rest + part).split(b"\n")
        if len(self._rest) > MAX_LINE:
            raise OversizedReplyError
        return [line.decode() for line in whole if line.strip()]


@contextmanager
def _as_httpx() -> Iterator[None]:
    """Raise the exceptions of httpcore as those of httpx that the client knows; each has a namesake there."""
    try:
        yield
    except FAILURES as exc:
        raise getattr(httpx, type(exc).__name__)(type(exc).__name__) from exc


class Transport(httpx.BaseTransport):
    """Carries one exchange over a pool of connections that others use too."""

    def __init__(self, pool: httpcore.ConnectionPool, exchange: Exchange) -> None:
        self._pool = pool
        self._exchange = exchange

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the exchange's request, and return the answer as soon as its head is there."""
        with _as_httpx():
            response = self._pool.handle_request(self._exchange.outgoing(request))
        return self._exchange.incoming(response, _Body(response.stream))


class AsyncTransport(httpx.AsyncBaseTransport):
    """Carries one exchange over the pool of the running event loop."""

    def __init__(self, pool: httpcore.AsyncConnectionPool, exchange: Exchange) -> None:
        self._pool = pool
        self._exchange = exchange

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the exchange's request, and return the answer as soon as its head is there."""
        with _as_httpx():
            response = await self._pool.handle_async_request(self._exchange.outgoing(request))
        return self._exchange.incoming(response, _Body(response.stream))
