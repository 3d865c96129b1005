"""One request to the service and the reading of its response, in sync code and on an event loop.

Posts the documented protocol on the provider's own connections. Everything read is bounded in size after decompression,
and in time between any two pieces.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import httpcore2
import httpx2
from huggingface_hub import constants
from kickai_providers_core import InvalidReplyError, ProviderUnavailableError, UnusableProviderError
from kickai_providers_core.authoring import EventStreamDecoder, loads
from kickai_providers_core.authoring.limits import MAX_ERROR_BYTES, Decompressor

from kickai_hf import unhooked, verdicts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Iterator

    from kickai_providers_core import ProviderError
    from kickai_providers_core.authoring import ServerSentEvent

    from kickai_hf.patience import Patience
    from kickai_hf.wire import Requests

__all__ = ["END", "TRANSPORT_ERRORS", "AsyncCall", "LoopConnections", "SyncCall"]

END: Any = object()
"""What is read when a stream has no more documents."""

TRANSPORT_ERRORS = (
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProtocolError,
    httpcore2.ProxyError,
    TimeoutError,
)
"""How a connection fails."""

DONE = "[DONE]"
"""What ends a stream of server-sent events in OpenAI's API."""

MAX_ANSWER_BYTES = 8 * 2**20
"""The most that an answer may have: ten times what the longest of today's models needs (128,000 tokens of 6 bytes)."""

MAX_EVENT_BYTES = 2**20
"""The most that one event may have: it carries a token, or the arguments of a tool call at most."""

MAX_STREAM_BYTES = 2**26
"""The most that a stream may have: 128,000 tokens, the longest of today's answers, in events of 512 bytes each."""

ERROR_BODY_S = 1.0
"""How long an error's body is waited for: the status says most of it."""

LEFTOVER_S = 0.05
"""How long the end of a stream's HTTP message is waited for after its last event, so that the connection can serve
again; it usually came with that event. Only with TLS, where a connection is expensive: llama.cpp closes it after a
stream without saying so, and the next request would be lost on it."""

TURN_S = 0.005
"""How long reading may keep the event loop before other tasks get their turn."""


class _Call:
    """What one call has besides its transport: its request, its response and its bounds."""

    def __init__(self, requests: Requests, patience: Patience) -> None:
        self._requests = requests
        self._patience = patience
        self._events = _Events()
        self._is_foreign = False
        self.response: httpcore2.Response | None = None
        self.headers = httpx2.Headers()

    @property
    def answering(self) -> bool:
        """Whether the service has begun to answer, and not with an error."""
        return self.response is not None and not self._is_foreign and _is_success(self.response)

    @property
    def is_within_event(self) -> bool:
        """Whether a stream is in the middle of an event."""
        return self._events.is_within_event

    @property
    def request_id(self) -> str | None:
        """The service's name for the request."""
        return verdicts.request_id(self.headers)

    @property
    def is_json(self) -> bool:
        """Whether the response is one JSON document."""
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == "application/json" or kind.endswith("+json")

    def _post(self, body: bytes) -> httpcore2.Request:
        if self._requests.public and constants.HF_HUB_OFFLINE:
            raise UnusableProviderError(
                "HF_HUB_OFFLINE is set, which forbids requests to Hugging Face: unset it, or set base_url"
            )
        return self._requests.post(body, self._patience.timeouts)

    def _begin(self, response: httpcore2.Response) -> None:
        self.response = response
        self.headers = httpx2.Headers(response.headers)
        stream = response.extensions.get("network_stream")
        if not getattr(stream, "has_read", True):
            # It was in the buffer before the request was sent: what follows belongs to another one.
            self._is_foreign = True
            raise ProviderUnavailableError("the service sent an answer before it had the request")

    def _refused(self, body: bytes) -> ProviderError:
        assert self.response is not None  # noqa: S101 - for the type checker
        requests = self._requests
        return verdicts.from_response(
            self.response.status, self.headers, body, anonymous=requests.anonymous, expose=requests.expose
        )

    def _decompressor(self, limit_bytes: int) -> Decompressor:
        return Decompressor(self.headers.get("content-encoding", ""), limit_bytes=limit_bytes)

    def _check_time(self) -> None:
        if self._patience.wait.left() <= 0:
            raise httpcore2.ReadTimeout("the time is over")


class _Events:
    """The documents of one stream, out of its bytes."""

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder(max_event_bytes=MAX_EVENT_BYTES)
        self.done = False

    @property
    def is_within_event(self) -> bool:
        """Whether an event has begun that no empty line has ended yet."""
        return self._decoder.is_unfinished

    def feed(self, data: bytes) -> Iterator[Any]:
        """Take bytes; yield the document of each event that is whole now, up to the end of the stream.

        Raises:
            InvalidReplyError: An event is too large, or is not JSON.
        """
        return self._documents(self._decoder.feed(data))

    def finish(self) -> Iterator[Any]:
        """Yield the document of a last event that no empty line ends: it may be a part of the answer."""
        return self._documents(self._decoder.feed(b"\n\n"))

    def _documents(self, events: Iterable[ServerSentEvent]) -> Iterator[Any]:
        for event in events:
            if self.done:
                return
            data = event.data.strip()
            if data == DONE:
                self.done = True
                return
            if not data:  # an event that holds nothing, as some servers send to keep a connection open
                continue
            if event.event == "error":
                raise verdicts.from_event(event.data)
            yield loads(event.data)


def _is_success(response: httpcore2.Response) -> bool:
    return 200 <= response.status < 300  # noqa: PLR2004 - HTTP's successes


class SyncCall(_Call):
    """One call that blocks its thread. Used by one thread at a time."""

    def __init__(self, requests: Requests, patience: Patience, transport: httpcore2.ConnectionPool) -> None:
        super().__init__(requests, patience)
        self._transport = transport

    def post(self, body: bytes) -> None:
        """Send the request and wait for the head of its response.

        Raises:
            ProviderError: The service refuses.
        """
        self._send(self._post(body))

    def get(self, path: str) -> None:
        """Request what is at a path below the route's address; otherwise as `post`."""
        self._send(self._requests.get(path, self._patience.timeouts))

    def _send(self, request: httpcore2.Request) -> None:
        self._begin(self._transport.handle_request(request))
        if not self.answering:
            raise self._refused(self._error_body())

    def document(self, limit_bytes: int = MAX_ANSWER_BYTES) -> Any:
        """Return the whole answer.

        Args:
            limit_bytes: The largest answer that is read, decompressed.

        Raises:
            InvalidReplyError: It is not JSON, or too large.
        """
        return loads(b"".join(self._parts(limit_bytes)))

    def events(self) -> Generator[Any, None, None]:
        """Yield the documents of a stream; a server that ignores ``stream`` answers with one.

        Raises:
            ProviderError: The service reports an error within the stream.
        """
        if self.is_json:
            yield self.document()
            return
        events = self._events
        parts = self._parts(MAX_STREAM_BYTES)
        for part in parts:
            yield from events.feed(part)
            if events.done:
                self._finish(parts)
                return
        yield from events.finish()

    def _parts(self, limit_bytes: int) -> Iterator[bytes]:
        """Yield the decompressed body in small pieces, looking at the clock before each."""
        assert self.response is not None  # noqa: S101 - for the type checker
        unpacker = self._decompressor(limit_bytes)
        for raw in self.response.iter_stream():
            for part in unpacker.feed(raw):
                self._check_time()
                yield part
            self._check_time()
        unpacker.finish()

    def _error_body(self) -> bytes:
        self._patience.hurry(ERROR_BODY_S)
        body = bytearray()
        with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
            for part in self._parts(MAX_ERROR_BYTES):
                body += part
        return bytes(body)

    def _finish(self, parts: Iterator[bytes]) -> None:
        if not self._requests.encrypted:
            return
        self._patience.hurry(LEFTOVER_S)
        with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
            for _ in parts:
                pass

    def close(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        if self.response is not None:
            self.response.close()


class LoopConnections:
    """The connections of one event loop, and the calls that are under way on them.

    Attributes:
        pool: The connections.
        calls: The calls that nobody has closed yet.
    """

    def __init__(self, pool: httpcore2.AsyncConnectionPool) -> None:
        self.pool = pool
        self.calls: set[AsyncCall] = set()

    async def aclose(self) -> None:
        """Close all connections, those of streams that were dropped half-way too."""
        for call in tuple(self.calls):
            with suppress(Exception):  # the others are closed all the same
                await call.aclose()
        await self.pool.aclose()


class AsyncCall(_Call):
    """One call on the running event loop; the caller bounds it in time, and closes it."""

    def __init__(self, requests: Requests, patience: Patience, connections: LoopConnections) -> None:
        super().__init__(requests, patience)
        self._connections = connections
        self._raws: AsyncGenerator[bytes, None] | None = None
        self._unpacker: Decompressor | None = None
        self._parts: Iterator[bytes] = iter(())
        self._documents: Iterator[Any] = iter(())
        self._turn_ends = time.monotonic() + TURN_S

    async def post(self, body: bytes) -> None:
        """Send the request and wait for the head of its response.

        Raises:
            ProviderError: The service refuses.
        """
        self._connections.calls.add(self)
        self._begin(await self._connections.pool.handle_async_request(self._post(body)))
        if not self.answering:
            raise self._refused(await self._error_body())

    async def document(self) -> Any:
        """Return the whole answer.

        Raises:
            InvalidReplyError: It is not JSON, or too large.
        """
        body = bytearray()
        while part := await self._part(MAX_ANSWER_BYTES):
            body += part
        return loads(body)

    async def next_document(self) -> Any:
        """Return the next document of a stream, or `END`; otherwise as `SyncCall.events`."""
        while True:
            for document in self._documents:
                return document
            if self._events.done:
                return END
            if self.is_json:
                self._events.done = True
                return await self.document()
            part = await self._part(MAX_STREAM_BYTES)
            self._documents = self._events.feed(part) if part else self._events.finish()
            if not part:
                return next(self._documents, END)

    async def _part(self, limit_bytes: int) -> bytes:
        """Return the next small piece of the decompressed body, empty at its end; let other tasks have their turn."""
        if self._unpacker is None:
            self._unpacker = self._decompressor(limit_bytes)
        if time.monotonic() > self._turn_ends:
            await asyncio.sleep(0)
            self._turn_ends = time.monotonic() + TURN_S
        while True:
            for part in self._parts:
                return part
            raw = await self._raw()
            if raw is None:
                return b""
            self._parts = self._unpacker.feed(raw)

    async def _raw(self) -> bytes | None:
        """Return the next bytes of the body as they were sent; None at its end."""
        if self._raws is None:
            assert self.response is not None  # noqa: S101 - for the type checker
            raws = self._raws = cast("AsyncGenerator[bytes, None]", aiter(cast("Any", self.response.stream)))
            raw = await unhooked.start(raws)
        else:
            raw = await anext(self._raws, None)
        if raw is None and self._unpacker is not None:
            self._unpacker.finish()
        return raw

    async def _error_body(self) -> bytes:
        body = bytearray()
        with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
            async with asyncio.timeout(ERROR_BODY_S):
                while part := await self._part(MAX_ERROR_BYTES):
                    body += part
        return bytes(body)

    async def _finish(self) -> None:
        """Read the end of a stream's HTTP message, so that its connection can serve again."""
        with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
            async with asyncio.timeout(LEFTOVER_S):
                while await self._part(MAX_STREAM_BYTES):
                    pass

    async def aclose(self) -> None:
        """Give the connection back, or close it when something is still to come on it."""
        self._connections.calls.discard(self)
        if self.response is None:
            return
        try:
            if self._events.done and self._requests.encrypted:
                await self._finish()
        finally:
            raws, self._raws = self._raws, None
            try:
                if raws is not None:
                    await raws.aclose()
            finally:
                await self.response.aclose()
