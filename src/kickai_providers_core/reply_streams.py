"""Streamed answers for applications."""

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

    The request starts with the first iteration: a stream that is never read sends nothing, emits no event and has no
    deadline. Do not share a stream between threads. Its connection is closed when the stream ends, is closed, or is
    garbage-collected. Reading it in a child that was forked after the request started raises a `RuntimeError`.

    Attributes:
        reply: The complete answer, after the last chunk; None before.
    """

    def __init__(
        self, open_: Callable[[Callable[[Reply], None]], Generator[ReplyChunk, None, None]], guard: ForkGuard
    ) -> None:
        # The generator must not refer to its stream: a reference cycle would delay the cleanup of a dropped stream.
        self._replies: list[Reply] = []
        self._open: Callable[[Callable[[Reply], None]], Generator[ReplyChunk, None, None]] | None = open_
        self._chunks: Generator[ReplyChunk, None, None] | None = None
        self._guard = guard
        self._pid = getpid()

    @property
    def reply(self) -> Reply | None:
        """The complete answer, after the last chunk; None before."""
        return self._replies[0] if self._replies else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ReplyChunk:
        if self._open is not None:
            open_, self._open = self._open, None
            self._chunks, self._pid = open_(self._replies.append), getpid()
            self._guard.track_stream(self._chunks)
        require_same_process(self._pid)
        if self._chunks is None:
            raise StopIteration
        return next(self._chunks)

    def close(self) -> None:
        """End the stream and its request. In a child that was forked after the request started, do nothing."""
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

    It behaves like `ReplyStream` otherwise. Use it on one event loop.

    Attributes:
        reply: The complete answer, after the last chunk; None before.
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
        """The complete answer, after the last chunk; None before."""
        return self._replies[0] if self._replies else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReplyChunk:
        task = require_event_loop()
        if self._open is not None:
            open_, self._open = self._open, None
            self._chunks, self._pid = open_(self._replies.append), getpid()
            self._guard.track_stream(self._chunks)
        require_same_process(self._pid)
        if self._chunks is None:
            raise StopAsyncIteration
        return await ForkAwareAwaitable(anext(self._chunks), self._guard, task, self._pid)  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        """End the stream and its request. In a child that was forked after the request started, do nothing."""
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
        RuntimeError: No asyncio event loop is running, for example in a program that uses trio or curio.
    """
    try:
        return asyncio.current_task()
    except RuntimeError:
        message = (
            "ainvoke and astream need a running asyncio event loop, and there is none; with trio or curio, call "
            "invoke in a worker thread"
        )
        raise RuntimeError(message) from None
