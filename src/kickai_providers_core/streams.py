"""Streamed answers, as an application reads them."""

from __future__ import annotations

import asyncio
from os import getpid
from typing import TYPE_CHECKING, Self

from kickai_providers_core.concurrency.forking import ForkAwareAwaitable, require_same_process

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import TracebackType

    from kickai_providers_core.concurrency.forking import ForkGuard
    from kickai_providers_core.values.replies import Reply, ReplyChunk

__all__ = ["AsyncReplyStream", "ReplyStream", "require_event_loop"]


class ReplyStream:
    """An answer that arrives in chunks. Iterate over it once; end it early with ``close()`` or ``with``.

    The request begins with the first iteration. A stream that is never read sends nothing, emits no event and starts no
    deadline. Not to be shared between threads. An abandoned stream closes its connection when it is closed or
    collected. In a child that was forked meanwhile, reading it raises a `RuntimeError`.

    Attributes:
        reply: The whole answer after the last chunk; None before.
    """

    def __init__(
        self, open_: Callable[[Callable[[Reply], None]], Generator[ReplyChunk, None, None]], guard: ForkGuard
    ) -> None:
        # The generator must not know its stream: in a cycle, a dropped stream would wait for the garbage collector.
        self._replies: list[Reply] = []
        self._open: Callable[[Callable[[Reply], None]], Generator[ReplyChunk, None, None]] | None = open_
        self._chunks: Generator[ReplyChunk, None, None] | None = None
        self._guard = guard
        self._pid = getpid()

    @property
    def reply(self) -> Reply | None:
        """The whole answer after the last chunk; None before."""
        return self._replies[0] if self._replies else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ReplyChunk:
        if self._open is not None:
            open_, self._open = self._open, None
            self._chunks, self._pid = open_(self._replies.append), getpid()
            self._guard.begin_stream(self._chunks)
        require_same_process(self._pid)
        if self._chunks is None:
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        """End the stream and its request. In a child that was forked meanwhile, do nothing."""
        self._open = None
        if self._chunks is not None and self._pid == getpid():
            self._chunks.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncReplyStream:
    """An answer that arrives in chunks. Iterate over it once with ``async for``; end it early with ``async with``.

    The request begins with the first iteration, as in `ReplyStream`. Belongs to one event loop.

    Attributes:
        reply: The whole answer after the last chunk; None before.
    """

    def __init__(
        self, open_: Callable[[Callable[[Reply], None]], AsyncGenerator[ReplyChunk, None]], guard: ForkGuard
    ) -> None:
        self._replies: list[Reply] = []  # as in `ReplyStream`
        self._open: Callable[[Callable[[Reply], None]], AsyncGenerator[ReplyChunk, None]] | None = open_
        self._chunks: AsyncGenerator[ReplyChunk, None] | None = None
        self._guard = guard
        self._pid = getpid()

    @property
    def reply(self) -> Reply | None:
        """The whole answer after the last chunk; None before."""
        return self._replies[0] if self._replies else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReplyChunk:
        task = require_event_loop()
        if self._open is not None:
            open_, self._open = self._open, None
            self._chunks, self._pid = open_(self._replies.append), getpid()
            self._guard.begin_stream(self._chunks)
        require_same_process(self._pid)
        if self._chunks is None:
            raise StopAsyncIteration
        return await ForkAwareAwaitable(anext(self._chunks), self._guard, task, self._pid)  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """End the stream and its request. In a child that was forked meanwhile, do nothing."""
        self._open = None
        if self._chunks is not None and self._pid == getpid():
            await self._chunks.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def require_event_loop() -> asyncio.Task[object] | None:
    """Return the running task.

    Raises:
        RuntimeError: No event loop of asyncio is running, as in a program that uses trio or curio.
    """
    try:
        return asyncio.current_task()
    except RuntimeError:
        message = (
            "ainvoke and astream need a running event loop of asyncio, and there is none; with trio or curio, call "
            "invoke in a worker thread"
        )
        raise RuntimeError(message) from None
