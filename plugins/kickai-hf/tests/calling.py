"""Calls a provider in one of the four modes."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing

from attrs import frozen
from kickai_providers_core import ChatRequest, ProviderError, Reply, ReplyChunk
from kickai_providers_core.values.reply_assembly import ReplyBuilder

from kickai_hf.provider import HuggingFace

MODES = ("invoke", "ainvoke", "stream", "astream")


@frozen(kw_only=True)
class Ended:
    """How a call ended, and how long it took."""

    reply: Reply | None = None
    error: ProviderError | None = None
    chunks: tuple[ReplyChunk, ...] = ()
    elapsed_s: float = 0.0

    @property
    def text(self) -> str:
        """The text of the answer. Raises the error if the call failed."""
        if self.error is not None:
            raise self.error
        return self.reply.text


def call(provider: HuggingFace, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0) -> Ended:
    """Call once; the async modes run on a new event loop."""
    if mode in {"ainvoke", "astream"}:
        return asyncio.run(acall(provider, mode, request, timeout_s))
    began = time.perf_counter()
    chunks: list[ReplyChunk] = []
    try:
        if mode == "invoke":
            reply = provider.invoke(ChatRequest.of(request), timeout_s)
        else:
            with closing(provider.stream(ChatRequest.of(request), timeout_s)) as stream:
                for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF402 - those before an error count
            reply = build_reply(chunks)
    except ProviderError as error:
        return Ended(error=error, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)
    return Ended(reply=reply, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


async def acall(
    provider: HuggingFace, mode: str, request: ChatRequest | str = "ping", timeout_s: float = 10.0
) -> Ended:
    """Call once on the running loop."""
    began = time.perf_counter()
    chunks: list[ReplyChunk] = []
    try:
        if mode == "ainvoke":
            reply = await provider.ainvoke(ChatRequest.of(request), timeout_s)
        else:
            async with aclosing(provider.astream(ChatRequest.of(request), timeout_s)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)  # noqa: PERF401
            reply = build_reply(chunks)
    except ProviderError as error:
        return Ended(error=error, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)
    return Ended(reply=reply, chunks=tuple(chunks), elapsed_s=time.perf_counter() - began)


def build_reply(chunks: list[ReplyChunk]) -> Reply:
    """Return the reply that the chunks of a stream make up."""
    whole = ReplyBuilder()
    for chunk in chunks:
        whole.add(chunk)
    return whole.build()
