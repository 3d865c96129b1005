"""The decompression of bodies, up to a limit."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import Decompressor
from kickai_providers_core.values.errors import InvalidReplyError


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
