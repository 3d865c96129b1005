"""The provider: one Ollama server, called through the ollama client."""

from __future__ import annotations

import math
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

import ollama
from kickai_providers_core import ModelNotFoundError, ProviderError
from kickai_providers_core.authoring import AttemptTimeouts, Untracked

from kickai_ollama.mapping import ReplyReader, build_body
from kickai_ollama.model_pulls import Models, Pulls
from kickai_ollama.transport import Transport, connect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    from kickai_providers_core import ChatRequest, Reply, ReplyChunk
    from kickai_providers_core.authoring import HttpTransport

    from kickai_ollama.settings import OllamaSettings

__all__ = ["OllamaProvider"]

AFTER_END_S = 1.0
"""Seconds that the end of a body may take after the last part of the answer: the answer is already whole."""


class OllamaProvider:
    """One Ollama server. Safe to share between threads and event loops; close it with `close` or `aclose`.

    Each attempt has an ollama client of its own, over connections that all attempts share. Creating a client takes some
    40 µs.

    Args:
        settings: Where the server is, and how to call it.
        connections: The connections; by default new ones to the server.
    """

    def __init__(self, settings: OllamaSettings, connections: HttpTransport | None = None) -> None:
        self._settings = settings
        self._connections = connections or connect(settings)
        self._pulls = Pulls(Models(settings, self._connections))

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer, or raise a typed error, within ``timeout_s`` seconds."""
        call = self._start(request, timeout_s, stream=False)
        try:
            with ollama.Client(**call.transport.client_options) as client:
                return call.answer.build(client.chat(call.model, stream=False))
        except Exception as exc:  # noqa: BLE001  whatever the client raises becomes a typed error
            error = self._build_error(exc, call)
        raise error  # outside of the handler: the client's exception contains the answer, and must not be the context

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer without blocking the loop; cancelling closes the connection."""
        call = self._start(request, timeout_s, stream=False)
        try:
            async with ollama.AsyncClient(**call.transport.client_options) as client:
                return call.answer.build(await client.chat(call.model, stream=False))
        except Exception as exc:  # noqa: BLE001  as above
            error = self._build_error(exc, call)
        raise error

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Yield the answer as it arrives; closing the iterator closes the connection."""
        call = self._start(request, timeout_s, stream=True)
        error = None
        try:
            with (
                ollama.Client(**call.transport.client_options) as client,
                closing(cast("Generator[Any]", client.chat(call.model, stream=True))) as parts,
            ):
                for part in parts:
                    yield call.answer.add(part)
                    call.await_next()
        except Exception as exc:  # noqa: BLE001  as above
            error = self._find_stream_error(exc, call)
        if error is not None:
            raise error
        yield call.answer.build_last_chunk()

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield the answer as it arrives, without blocking the loop; closing the iterator closes the connection."""
        call = self._start(request, timeout_s, stream=True)
        error = None
        try:
            async with (
                ollama.AsyncClient(**call.transport.client_options) as client,
                aclosing(Untracked(cast("AsyncGenerator[Any]", await client.chat(call.model, stream=True)))) as parts,
            ):
                async for part in parts:
                    yield call.answer.add(part)
                    call.await_next()
        except Exception as exc:  # noqa: BLE001  as above
            error = self._find_stream_error(exc, call)
        if error is not None:
            raise error
        yield call.answer.build_last_chunk()

    def close(self) -> None:
        """Close all connections; whatever uses them ends."""
        self._connections.close()

    async def aclose(self) -> None:
        """Close all connections; whatever uses them ends."""
        await self._connections.aclose()

    def _start(self, request: ChatRequest, timeout_s: float, *, stream: bool) -> _Call:
        """Return a new call.

        Raises:
            ModelNotFoundError: Neither the request nor the settings name a model.
            UnsupportedRequestError: Ollama does not accept the request.
        """
        model = request.model or self._settings.model
        if not model:
            raise ModelNotFoundError("no model is set: write the target as ollama:MODEL, or set model")
        body = build_body(request, self._settings, model, stream=stream)
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=stream)
        transport = Transport(self._connections, self._settings, timeouts, model=model, body=body)
        return _Call(model, ReplyReader(request, transport.call_ids), transport)

    def _build_error(self, exc: Exception, call: _Call) -> ProviderError:
        if call.transport.lacks_model and self._settings.pull:
            return self._pulls.start(call.model)
        return call.transport.error_for(exc)

    def _find_stream_error(self, exc: Exception, call: _Call) -> ProviderError | None:
        """Return the error of a stream that failed; None when the connection failed after a whole answer."""
        return None if call.answer.is_done and call.transport.is_broken else self._build_error(exc, call)


class _Call:
    """One attempt. Not to be shared."""

    def __init__(self, model: str, answer: ReplyReader, transport: Transport) -> None:
        self.model = model
        self.answer = answer
        self.transport = transport

    def await_next(self) -> None:
        """Start the time limit of the next part, or of the end of the body after the last part."""
        self.transport.timeouts.begin("idle", at_most_s=AFTER_END_S if self.answer.is_done else math.inf)
