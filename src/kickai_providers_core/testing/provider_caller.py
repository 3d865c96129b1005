"""Calls a provider object in each of the four modes by name, for a plugin's own tests."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from kickai_providers_core.values.errors import ProviderError
from kickai_providers_core.values.reply_assembly import ReplyAssembler
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from kickai_providers_core.values.replies import Reply, ReplyChunk

__all__ = ["Ended", "ProviderCaller"]

P = TypeVar("P")


@frozen
class Ended:
    """How a call ended.

    Attributes:
        reply: The answer; None when the call failed.
        error: The error; None when it succeeded.
        elapsed_s: Seconds that it took.
        chunks: The chunks of a stream, also those before an error.
    """

    reply: Reply | None
    error: ProviderError | None
    elapsed_s: float
    chunks: tuple[ReplyChunk, ...] = ()

    @property
    def text(self) -> str:
        """The text of the answer.

        Raises:
            ProviderError: The call failed.
        """
        if self.error is not None or self.reply is None:
            raise self.error or RuntimeError("the call has neither an answer nor an error")
        return self.reply.text


class ProviderCaller(Generic[P]):
    """Calls a provider object with ``invoke``, ``ainvoke``, ``stream`` and ``astream`` in one of these modes.

    Async modes run on an event loop of their own. For one thread.

    Args:
        provider: The provider, such as the instance of a class for `hooks_for`.

    Attributes:
        provider: As given.
    """

    def __init__(self, provider: P) -> None:
        self.provider: P = provider

    def __call__(
        self,
        mode: str = "invoke",
        request: ChatRequest | str = "ping",
        timeout_s: float = 10.0,
        model: str | None = None,
    ) -> Ended:
        """Call the provider, and return how the call ended. Only a `ProviderError` is caught.

        Args:
            mode: ``invoke``, ``ainvoke``, ``stream`` or ``astream``.
            request: The request.
            timeout_s: The time limit that the provider gets, in seconds.
            model: The model of the request, instead of its own.
        """
        if mode in {"ainvoke", "astream"}:
            return asyncio.run(self.acall(mode, request, timeout_s, model))
        asked, chunks, began = ChatRequest.from_prompt(request).for_model(model), _Chunks(), time.perf_counter()
        called: Any = self.provider
        try:
            if mode == "invoke":
                return chunks.end(began, called.invoke(asked, timeout_s))
            with closing(called.stream(asked, timeout_s)) as stream:
                for chunk in stream:
                    chunks.append(chunk)
            return chunks.end(began, chunks.build())
        except ProviderError as error:
            return chunks.end(began, error=error)

    async def acall(
        self,
        mode: str = "ainvoke",
        request: ChatRequest | str = "ping",
        timeout_s: float = 10.0,
        model: str | None = None,
    ) -> Ended:
        """Call the provider on the running event loop, in an async mode; otherwise as a call of this object."""
        asked, chunks, began = ChatRequest.from_prompt(request).for_model(model), _Chunks(), time.perf_counter()
        called: Any = self.provider
        try:
            if mode == "ainvoke":
                return chunks.end(began, await called.ainvoke(asked, timeout_s))
            async with aclosing(called.astream(asked, timeout_s)) as stream:
                async for chunk in stream:
                    chunks.append(chunk)
            return chunks.end(began, chunks.build())
        except ProviderError as error:
            return chunks.end(began, error=error)


class _Chunks(list["ReplyChunk"]):
    """The chunks so far; those before an error count."""

    def build(self) -> Reply:
        """Return the reply that they make up.

        Raises:
            ProviderError: They are not a complete answer.
        """
        builder = ReplyAssembler()
        for chunk in self:
            builder.add(builder.normalize(chunk))
        return builder.build()

    def end(self, began: float, reply: Reply | None = None, error: ProviderError | None = None) -> Ended:
        """Return how the call ended."""
        return Ended(reply, error, time.perf_counter() - began, tuple(self))
