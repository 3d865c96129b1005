"""From the bytes of an HTTP body to the responses in it. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import EventStreamDecoder, loads

from kickai_gemini.errors import build_unreadable_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_RESPONSE_BYTES", "MAX_STREAM_BYTES", "BodyReader"]

MAX_RESPONSE_BYTES = 8 * 2**20
"""The most bytes of one response: over ten times the longest answer of any model, each character escaped."""

MAX_STREAM_BYTES = 64 * 2**20
"""The most bytes of a stream, which repeats names and counts with every piece of text."""

PIECE_BYTES = 4 * 2**10
"""The most bytes that are parsed at once, so that an event loop is not blocked: a thousand small objects."""

BOM = b"\xef\xbb\xbf"
STARTS_OF_EVENTS = tuple(b"deir:\r\n"[i : i + 1] for i in range(7))
"""The first bytes of the lines that an event stream may begin with."""


class BodyReader:
    """The decompressed body of a response with a success status: an event stream or JSON.

    Args:
        content_type: The header.
        is_stream: Whether a stream was requested. An event stream without the header is recognised by its first byte.
    """

    def __init__(self, content_type: str, *, is_stream: bool) -> None:
        is_events = is_stream and "event-stream" in content_type.lower()
        self._reader: _Events | _Json | None = _Events() if is_events else None if is_stream else _Json()
        self._is_stream = is_stream
        self._start = b""

    def feed(self, data: bytes) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the responses that the data completes, a list for each piece that was parsed.

        Raises:
            InvalidReplyError: The body is too large, or not in the form of the API.
        """
        for start in range(0, len(data), PIECE_BYTES):
            yield self._feed(data[start : start + PIECE_BYTES])

    def _feed(self, data: bytes) -> list[Mapping[str, Any]]:
        if self._reader is None:
            self._start += data
            if len(self._start) < len(BOM) and BOM.startswith(self._start):
                return []
            data, self._start = self._start.removeprefix(BOM), b""
            self._reader = _Events() if data.startswith(STARTS_OF_EVENTS) else _Json()
        return self._reader.feed(data)

    def finish(self) -> list[Mapping[str, Any]]:
        """Return the last responses.

        Raises:
            InvalidReplyError: Something is missing.
        """
        if self._reader is None:
            if self._start:
                raise build_unreadable_error()
            return []
        found = self._reader.finish()
        if not self._is_stream and len(found) != 1:
            raise build_unreadable_error()
        return found


class _Json:
    """A body that is one JSON object, or an array of them, as some gateways send streams."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        self._data += data
        if len(self._data) > MAX_RESPONSE_BYTES:
            raise InvalidReplyError(f"the answer is larger than {MAX_RESPONSE_BYTES} bytes")
        return []

    def finish(self) -> list[Mapping[str, Any]]:
        try:
            value = loads(self._data)
        except InvalidReplyError:
            value = None
        return [_require_response(each) for each in value] if isinstance(value, list) else [_require_response(value)]


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


def _parse(data: bytes | str) -> Mapping[str, Any]:
    """Return the JSON object of an event.

    Raises:
        InvalidReplyError: It is not one.
    """
    try:
        value = loads(data)
    except InvalidReplyError:
        value = None
    return _require_response(value)


def _require_response(value: object) -> Mapping[str, Any]:
    """Return a JSON value that is an object; an error may be in a list of one.

    Raises:
        InvalidReplyError: It is not one.
    """
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "error" in value[0]:
        value = value[0]
    if not isinstance(value, dict):
        raise build_unreadable_error()
    return value
