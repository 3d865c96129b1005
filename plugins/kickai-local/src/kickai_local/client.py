"""The provider: four ways to ask the model's process."""

from __future__ import annotations

import asyncio
import socket
from contextlib import closing, contextmanager
from copy import copy
from typing import TYPE_CHECKING, Self

from kickai_providers_core import FinishReason, ModelNotFoundError, ProviderError, Reply, ReplyChunk

from kickai_local import checks, mapping
from kickai_local.patience import Patience
from kickai_local.runtime import Runtime
from kickai_local.sealed import Sealed
from kickai_local.wire import Exchange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from kickai_providers_core import ChatRequest

    from kickai_local.process import Address
    from kickai_local.settings import LocalSettings

__all__ = ["LocalProvider"]

PIECE = 65536
"""Bytes to read at once; an event has a few hundred."""


class LocalProvider:
    """One local model.

    Every call has a connection of its own, and dropping the call closes it: that is how llama.cpp learns that nobody
    waits any more. Safe to share between threads and event loops.

    Args:
        settings: The instance's own.
        runtime: Where the model is served; closed with the provider.
    """

    def __init__(self, settings: LocalSettings, runtime: Runtime) -> None:
        self._settings = settings
        self._runtime = runtime

    @classmethod
    def of(cls, settings: LocalSettings) -> Self:
        """Return the provider for the model that the settings mean; the first call loads it.

        Raises:
            ModelNotFoundError: They mean none, and none is installed.
        """
        file = checks.model_file(settings)
        if file is None:
            raise ModelNotFoundError("there is no model file")
        return cls(settings, Runtime(file, settings))

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request; return or raise within ``timeout_s``."""
        return _whole(self._chunks(request, Patience(self._settings, timeout_s, streaming=False)))

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        """Answer a request without blocking the event loop."""
        patience = Patience(self._settings, timeout_s, streaming=False)
        return _whole([chunk async for chunk in self._achunks(request, patience)])

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        """Answer a request piece by piece; each piece comes, or an error, within its bounds."""
        return self._chunks(request, Patience(self._settings, timeout_s, streaming=True))

    def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer a request piece by piece without blocking the event loop."""
        return self._achunks(request, Patience(self._settings, timeout_s, streaming=True))

    def close(self) -> None:
        """End the model's process, and every call that is under way."""
        self._runtime.close()

    def _chunks(self, request: ChatRequest, patience: Patience) -> Iterator[ReplyChunk]:
        answer, body = self._prepared(request)
        with patience.translating():
            address = _known(self._runtime.address().result(patience.wait_s()))
            exchange = Exchange(address.key, body)
            with self._mourning(address), closing(socket.socket(address.family)) as connection:
                connection.settimeout(patience.wait_s())
                connection.connect(address.place)
                patience.connected()
                connection.settimeout(patience.wait_s())
                connection.sendall(exchange.opening)
                while not exchange.over:
                    connection.settimeout(patience.wait_s())
                    for text in answer.texts(exchange.receive(Sealed(connection.recv(PIECE)))):
                        yield ReplyChunk(text=text)
                        patience.heard()
        yield answer.end()

    async def _achunks(self, request: ChatRequest, patience: Patience) -> AsyncIterator[ReplyChunk]:
        answer, body = self._prepared(request)
        loop = asyncio.get_running_loop()
        with patience.translating():
            async with asyncio.timeout(patience.wait_s()):
                address = _known(await asyncio.wrap_future(self._runtime.address()))
            exchange = Exchange(address.key, body)
            with self._mourning(address), closing(socket.socket(address.family)) as connection:
                connection.settimeout(0)  # the loop does the waiting
                async with asyncio.timeout(patience.wait_s()):
                    await loop.sock_connect(connection, address.place)
                patience.connected()
                async with asyncio.timeout(patience.wait_s()):
                    await loop.sock_sendall(connection, exchange.opening)
                while not exchange.over:
                    async with asyncio.timeout(patience.wait_s()):
                        received = Sealed(await loop.sock_recv(connection, PIECE))
                    await asyncio.sleep(0)  # what is there already is received without a pause
                    for text in answer.texts(exchange.receive(received)):
                        yield ReplyChunk(text=text)
                        patience.heard()
        yield answer.end()

    def _prepared(self, request: ChatRequest) -> tuple[mapping.Answer, Sealed]:
        """Return how the answer is to be read, and what to send."""
        served = self._runtime.name
        if request.model not in (None, self._settings.model, served):
            raise ModelNotFoundError(f"this instance serves {served} only")
        most = self._settings.max_tokens
        wanted = request.max_tokens or most
        omitted = ("max_tokens",) if wanted > most else ()
        max_tokens = min(wanted, most)
        answer = mapping.Answer(served, max_tokens, omitted, schema=request.json_schema)
        return answer, mapping.body(request, max_tokens)

    @contextmanager
    def _mourning(self, address: Address) -> Iterator[None]:
        """Give up a process that hangs up or is not there: it has died, or is of no use."""
        try:
            yield
        except (ConnectionError, FileNotFoundError):
            self._runtime.abandon(address)
            raise


def _known(address: Address | ProviderError) -> Address:
    """Return the address, or raise why there is none: an error of its own for each of those who wait for it."""
    if isinstance(address, ProviderError):
        raise copy(address)
    return address


def _whole(chunks: Iterable[ReplyChunk]) -> Reply:
    """Return the reply that a whole stream makes up; its last chunk tells all but the text."""
    chunks = tuple(chunks)
    last = chunks[-1]
    return Reply(
        text="".join(piece.text for piece in chunks),
        finish_reason=last.finish_reason or FinishReason.ERROR,
        usage=last.usage,
        model=last.model,
        request_id=last.request_id,
        omitted=last.omitted,
    )
