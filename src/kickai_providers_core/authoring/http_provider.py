"""A provider over HTTP, native in all four modes: a subclass writes requests and reads the documents of answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.async_generators import Untracked
from kickai_providers_core.authoring.errors_from_responses import request_id_in
from kickai_providers_core.authoring.response_documents import MAX_DOCUMENT_BYTES, MAX_STREAM_BYTES, DocumentStream
from kickai_providers_core.authoring.strict_json import loads
from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts
from kickai_providers_core.values.errors import ProviderError, UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kickai_providers_core.authoring.http_service import HttpService
    from kickai_providers_core.authoring.http_transport import HttpAttempt
    from kickai_providers_core.authoring.response_documents import DocumentDecoder
    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.replies import Reply, ReplyChunk
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["HttpProvider"]


class HttpProvider(ABC):
    """One instance with its own connections: one request to one address for each call.

    Answers are JSON documents, or server-sent events with them when a stream is requested. Each attempt ends within its
    time limits, and closes its connection when it is cancelled or its iterator is closed. Safe to share between threads
    and event loops until it is closed.

    Args:
        service: Where the requests go.
        settings: The instance's settings, with the time limits.
    """

    def __init__(self, service: HttpService, settings: ProviderSettings) -> None:
        self._service = service
        self._settings = settings

    @abstractmethod
    def encode(self, request: ChatRequest, *, is_stream: bool) -> bytes:
        """Return the body of the HTTP request.

        Raises:
            UnsupportedRequestError: The request cannot be sent to this instance.
        """

    @abstractmethod
    def create_decoder(self, request: ChatRequest, *, is_stream: bool) -> DocumentDecoder:
        """Return a decoder for the answer, such as a `openai_chat.ChatDecoder`."""

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply to a request."""
        attempt = self._start(timeout_s, is_stream=False)
        try:
            message, decoder = self._prepare(request, is_stream=False)
            with closing(self._service.send(message, attempt)) as body:
                content = b"".join(body)
            return _build_reply(decoder, content, attempt)
        except Exception as exc:  # noqa: BLE001 - every exception is mapped in one place
            error = self._service.error_for(exc, attempt)
        raise error  # outside of the handler, since the exception's frames contain the request

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply to a request on the running loop."""
        attempt = self._start(timeout_s, is_stream=False)
        try:
            message, decoder = self._prepare(request, is_stream=False)
            async with aclosing(await self._service.asend(message, attempt)) as body:
                content = b"".join([part async for part in body])
            return _build_reply(decoder, content, attempt)
        except Exception as exc:  # noqa: BLE001
            error = self._service.error_for(exc, attempt)
        raise error

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Yield the reply to a request in chunks. Closing the iterator closes the connection."""
        attempt = self._start(timeout_s, is_stream=True)
        try:
            message, decoder = self._prepare(request, is_stream=True)
            with closing(self._service.send(message, attempt)) as body:
                stream, parts = _open_stream(decoder, attempt), iter(body)
                while not stream.is_done:
                    try:
                        part = next(parts, b"")
                    except self._service.transport_errors as exc:
                        stream.end_early(exc)
                        break
                    for chunk in stream.feed(part):
                        yield chunk
                        attempt.timeouts.begin("idle")
                self._service.read_rest(parts, attempt)
            last, error = decoder.finish(), None
        except Exception as exc:  # noqa: BLE001
            error = self._service.error_for(exc, attempt)
        if error is not None:
            raise error
        yield last

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield the reply to a request in chunks on the running loop. Closing the iterator closes the connection."""
        attempt = self._start(timeout_s, is_stream=True)
        try:
            message, decoder = self._prepare(request, is_stream=True)
            async with aclosing(await self._service.asend(message, attempt)) as body:
                parts: Any = aiter(body)
                async with aclosing(Untracked(parts)):
                    stream = _open_stream(decoder, attempt)
                    while not stream.is_done:
                        try:
                            part = await anext(parts, b"")
                        except self._service.transport_errors as exc:
                            stream.end_early(exc)
                            break
                        for chunk in stream.feed(part):
                            yield chunk
                            attempt.timeouts.begin("idle")
                    await self._service.aread_rest(parts, attempt)
            last, error = decoder.finish(), None
        except Exception as exc:  # noqa: BLE001
            error = self._service.error_for(exc, attempt)
        if error is not None:
            raise error
        yield last

    def close(self) -> None:
        """Close all connections, from a thread without a running loop."""
        self._service.close()

    async def aclose(self) -> None:
        """Close all connections, the running loop's first."""
        await self._service.aclose()

    def _start(self, timeout_s: float, *, is_stream: bool) -> HttpAttempt:
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=is_stream)
        return self._service.attempt(timeouts, MAX_STREAM_BYTES if is_stream else MAX_DOCUMENT_BYTES)

    def _prepare(self, request: ChatRequest, *, is_stream: bool) -> tuple[Any, DocumentDecoder]:
        """Return the HTTP request, and a decoder for its answer.

        Raises:
            UnsupportedRequestError: The request cannot be sent to this instance. It has no cause, whose text and frames
                would contain the prompt.
        """
        try:
            body = self.encode(request, is_stream=is_stream)
            return self._service.post(body), self.create_decoder(request, is_stream=is_stream)
        except ProviderError:
            raise
        except Exception as exc:  # noqa: BLE001 - nothing was sent, so no answer is to blame
            name = type(exc).__name__
        raise UnsupportedRequestError(f"the request cannot be written for this service ({name})")


def _build_reply(decoder: DocumentDecoder, content: bytes, attempt: HttpAttempt) -> Reply:
    decoder.builder.request_id = request_id_in(attempt.headers)
    decoder.add(loads(content))
    return decoder.builder.build()


def _open_stream(decoder: DocumentDecoder, attempt: HttpAttempt) -> DocumentStream:
    decoder.builder.request_id = request_id_in(attempt.headers)
    kind = attempt.headers.get("content-type", "").partition(";")[0].strip().lower()
    return DocumentStream(decoder, is_json=kind == "application/json" or kind.endswith("+json"))
