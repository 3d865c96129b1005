"""Limits on the size of what is read."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from kickai_providers_core.authoring import alimit_chunks, limit_chunks
from kickai_providers_core.values.errors import InvalidReplyError


def flood(closed: list[bool]) -> Iterator[bytes]:
    """Yield chunks without end."""
    try:
        while True:
            yield b"x" * 10
    finally:
        closed.append(True)


async def aflood(closed: list[bool]) -> AsyncIterator[bytes]:
    """Yield chunks without end and without ever waiting."""
    try:
        while True:
            yield b"x" * 10
    finally:
        closed.append(True)


@pytest.mark.parametrize(("limit", "whole"), [(0, 0), (9, 0), (10, 1), (35, 3)])
async def test_a_body_that_is_too_large(limit: int, whole: int) -> None:
    """Chunks within the limit are yielded, one byte more is an invalid reply, and the source is closed."""
    closed: list[bool] = []
    found: list[bytes] = []
    with pytest.raises(InvalidReplyError, match=f"larger than {limit} bytes"):
        found.extend(limit_chunks(flood(closed), limit))
    found = []

    async def read() -> None:
        async for chunk in alimit_chunks(aflood(closed), limit):
            found.append(chunk)

    with pytest.raises(InvalidReplyError, match=f"larger than {limit} bytes"):
        await read()
    assert len(found) == whole
    assert closed == [True, True]


async def test_a_body_of_exactly_the_limit() -> None:
    """It is whole."""
    assert b"".join(limit_chunks([b"12345", b"", b"67890"], 10)) == b"1234567890"


async def test_many_single_bytes_do_not_block_the_loop() -> None:
    """Other tasks run while single bytes arrive without a wait."""
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def drip() -> AsyncIterator[bytes]:
        for _ in range(200_000):
            yield b"x"

    task = asyncio.create_task(other())
    assert sum([len(chunk) async for chunk in alimit_chunks(drip())]) == 200_000
    task.cancel()
    assert turns > 5
