"""Limits on the size of everything that is read from a service, counted after decompression."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.authoring.closing_sources import aclosing_source, closing_source
from kickai_providers_core.authoring.loop_pauses import Pauses
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

__all__ = ["MAX_ANSWER_BYTES", "MAX_ERROR_BYTES", "alimit_chunks", "check_size", "limit_chunks"]

MAX_ANSWER_BYTES = 32 * 2**20
"""The default for the most bytes of an answer: many times the longest answer of today's models."""

MAX_ERROR_BYTES = 64 * 2**10
"""The most bytes of an error's body that are read."""


def limit_chunks(chunks: Iterable[bytes], limit_bytes: int = MAX_ANSWER_BYTES) -> Generator[bytes, None, None]:
    """Yield chunks up to a limit; closing this iterator closes ``chunks`` when that can be closed.

    Args:
        chunks: Decompressed bytes. A client that decompresses by itself may turn one small read into a huge chunk: ask
            for ``accept-encoding: identity``, or decompress with `Decompressor`.
        limit_bytes: The most bytes of all chunks together, from 0.

    Raises:
        InvalidReplyError: There are more.
    """
    size = 0
    with closing_source(chunks):
        for chunk in chunks:
            size += len(chunk)
            check_size(size, limit_bytes)
            yield chunk


async def alimit_chunks(
    chunks: AsyncIterable[bytes], limit_bytes: int = MAX_ANSWER_BYTES
) -> AsyncGenerator[bytes, None]:
    """Yield chunks up to a limit, as `limit_chunks` does, and let other tasks of the event loop run every 5 ms."""
    size = 0
    pauses = Pauses()
    async with aclosing_source(chunks):
        async for chunk in chunks:
            size += len(chunk)
            check_size(size, limit_bytes)
            yield chunk
            await pauses.pause()


def check_size(size: int, limit_bytes: int) -> None:
    """Check how many bytes of an answer were read so far.

    Raises:
        InvalidReplyError: They are more than the limit.
    """
    if size > limit_bytes:
        raise InvalidReplyError(f"the answer is larger than {limit_bytes} bytes")
