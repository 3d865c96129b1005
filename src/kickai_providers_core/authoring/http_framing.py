"""Where the body of an HTTP/1.1 response ends (RFC 9112, sections 6 and 7). No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BodyFraming", "ChunkedBody", "FramingError", "SizedBody", "UnboundedBody", "choose_framing"]

MAX_LINE_BYTES = 16 * 1024
"""The most bytes of a chunk's size line, and of all trailers together."""

BODILESS = frozenset({204, 304})
"""The statuses without a body."""

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r\n\0]*)?")


class FramingError(Exception):
    """The body is not what its head announced."""


class BodyFraming(Protocol):
    """Extracts the body from the bytes that follow the head.

    Attributes:
        is_done: Whether the body is complete.
        rest: The bytes after it, which no request asked for.
    """

    is_done: bool
    rest: bytes

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and return those of the body.

        Raises:
            FramingError: They are malformed.
        """

    def end(self) -> None:
        """Note that the connection has ended.

        Raises:
            FramingError: The body is not complete.
        """


class SizedBody:
    """A body with a ``content-length``.

    Args:
        size: Its size in bytes.
    """

    def __init__(self, size: int) -> None:
        self.is_done = not size
        self.rest = b""
        self._left = size

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and return those of the body."""
        body, self.rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self.is_done = not self._left
        return body

    def end(self) -> None:
        """Raise `FramingError` unless the body is complete."""
        if not self.is_done:
            raise FramingError("the connection ended before the body was complete")


class UnboundedBody:
    """A body that ends with its connection."""

    def __init__(self) -> None:
        self.is_done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """Return the bytes: all belong to the body."""
        return data

    def end(self) -> None:
        """End the body."""
        self.is_done = True


class ChunkedBody:
    """A body in chunks. All chunks that arrive together are returned together."""

    def __init__(self) -> None:
        self.is_done = False
        self.rest = b""
        self._line = b""  # the start of a line that is not complete
        self._left = 0  # the bytes of the current chunk that are still to come
        self._is_after_chunk = False
        self._is_after_last_chunk = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take the next bytes, and return those of the body.

        Raises:
            FramingError: A chunk is malformed.
        """
        parts, at = [], 0
        if self._line:
            data, self._line = self._line + data, b""
        while at < len(data) and not self.is_done:
            if self._left:
                part = data[at : at + self._left]
                parts.append(part)
                at += len(part)
                self._left -= len(part)
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                self._line = data[at:]
                self._require_short(len(self._line))
                break
            self._take_line(data[at:end])
            at = end + 2
        if self.is_done:
            self.rest += data[at:]
        return b"".join(parts)

    def end(self) -> None:
        """Raise `FramingError` unless the body is complete."""
        if not self.is_done:
            raise FramingError("the connection ended before the last chunk")

    def _take_line(self, line: bytes) -> None:
        if self._is_after_last_chunk:
            self._trailer_bytes += len(line)
            self._require_short(self._trailer_bytes)
            self.is_done = not line
        elif self._is_after_chunk:
            if line:
                raise FramingError("a chunk is longer than its size")
            self._is_after_chunk = False
        else:
            self._left = _parse_size(line)
            self._is_after_chunk = self._left > 0
            self._is_after_last_chunk = not self._left

    def _require_short(self, size: int) -> None:
        if size > MAX_LINE_BYTES:
            raise FramingError("a line between chunks is too long")


def _parse_size(line: bytes) -> int:
    found = _SIZE_LINE.fullmatch(line)
    if found is None or len(line) > MAX_LINE_BYTES:
        raise FramingError("the size of a chunk is not a hexadecimal number")
    return int(found[1], 16)


def choose_framing(method: bytes, status: int, headers: Mapping[bytes, bytes]) -> BodyFraming:
    """Return the framing of a response's body.

    Args:
        method: The method of the request.
        status: The status of the response, from 200.
        headers: The headers of the response, with names in lower case. A ``transfer-encoding`` is ``chunked``, and a
            ``content-length`` is one number: h11 accepts no other.
    """
    if method == b"HEAD" or status in BODILESS:
        return SizedBody(0)
    if b"transfer-encoding" in headers:
        return ChunkedBody()
    length = headers.get(b"content-length")
    return UnboundedBody() if length is None else SizedBody(int(length))
