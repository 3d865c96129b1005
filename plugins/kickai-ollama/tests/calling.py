"""A provider that is called in each mode by name; the async modes run on an event loop of their own."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

from attrs import frozen
from kickai_providers_core import ChatRequest, ProviderError, Reply, ReplyChunk
from kickai_providers_core.authoring import build_reply

from kickai_ollama.client import OllamaProvider
from kickai_ollama.settings import OllamaSettings

if TYPE_CHECKING:
    from kickai_providers_core.authoring import HttpTransport

MODES = ("invoke", "ainvoke", "stream", "astream")


@frozen
class Ended:
    """How a call ended, and how long it took."""

    reply: Reply | None
    error: ProviderError | None
    elapsed_s: float
    chunks: tuple[ReplyChunk, ...] = ()


class Caller:
    """A provider, called in a mode by name."""

    def __init__(self, settings: OllamaSettings, connections: HttpTransport | None = None) -> None:
        self.settings = settings
        self.provider = OllamaProvider(settings, connections)

    def __call__(self, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0) -> Ended:
        """Call the provider, and return how the call ended."""
        request = ChatRequest.of(request)
        chunks: list[ReplyChunk] = []
        began = time.perf_counter()
        reply = error = None
        try:
            reply = getattr(self, f"_{mode}")(request, timeout_s, chunks)
        except ProviderError as exc:
            error = exc
        return Ended(reply, error, time.perf_counter() - began, tuple(chunks))

    def _invoke(self, request: ChatRequest, timeout_s: float, _: list[ReplyChunk]) -> Reply:
        return self.provider.invoke(request, timeout_s)

    def _ainvoke(self, request: ChatRequest, timeout_s: float, _: list[ReplyChunk]) -> Reply:
        return asyncio.run(self.provider.ainvoke(request, timeout_s))

    def _stream(self, request: ChatRequest, timeout_s: float, chunks: list[ReplyChunk]) -> Reply:
        with closing(self.provider.stream(request, timeout_s)) as stream:
            chunks.extend(stream)
        return build_reply(chunks)

    def _astream(self, request: ChatRequest, timeout_s: float, chunks: list[ReplyChunk]) -> Reply:
        async def read() -> None:
            async with aclosing(self.provider.astream(request, timeout_s)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401  those before an error count

        asyncio.run(read())
        return build_reply(chunks)
