"""What the ollama client sends and reads, corrected in an httpx transport below it.

The transport

* sends our body in place of the client's: the client's types drop parts of a request (of a tool's schema they keep
  ``type``, ``description`` and ``enum``, and they know neither tool-call ids nor ``truncate``);
* sends the key of the settings and no other: the client sends ``OLLAMA_API_KEY`` to any host;
* raises the errors of the server itself, since the client's errors lack the headers;
* reads JSON strictly, and gives the client what it can parse.
"""

from __future__ import annotations

import json
import os
from collections import deque
from typing import TYPE_CHECKING, Any

import httpx
from kickai_providers_core.authoring import ajson_lines, dump_bytes, http_transport, json_lines, loads
from kickai_providers_core.authoring.loop_pauses import Pauses
from kickai_providers_core.authoring.size_limits import MAX_ANSWER_BYTES

from kickai_ollama.address import CERTIFICATE_VARIABLES
from kickai_ollama.corrections import Corrections
from kickai_ollama.errors import error_for_exception, error_for_refusal, says_missing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kickai_providers_core import ProviderError
    from kickai_providers_core.authoring import AttemptTimeouts, HttpTransport

    from kickai_ollama.settings import OllamaSettings

__all__ = ["Transport", "connect"]

MAX_STREAM_BYTES = 256 * 2**20
"""Bytes of a stream, decompressed: a hundred thousand tokens take some 15 megabytes."""


def connect(settings: OllamaSettings) -> HttpTransport:
    """Return the connections to a server; none is made yet.

    Raises:
        UnusableProviderError: The trusted certificates cannot be loaded; the message names the variable.
    """
    environ = {name: os.environ.get(name, "") for name in CERTIFICATE_VARIABLES}
    return http_transport(settings.address.url, environ=environ)


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Carries one request of the ollama client. Not to be shared between attempts.

    Args:
        connections: The connections to the server.
        settings: Where the server is, and its key.
        timeouts: The time limits of the attempt.
        model: The model, for messages.
        body: What to send; None to send no body.

    Attributes:
        timeouts: The time limits of the attempt.
        lacks_model: Whether the server has said that it does not have the model.
        call_ids: The ids of the tool calls that have arrived, oldest first; None where the server sent none.

    Raises:
        UnsupportedRequestError: The body cannot be written as JSON.
    """

    def __init__(
        self,
        connections: HttpTransport,
        settings: OllamaSettings,
        timeouts: AttemptTimeouts,
        *,
        model: str = "",
        body: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = settings
        self._model = model
        self._content = b"" if body is None else dump_bytes(body)
        self._is_stream = body is not None and bool(body.get("stream"))
        self._attempt = connections.attempt(
            timeouts, max_answer_bytes=MAX_STREAM_BYTES if self._is_stream else MAX_ANSWER_BYTES
        )
        self.timeouts = timeouts
        self.lacks_model = False
        self.call_ids: deque[object] = deque()

    @property
    def client_options(self) -> dict[str, Any]:
        """The arguments of an ollama client that uses this transport."""
        return {"host": self._settings.address.url, "transport": self, "timeout": None, "follow_redirects": False}

    @property
    def is_broken(self) -> bool:
        """Whether the connection failed."""
        return self._attempt.failure is not None

    def error_for(self, exc: Exception) -> ProviderError:
        """Return the error for what the ollama client raised, without its traceback: the frames contain the prompt."""
        error = error_for_exception(exc, self._attempt, self._settings)
        error.__context__ = None
        return error.with_traceback(None)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send our request, and return the answer as soon as its head is there."""
        response = self._attempt.handle_request(self._replace(request))
        if response.is_success:
            return httpx.Response(response.status_code, stream=_Answer(self, response.stream))
        response.read()
        raise self.build_refusal_error(response.content)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send our request, and return the answer as soon as its head is there."""
        response = await self._attempt.handle_async_request(self._replace(request))
        if response.is_success:
            return httpx.Response(response.status_code, stream=_Answer(self, response.stream))
        await response.aread()
        raise self.build_refusal_error(response.content)

    def build_refusal_error(self, body: object) -> ProviderError:
        """Return the error that the server reports in a body."""
        self.lacks_model = says_missing(body)
        return error_for_refusal(self._attempt, body, settings=self._settings, model=self._model)

    def read_values(self, chunks: Iterator[bytes]) -> Iterator[Any]:
        """Yield the JSON values of an answer: one, or one for each line of a stream."""
        if self._is_stream:
            yield from json_lines(chunks)
        else:
            yield loads(b"".join(chunks))

    async def aread_values(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[Any]:
        """Yield the JSON values of an answer, and let other tasks run in between."""
        if self._is_stream:
            async for value in ajson_lines(chunks):
                yield value
        else:
            yield loads(b"".join([chunk async for chunk in chunks]))

    def _replace(self, request: httpx.Request) -> httpx.Request:
        headers = {name: value for name, value in request.headers.items() if name not in {"authorization", "host"}}
        headers["content-length"] = str(len(self._content))
        key = self._settings.sendable_key
        if key:
            headers["authorization"] = f"Bearer {key.reveal()}"
        return httpx.Request(request.method, request.url, headers=headers, content=self._content)


class _Unclosable:
    """An iterator without ``aclose``: `_Answer.aclose` closes the connection.

    The ollama client drops its generators instead of closing them, and a dropped generator cannot await the end of the
    next one.
    """

    def __init__(self, items: AsyncIterator[bytes]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._items)


class _Answer(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of an answer in lines of plain ASCII, as the client reads them.

    httpx also ends lines at U+0085, U+2028 and U+2029, which JSON text may contain.
    """

    def __init__(self, transport: Transport, stream: Any) -> None:
        self._transport = transport
        self._stream = stream
        self._corrections = Corrections(transport.call_ids)

    def __iter__(self) -> Iterator[bytes]:
        for value in self._transport.read_values(iter(self._stream)):
            yield self._encode_line(value)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pauses = Pauses()
        async for value in self._transport.aread_values(_Unclosable(aiter(self._stream))):
            yield self._encode_line(value)
            await pauses.pause()

    def close(self) -> None:
        self._stream.close()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def _encode_line(self, value: Any) -> bytes:
        if isinstance(value, dict) and value.get("error"):
            raise self._transport.build_refusal_error(value)
        return json.dumps(self._corrections.apply(value), separators=(",", ":")).encode("ascii") + b"\n"
