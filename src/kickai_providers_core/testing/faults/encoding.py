"""HTTP/1.1 responses and events as bytes."""

from __future__ import annotations

import struct
import zlib
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.testing.faults.wire import Response

__all__ = ["END_OF_CHUNKS", "compress_repeated", "encode_chunk", "encode_event", "encode_head", "get_content_type"]

END_OF_CHUNKS = b"0\r\n\r\n"


def encode_head(response: Response, framing: Mapping[str, str]) -> bytes:
    """Return the status line and the headers of a response.

    Args:
        response: The response; its own ``content-length`` and ``transfer-encoding`` are left out.
        framing: The headers that say where the body ends.
    """
    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = "Unknown"
    named = {name.lower(): value for name, value in response.headers.items()}
    named.pop("content-length", None)
    named.pop("transfer-encoding", None)
    lines = [
        f"HTTP/1.1 {response.status} {phrase}",
        *(f"{name}: {value}" for name, value in {**named, **framing}.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def get_content_type(response: Response) -> str:
    """Return the content type of a response; empty when it has none."""
    return next((value for name, value in response.headers.items() if name.lower() == "content-type"), "")


def encode_chunk(data: bytes) -> bytes:
    """Return data as one chunk of a chunked body (RFC 9112, 7.1); nothing for no data, since an empty chunk ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data) if data else b""


def encode_event(content_type: str, body: bytes, *, first: bool) -> bytes:
    """Return a JSON text as one event of a stream: of server-sent events, of JSON lines, or of a JSON array."""
    if "event-stream" in content_type:
        return b"data: " + body + b"\n\n"
    if "ndjson" in content_type or "jsonl" in content_type:
        return body + b"\n"
    return (b"[" if first else b",\r\n") + body


def compress_repeated(start: bytes, block: bytes, count: int) -> bytes:
    """Return a text and then a block ``count`` times, as gzip; the block is compressed only once.

    After a full flush a block of DEFLATE refers to nothing before it (RFC 1951, and zlib's manual), so that its
    compressed bytes can be repeated. The frame is that of RFC 1952.
    """
    pack = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    head, body = (pack.compress(each) + pack.flush(zlib.Z_FULL_FLUSH) for each in (start, block))
    checksum = zlib.crc32(start)
    for _ in range(count):
        checksum = zlib.crc32(block, checksum)
    size = (len(start) + count * len(block)) % 2**32
    frame = b"\x1f\x8b\x08" + bytes(6) + b"\xff"
    return frame + head + body * count + pack.flush() + struct.pack("<LL", checksum, size)
