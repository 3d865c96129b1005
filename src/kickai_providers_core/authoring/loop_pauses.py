"""Lets the other tasks of an event loop run while a long answer is decoded."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["PAUSE_EVERY_S", "Pauses", "split_chunk"]

PAUSE_EVERY_S = 0.005
"""Seconds after which an asynchronous reader lets other tasks run, even when its source never waits."""

SLICE_BYTES = 64 * 1024
"""Bytes that are decoded at once; one chunk of a source may have megabytes."""


class Pauses:
    """Lets other tasks run every 5 ms, so that a source that never waits does not block the event loop.

    Args:
        clock: Seconds from any point.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._paused_at = clock()

    async def pause(self) -> None:
        """Suspend once if the last time was 5 ms ago or longer."""
        if self._clock() - self._paused_at >= PAUSE_EVERY_S:
            await asyncio.sleep(0)
            self._paused_at = self._clock()


def split_chunk(chunk: bytes) -> Iterator[bytes]:
    """Yield a chunk in pieces that decode quickly."""
    if len(chunk) <= SLICE_BYTES:
        yield chunk
        return
    for start in range(0, len(chunk), SLICE_BYTES):
        yield chunk[start : start + SLICE_BYTES]
