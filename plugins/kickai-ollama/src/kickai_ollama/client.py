"""The provider: one Ollama server, asked through the ollama client."""

from __future__ import annotations

import math
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

import ollama
from kickai_providers_core import ModelNotFoundError, ProviderError, ReplyChunk
from kickai_providers_core.authoring import AttemptTimeouts, Untracked

from kickai_ollama.exchange import AsyncTransport, Exchange, Transport, place
from kickai_ollama.failures import Scene, says_missing, translate
from kickai_ollama.library import Library
from kickai_ollama.mapping import Answer, body_of, omissions
from kickai_ollama.pools import Pools
from kickai_ollama.pulls import Pulls

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    from kickai_providers_core import ChatRequest, Reply

    from kickai_ollama.settings import OllamaSettings

__all__ = ["OllamaProvider"]

AFTER_END_S = 1.0
"""How long the end of a body may take after the part that says it is the last: the answer is whole already."""


class OllamaProvider:
    """One Ollama server. Safe to share between threads and event loops; close it with `close` or `aclose`.

    Each attempt has an ollama client of its own, bound to the attempt's deadline, over connections that all share: a
    client costs some 40 µs, and nothing of one attempt can be seen by another.

    Args:
        settings: Where the server is and how it is asked.
        pools: The connections; by default real ones.
    """

    def __init__(self, settings: OllamaSettings, pools: Pools | None = None) -> None:
        self._settings = settings
        self._place = place(settings.address)
        self._pools = pools or Pools(settings.address)
        self._pulls = Pulls(Library(settings, self._pools))

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer, or raise a typed error, within ``timeout_s``."""
        call = _Call(self._settings, request, timeout_s, stream=False)
        try:
            with ollama.Client(transport=Transport(self._pools.blocking, call.exchange), **self._place) as client:
                return call.answer.whole(client.chat(call.model, stream=False))
        except Exception as exc:  # noqa: BLE001  whatever the client raises is translated, in one place
            error = self._error(exc, call)
        raise error  # outside the handler: the client's exception holds the answer and is not to be our context

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Return the answer without blocking the loop; cancelling closes the connection."""
        call = _Call(self._settings, request, timeout_s, stream=False)
        try:
            transport = AsyncTransport(await self._pools.per_loop.current(), call.exchange)
            async with ollama.AsyncClient(transport=transport, **self._place) as client:
                return call.answer.whole(await client.chat(call.model, stream=False))
        except Exception as exc:  # noqa: BLE001
            error = self._error(exc, call)
        raise error

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Yield the answer as it comes; closing the iterator closes the connection."""
        call = _Call(self._settings, request, timeout_s, stream=True)
        try:
            with (
                ollama.Client(transport=Transport(self._pools.blocking, call.exchange), **self._place) as client,
                closing(cast("Generator[Any]", client.chat(call.model, stream=True))) as parts,
            ):
                for part in parts:
                    yield call.answer.add(part)
                    call.waits()
            last, error = call.answer.end(), None
        except Exception as exc:  # noqa: BLE001
            last, error = self._end(exc, call)
        if error is not None:
            raise error
        yield last

    async def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Yield the answer as it comes, without blocking the loop; closing the iterator closes the connection."""
        call = _Call(self._settings, request, timeout_s, stream=True)
        try:
            transport = AsyncTransport(await self._pools.per_loop.current(), call.exchange)
            async with (
                ollama.AsyncClient(transport=transport, **self._place) as client,
                aclosing(Untracked(cast("AsyncGenerator[Any]", await client.chat(call.model, stream=True)))) as parts,
            ):
                async for part in parts:
                    yield call.answer.add(part)
                    call.waits()
            last, error = call.answer.end(), None
        except Exception as exc:  # noqa: BLE001
            last, error = self._end(exc, call)
        if error is not None:
            raise error
        yield last

    def close(self) -> None:
        """Close all connections, which ends whatever runs over them."""
        self._pools.close()

    async def aclose(self) -> None:
        """Close all connections, which ends whatever runs over them."""
        await self._pools.aclose()

    def _end(self, exc: Exception, call: _Call) -> tuple[ReplyChunk, ProviderError | None]:
        """Return the last chunk of a stream that failed, and its error; an answer that was whole before has none."""
        error = self._error(exc, call)
        if call.answer.is_done and call.exchange.failure is not None:
            try:
                return call.answer.end(), None
            except ProviderError as empty:
                error = empty.with_traceback(None)
        return ReplyChunk(text=""), error

    def _error(self, exc: Exception, call: _Call) -> ProviderError:
        if self._settings.pull and says_missing(exc):
            return self._pulls.start(call.model)
        error = translate(exc, Scene.of(self._settings, call.model, call.exchange))
        # Without the frames it came through: they hold the prompt.
        return error.with_traceback(None)


class _Call:
    """One attempt: what it asks for, and until when. Not to be shared.

    Raises:
        ModelNotFoundError: Neither the request nor the settings name a model.
        UnsupportedRequestError: Ollama cannot be sent this request.
    """

    def __init__(self, settings: OllamaSettings, request: ChatRequest, timeout_s: float, *, stream: bool) -> None:
        model = request.model or settings.model
        if not model:
            raise ModelNotFoundError("no model is named: write a target as ollama:MODEL, or set model")
        self.model = model
        self.answer = Answer(omitted=omissions(request), schema=request.json_schema)
        self.exchange = Exchange(
            AttemptTimeouts.from_settings(settings, timeout_s, is_stream=stream),
            body_of(request, settings, model, stream=stream),
            api_key=settings.sendable_key,
        )

    def waits(self) -> None:
        """Start the time that the next chunk may take, or the end of the body after the last one."""
        self.exchange.timeouts.begin("idle", at_most_s=AFTER_END_S if self.answer.is_done else math.inf)
