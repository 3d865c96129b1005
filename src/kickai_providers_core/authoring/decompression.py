"""The encodings of bodies that are read, and their decompression, which never holds more than a limit."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.size_limits import MAX_ANSWER_BYTES, check_size
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Decompressor"]

_AUTO_WBITS = 32 + zlib.MAX_WBITS
"""Accepts a gzip header or a zlib header."""

_STEP_BYTES = 64 * 2**10
_HEAD_BYTES = 2


class Decompressor:
    """Decompresses a body without ever holding more than a limit. Not safe to share between threads.

    Args:
        encoding: The value of ``content-encoding``: ``gzip``, ``x-gzip``, ``deflate``, ``identity`` or empty.
        limit_bytes: The most decompressed bytes, from 0.

    Raises:
        InvalidReplyError: The encoding is another one.
    """

    def __init__(self, encoding: str = "", *, limit_bytes: int = MAX_ANSWER_BYTES) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", "gzip", "x-gzip", "deflate"}:
            raise InvalidReplyError("the answer is compressed in a way that was not asked for")
        self._is_plain = name in {"", "identity"}
        self._limit_bytes = limit_bytes
        self._size = 0
        self._inflate: Any = None if self._is_plain else zlib.decompressobj(_AUTO_WBITS)  # it takes 7 KB
        self._may_lack_header = name == "deflate"
        self._head = b""
        self._has_begun = False

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Take compressed bytes; return the decompressed ones, at most 64 KiB at a time.

        Raises:
            InvalidReplyError: The result is too large, or, from the iterator, the bytes are not in that encoding.
        """
        if not self._is_plain:
            return self._inflate_parts(data)
        self._count(data)
        return (data,) if data else ()

    def _inflate_parts(self, data: bytes) -> Iterator[bytes]:
        if self._may_lack_header and data:
            data = self._read_head(data)
        while data:
            part, data = self._step(data)
            self._count(part)
            if part:
                yield part

    def finish(self) -> None:
        """End the body.

        Raises:
            InvalidReplyError: The compressed body ended early.
        """
        if not self._is_plain and self._has_begun and not self._inflate.eof:
            raise InvalidReplyError("the answer was cut: its compressed body ended early")

    def _read_head(self, data: bytes) -> bytes:
        """Return what can be decompressed now; the first two bytes show whether there is a header (RFC 1950, 2.2)."""
        self._has_begun = True
        data = self._head + data
        if len(data) < _HEAD_BYTES:
            self._head = data
            return b""
        self._may_lack_header = False
        has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:_HEAD_BYTES]) % 31 == 0
        if not has_header:  # some servers leave it out
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        return data

    def _step(self, data: bytes) -> tuple[bytes, bytes]:
        """Return the next decompressed part, and the bytes that are left to decompress."""
        if self._inflate.eof:  # another member of a gzip file
            self._inflate = zlib.decompressobj(_AUTO_WBITS)
        self._has_begun = True
        try:
            part = self._inflate.decompress(data, _STEP_BYTES)
        except zlib.error:
            raise InvalidReplyError("the answer cannot be decompressed") from None
        return part, self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail

    def _count(self, part: bytes) -> None:
        self._size += len(part)
        check_size(self._size, self._limit_bytes)
