"""The part of HTTP/1.1 that one answer on one connection needs (RFC 9112), without input or output."""

from __future__ import annotations

from kickai_providers_core.values.errors import InvalidReplyError, ProviderUnavailableError

MAX_BYTES = 4 * 2**20
"""No answer of the service is larger."""


class Incoming:
    """An answer as it comes in.

    Attributes:
        status: The status, 0 until the head is there.
        headers: By lower-case name.
        done: Whether the whole body is there.
    """

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.done = False
        self._buffer = b""
        self._size = 0

    def feed(self, data: bytes) -> bytes:
        """Take what came, nothing at the connection's end; return the part of the body that is in it."""
        self._size += len(data)
        if not data:
            raise InvalidReplyError("the connection ended before the answer did")
        if self._size > MAX_BYTES:
            raise InvalidReplyError("the answer is larger than any that the service gives")
        self._buffer += data
        if not self.status and not self._head():
            return b""
        return self._chunks() if self._chunked else self._counted()

    def _head(self) -> bool:
        if not b"HTTP/1.1 ".startswith(self._buffer[:9]):
            raise ProviderUnavailableError("something else than HTTP answers")
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
