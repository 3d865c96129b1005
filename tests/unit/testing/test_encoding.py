"""Bodies that the fault server sends."""

from __future__ import annotations

import gzip
import zlib

import pytest

from kickai_providers_core.testing.faults.encoding import compress_repeated


@pytest.mark.parametrize(("start", "block", "count"), [(b"", b"0" * 70_000, 9), (b"{", b"ab", 3), (b"{", b"", 0)])
def test_a_repeated_block_is_valid_gzip(start: bytes, block: bytes, count: int) -> None:
    """In one member, with the right checksum and size, so that every client reads all of it."""
    packed = compress_repeated(start, block, count)
    assert gzip.decompress(packed) == start + block * count
    reader = zlib.decompressobj(wbits=31)
    assert len(reader.decompress(packed)) == len(start) + count * len(block)
    assert (reader.eof, reader.unused_data) == (True, b"")
