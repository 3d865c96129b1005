"""Closes what an iterator reads from."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["aclosing_source", "closing_source"]


@contextmanager
def closing_source(source: object) -> Iterator[None]:
    """Close an iterable after the block, if it has a ``close``."""
    try:
        yield
    finally:
        close = getattr(source, "close", None)
        if close is not None:
            close()


@asynccontextmanager
async def aclosing_source(source: object) -> AsyncIterator[None]:
    """Close an asynchronous iterable after the block, if it has an ``aclose``."""
    try:
        yield
    finally:
        close = getattr(source, "aclose", None)
        if close is not None:
            await close()
