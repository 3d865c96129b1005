"""From the bytes of an HTTP body to the responses in it, within size limits. No I/O.

Google's clients collect whatever arrives: a body without end takes all memory, and what they do not expect they skip.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import Decompressor, EventStreamDecoder, loads

from kickai_gemini.errors import Refusal, unreadable_error
from kickai_gemini.json_array import JsonArrayDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_ERROR_BYTES", "MAX_RESPONSE_BYTES", "MAX_STREAM_BYTES", "OK", "Body"]

OK = 200

MAX_RESPONSE_BYTES = 8 * 2**20
"""The most bytes of one response: over ten times the longest answer of any model, each character escaped."""

MAX_STREAM_BYTES = 64 * 2**20
"""The most bytes of a stream, which repeats names and counts with every piece of text."""

MAX_ERROR_BYTES = 64 * 2**10
"""The most bytes of an error that are read."""

PIECE_BYTES = 4 * 2**10
"""The most bytes that are parsed at once, so that an event loop is not blocked: a thousand small objects."""

ENCODINGS = frozenset({"gzip", "x-gzip", "deflate"})
BOM = b"\xef\xbb\xbf"
STARTS_OF_EVENTS = tuple(b"deir:\r\n"[i : i + 1] for i in range(7))
"""The first bytes of the lines that an event stream may begin with."""


class Body:
    """The body of one HTTP response: a JSON object, an event stream or a JSON array.

    Args:
        status: The HTTP status.
        headers: The headers; names in any case.
        is_stream: Whether a stream was requested.

    Attributes:
        is_full: Whether this is an error of which enough was read.
    """

    def __init__(self, status: int, headers: Mapping[str, str], *, is_stream: bool) -> None:
        self._status = status
        self._headers = {name.lower(): text for name, text in headers.items()}
        self._error = bytearray()
        self.is_full = False
        encoding = self._headers.get("content-encoding", "").strip().lower()
        if status != OK:
            known = encoding if encoding in ENCODINGS else ""
            self._decompressor = Decompressor(known, limit_bytes=MAX_ERROR_BYTES)
        else:
            limit_bytes = MAX_STREAM_BYTES if is_stream else MAX_RESPONSE_BYTES
            self._decompressor = Decompressor(encoding, limit_bytes=limit_bytes)
        self._reader = _Stream(self._headers.get("content-type", "")) if is_stream else _Whole()

    def feed(self, data: bytes) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the responses that the data completes, a list for each piece that was parsed.

        Raises:
            InvalidReplyError: The body is too large, or not in the form of the API.
        """
        if self._status != OK:
            self._feed_error(data)
            yield []
            return
        for part in self._decompressor.feed(data):
            for start in range(0, len(part), PIECE_BYTES):
                yield self._reader.feed(part[start : start + PIECE_BYTES])

    def _feed_error(self, data: bytes) -> None:
        try:
            for start in range(0, len(data), PIECE_BYTES):
                for part in self._decompressor.feed(data[start : start + PIECE_BYTES]):
                    self._error += part
        except InvalidReplyError:  # too large, or damaged: the status says enough
            self.is_full = True

    def finish(self) -> list[Mapping[str, Any]]:
        """Return the last responses.

        Raises:
            InvalidReplyError: Something is missing.
        """
        if self._status != OK:
            return []
        self._decompressor.finish()
        return self._reader.finish()

    @property
    def refusal(self) -> Refusal | None:
        """What the service says instead of an answer; None for an answer."""
        return None if self._status == OK else Refusal.from_response(self._status, self._headers, bytes(self._error))


class _Whole:
    """A body that is one JSON object."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        self._data += data
        return []

    def finish(self) -> list[Mapping[str, Any]]:
        return [_parse(self._data)]


class _Events:
    """An event stream, each of whose events holds a JSON object.

    A service that fails within a stream writes its error between the events, as plain lines, which the specification of
    event streams ignores. They are read here, or the beginning of an answer would pass for all of it.
    """

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder(max_event_bytes=MAX_RESPONSE_BYTES)

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        return [_parse(event.data) for event in self._decoder.feed(data)]

    def finish(self) -> list[Mapping[str, Any]]:
        # The specification discards an event that no blank line ends. A JSON object has an end of its own: a whole one
        # is read, and half of one shows that the stream was cut.
        last = self._decoder.feed(b"\n\n") if self._decoder.is_unfinished else []
        try:
            found = [_parse(event.data) for event in last]
        except InvalidReplyError:
            raise InvalidReplyError("the answer was cut: the last event of its stream does not end") from None
        error = b"".join(self._decoder.unknown_lines)
        return [*found, _parse(error)] if error else found


class _Array:
    """A JSON array of objects, as google-generativeai requests it and some gateways always send it."""

    def __init__(self) -> None:
        self._decoder = JsonArrayDecoder(max_bytes=MAX_RESPONSE_BYTES)

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        return [_parse(element) for element in self._decoder.feed(data)]

    def finish(self) -> list[Mapping[str, Any]]:
        self._decoder.finish()
        return []


class _Stream:
    """A stream in either form. One without the content type of an event stream is recognised by its first byte."""

    def __init__(self, content_type: str) -> None:
        self._reader: _Events | _Array | None = _Events() if "event-stream" in content_type.lower() else None
        self._start = b""

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        if self._reader is None:
            self._start += data
            if len(self._start) < len(BOM) and BOM.startswith(self._start):
                return []
            data, self._start = self._start.removeprefix(BOM), b""
            self._reader = _Events() if data.startswith(STARTS_OF_EVENTS) else _Array()
        return self._reader.feed(data)

    def finish(self) -> list[Mapping[str, Any]]:
        if self._start:
            raise unreadable_error()
        return self._reader.finish() if self._reader is not None else []


def _parse(data: bytes | bytearray | str) -> Mapping[str, Any]:
    """Return the JSON object in a part of a body; an error may be in a list of one.

    Raises:
        InvalidReplyError: It is not one.
    """
    try:
        value = loads(data)
    except InvalidReplyError:
        value = None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "error" in value[0]:
        value = value[0]
    if not isinstance(value, dict):
        raise unreadable_error()
    return value
