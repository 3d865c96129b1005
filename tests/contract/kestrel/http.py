"""Parses one HTTP/1.1 response (RFC 9112), without I/O."""

from __future__ import annotations

from kickai_providers_core.values.errors import InvalidReplyError, ProviderUnavailableError

MAX_BYTES = 4 * 2**20
"""The maximum size of a response."""


class Incoming:
    """A response that is being received.

    Attributes:
        status: The status; 0 until the head has arrived.
        headers: The headers by lower-case name.
        done: Whether the whole body has arrived.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self._buffer = b""
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Parse the next bytes, empty at the end of the connection; return the part of the body in them."""
        self._size += len(data)
        if not data:
            raise InvalidReplyError("the connection ended before the response was complete")
        if self._size > MAX_BYTES:
            raise InvalidReplyError(f"the response is larger than {MAX_BYTES} bytes")
        self._buffer += data
        if not self.status and not self._head():
            return b""
        return self._chunks() if self._chunked else self._counted()

    def _head(self) -> bool:
        if not b"HTTP/1.1 ".startswith(self._buffer[:9]):
            raise ProviderUnavailableError("the service does not speak HTTP")
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return False
        line, *fields = head.decode("latin-1").split("\r\n")
        self.headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        self.status = int(line.split()[1])
        self._buffer = rest
        self._chunked = "chunked" in self.headers.get("transfer-encoding", "")
        self._left = int(self.headers.get("content-length", "0"))
        return True

    def _counted(self) -> bytes:
        body, self._buffer = self._buffer[: self._left], b""
        self._left -= len(body)
        self.done = not self._left
        return body

    def _chunks(self) -> bytes:
        body = b""
        while not self.done:
            size, end, rest = self._buffer.partition(b"\r\n")
            if not end or len(rest) < int(size, 16) + 2:
                break
            count = int(size, 16)
            body += rest[:count]
            self._buffer = rest[count + 2 :]
            self.done = count == 0
        return body
