"""A provider, called in any of the four ways by name, on an event loop of its own where it needs one."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing

from attrs import frozen
from kickai_providers_core import ChatRequest, ProviderError, Reply, ReplyChunk
from kickai_providers_core.values.reply_assembly import Gathered

from kickai_ollama.client import OllamaProvider
from kickai_ollama.settings import OllamaSettings

MODES = ("invoke", "ainvoke", "stream", "astream")


@frozen
class Ended:
    """How a call ended, and after how long."""

    reply: Reply | None
    error: ProviderError | None
    elapsed_s: float
    chunks: tuple[ReplyChunk, ...] = ()


class Caller:
    """A provider, and the four ways to call it, told apart by name."""

    def __init__(self, settings: OllamaSettings) -> None:
        self.settings = settings
        self.provider = OllamaProvider(settings)

    def __call__(self, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0) -> Ended:
        """Call, and return how it ended; the async modes on an event loop of their own."""
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
        return _gathered(chunks)

    def _astream(self, request: ChatRequest, timeout_s: float, chunks: list[ReplyChunk]) -> Reply:
        async def read() -> None:
            async with aclosing(self.provider.astream(request, timeout_s)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401  those before an error count

        asyncio.run(read())
        return _gathered(chunks)


def _gathered(chunks: list[ReplyChunk]) -> Reply:
    gathered = Gathered()
    for chunk in chunks:
        gathered.add(chunk)
    return gathered.reply()
