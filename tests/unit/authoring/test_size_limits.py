"""Limits on the size of what is read, after decompression."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import Decompressor, alimit_chunks, limit_chunks
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


@given(st.binary(max_size=2000), st.sampled_from(["gzip", "X-GZIP ", "deflate", "raw", "identity", ""]), st.data())
def test_a_compressed_body_is_decompressed(body: bytes, form: str, data: st.DataObject) -> None:
    """In each encoding and any split, deflate with and without its header."""
    raw = zlib.compressobj(wbits=-15)
    wire = {
        "gzip": gzip.compress(body),
        "X-GZIP ": gzip.compress(body[:100]) + gzip.compress(body[100:]),
        "deflate": zlib.compress(body),
        "raw": raw.compress(body) + raw.flush(),
    }.get(form, body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)))))
    decompressor = Decompressor("deflate" if form == "raw" else form)
    found = b""
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += b"".join(decompressor.feed(wire[start:end]))
    decompressor.finish()
    assert found == body


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_decompression_bomb(encoding: str) -> None:
    """It is stopped at the limit, and never held in memory."""
    wire = gzip.compress(bytes(2**25)) if encoding == "gzip" else zlib.compress(bytes(2**25))
    decompressor = Decompressor(encoding, limit_bytes=2**20)
    tracemalloc.start()
    try:
        with pytest.raises(InvalidReplyError, match="larger than 1048576 bytes"):
            sum(map(len, decompressor.feed(wire)))
        assert tracemalloc.get_traced_memory()[1] < 2**21
    finally:
        tracemalloc.stop()


def _decompress(decompressor: Decompressor, wire: bytes) -> None:
    for start in range(len(wire)):
        list(decompressor.feed(wire[start : start + 1]))
    decompressor.finish()


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "wire", [b"no such thing", gzip.compress(b"x" * 100, mtime=0)[:-8] + bytes(8)], ids=["nonsense", "damaged"]
)
def test_bytes_that_are_not_compressed(encoding: str, wire: bytes) -> None:
    """Bytes that are not in the encoding, or damaged ones, are an invalid reply."""
    decompressor = Decompressor(encoding)
    with pytest.raises(InvalidReplyError):
        _decompress(decompressor, wire)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_body_that_is_cut(encoding: str) -> None:
    """A compressed body that ends early is an invalid reply; no body at all is an empty one."""
    wire = gzip.compress(b"x" * 100) if encoding == "gzip" else zlib.compress(b"x" * 100)
    decompressor = Decompressor(encoding)
    decompressor.finish()
    list(decompressor.feed(wire[:-1]))
    with pytest.raises(InvalidReplyError, match="cut"):
        decompressor.finish()


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, br", "secret"])
def test_other_encodings(encoding: str) -> None:
    """An encoding that was not requested is an invalid reply."""
    with pytest.raises(InvalidReplyError, match="not asked for") as caught:
        Decompressor(encoding)
    assert "secret" not in str(caught.value)
