"""The provider: four ways to call one Hugging Face instance, each within its time limits."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, cast

from kickai_providers_core import AuthenticationError
from kickai_providers_core.authoring import AttemptTimeouts, Untracked, loads, request_id_in

from kickai_hf.checks import find_settings_problems
from kickai_hf.client import TRANSPORT_ERRORS, HttpClient, is_json
from kickai_hf.endpoints import inference_endpoint
from kickai_hf.errors import error_for_failure
from kickai_hf.mapping import MAX_ANSWER_BYTES, MAX_STREAM_BYTES, StreamDecoder, create_decoder, encode_request

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    import httpx2
    from kickai_providers_core import ChatRequest, Reply, ReplyChunk
    from kickai_providers_core.authoring import HttpAttempt, HttpTransport

    from kickai_hf.mapping import Decoder
    from kickai_hf.settings import HuggingFaceSettings

__all__ = ["HuggingFace"]

MAX_CONNECTIONS = 100
"""Connections at once where ``max_concurrency`` sets no limit, as in the vendor's client."""


class HuggingFace:
    """One instance with its own connections. Safe to share between threads and event loops until it is closed.

    Args:
        settings: The instance's settings.
        transport: The connections; new ones by default.

    Raises:
        AuthenticationError: The token is missing, or would go to an address that must not get it.
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(self, settings: HuggingFaceSettings, *, transport: HttpTransport | None = None) -> None:
        errors = [str(problem) for problem in find_settings_problems(settings) if problem.severity == "error"]
        if errors:
            raise AuthenticationError("; ".join(errors))
        self._settings = settings
        self._client = HttpClient(
            inference_endpoint(settings),
            max_connections=settings.max_concurrency or MAX_CONNECTIONS,
            expose=settings.expose_service_messages,
            transport=transport,
        )

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply to a request."""
        attempt = self._start(timeout_s, is_stream=False)
        try:
            message, decoder = self._prepare(request, is_stream=False)
            with closing(self._client.send(message, attempt)) as body:
                content = b"".join(body)
            return _build_reply(decoder, content, attempt)
        except Exception as exc:  # noqa: BLE001 - every exception is mapped in one place
            error = error_for_failure(exc, attempt, self._client.endpoint)
        raise error  # outside of the handler, since the exception's frames contain the request

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the reply to a request on the running loop."""
        attempt = self._start(timeout_s, is_stream=False)
        try:
            message, decoder = self._prepare(request, is_stream=False)
            async with aclosing(await self._client.asend(message, attempt)) as body:
                content = b"".join([part async for part in body])
            return _build_reply(decoder, content, attempt)
        except Exception as exc:  # noqa: BLE001
            error = error_for_failure(exc, attempt, self._client.endpoint)
        raise error

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Yield the reply to a request in chunks. Closing the iterator closes the connection."""
        attempt = self._start(timeout_s, is_stream=True)
        try:
            message, decoder = self._prepare(request, is_stream=True)
            with closing(self._client.send(message, attempt)) as body:
                stream, parts = _open_stream(decoder, attempt), iter(body)
                while not stream.is_done:
                    try:
                        part = next(parts, b"")
                    except TRANSPORT_ERRORS as exc:
                        stream.end_early(exc)
                        break
                    for chunk in stream.feed(part):
                        yield chunk
                        attempt.timeouts.begin("idle")
                self._client.read_rest(parts, attempt)
            last, error = decoder.finish(), None
        except Exception as exc:  # noqa: BLE001
            error = error_for_failure(exc, attempt, self._client.endpoint)
        if error is not None:
            raise error
        yield last

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield the reply to a request in chunks on the running loop. Closing the iterator closes the connection."""
        attempt = self._start(timeout_s, is_stream=True)
        try:
            message, decoder = self._prepare(request, is_stream=True)
            async with (
                aclosing(await self._client.asend(message, attempt)) as body,
                aclosing(Untracked(cast("AsyncGenerator[bytes, None]", aiter(body)))) as parts,
            ):
                stream = _open_stream(decoder, attempt)
                while not stream.is_done:
                    try:
                        part = await anext(parts, b"")
                    except TRANSPORT_ERRORS as exc:
                        stream.end_early(exc)
                        break
                    for chunk in stream.feed(part):
                        yield chunk
                        attempt.timeouts.begin("idle")
                await self._client.aread_rest(parts, attempt)
            last, error = decoder.finish(), None
        except Exception as exc:  # noqa: BLE001
            error = error_for_failure(exc, attempt, self._client.endpoint)
        if error is not None:
            raise error
        yield last

    def close(self) -> None:
        """Close all connections, from a thread without a running loop."""
        self._client.close()

    async def aclose(self) -> None:
        """Close all connections, the running loop's first."""
        await self._client.aclose()

    def _start(self, timeout_s: float, *, is_stream: bool) -> HttpAttempt:
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=is_stream)
        return self._client.attempt(timeouts, MAX_STREAM_BYTES if is_stream else MAX_ANSWER_BYTES)

    def _prepare(self, request: ChatRequest, *, is_stream: bool) -> tuple[httpx2.Request, Decoder]:
        """Return the HTTP request, and a decoder for its answer.

        Raises:
            UnsupportedRequestError: The request cannot be sent to this instance.
        """
        body = encode_request(request, self._settings, is_stream=is_stream)
        return self._client.post(body), create_decoder(request, self._settings, is_stream=is_stream)


def _build_reply(decoder: Decoder, content: bytes, attempt: HttpAttempt) -> Reply:
    decoder.builder.request_id = request_id_in(attempt.headers)
    decoder.add(loads(content))
    return decoder.builder.build()


def _open_stream(decoder: Decoder, attempt: HttpAttempt) -> StreamDecoder:
    decoder.builder.request_id = request_id_in(attempt.headers)
    return StreamDecoder(decoder, is_json=is_json(attempt))
