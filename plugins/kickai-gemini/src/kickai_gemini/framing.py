"""From the bytes of an HTTP body to the JSON objects in it, within bounds. No I/O.

Both clients' own readers collect whatever comes: a body without end takes all memory, a compressed one takes it at
once, and what they do not expect they skip. So the body is read here, as the bytes that the connection received.
"""

from __future__ import annotations

import re
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import strict_json
from kickai_providers_core.authoring.event_stream import EventStreamDecoder

from kickai_gemini.failures import Told, unreadable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MAX_ERROR_BYTES", "MAX_RESPONSE_BYTES", "MAX_STREAM_BYTES", "Body", "Decompressor"]

MAX_RESPONSE_BYTES = 8 * 2**20
"""The most bytes of one response object: over ten times the longest answer of any model, each character escaped."""

MAX_STREAM_BYTES = 64 * 2**20
"""The most bytes of a stream, which repeats names and counts with every piece of text."""

MAX_ERROR_BYTES = 64 * 2**10
"""The most bytes of an error that are looked at."""

PIECE_BYTES = 4 * 2**10
"""The most bytes that are decompressed and read at once: a thousand small objects."""

WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
RAW_DEFLATE = -15
MAX_DEPTH = 100
"""The deepest nesting of an element of an array; the JSON parser of the old client has the same limit."""


class Decompressor:
    """Undoes a content encoding, a bounded piece at a time.

    Args:
        encoding: The header ``content-encoding``.

    Raises:
        InvalidReplyError: It is none of those that were asked for.
    """

    def __init__(self, encoding: str) -> None:
        name = encoding.strip().lower()
        if name not in {"", "identity", *WINDOW_BITS}:
            raise InvalidReplyError("the answer is compressed in a way that was not asked for")
        self._bits = WINDOW_BITS.get(name)
        self._inflate: Any = None
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what the data becomes, in pieces of at most 4 KiB.

        Raises:
            InvalidReplyError: It is not compressed as it claims to be.
        """
        if self._bits is None:
            yield from (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))
            return
        while data:
            if self._inflate is None or self._inflate.eof:  # gzip may consist of several members
                self._inflate = zlib.decompressobj(self._bits)
            piece = self._inflated(data)
            data = self._inflate.unused_data or self._inflate.unconsumed_tail
            if piece:
                yield piece

    def _inflated(self, data: bytes) -> bytes:
        try:
            made: bytes = self._inflate.decompress(data, PIECE_BYTES)
        except zlib.error:
            if self._began or self._bits != WINDOW_BITS["deflate"]:
                raise _not_compressed() from None
            self._bits = RAW_DEFLATE  # what some servers take ``deflate`` for
            self._inflate = zlib.decompressobj(RAW_DEFLATE)
            return self._inflated(data)
        self._began = True
        return made

    def finish(self) -> None:
        """Check that nothing is missing.

        Raises:
            InvalidReplyError: The compressed data ends early.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise InvalidReplyError("the answer was cut: its compressed data ends early")


def _not_compressed() -> InvalidReplyError:
    return InvalidReplyError("the answer cannot be read: it is not compressed as its header says")


class Whole:
    """A body that is one JSON object."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        """Take a piece of the body."""
        self._size += len(data)
        if self._size > MAX_RESPONSE_BYTES:
            raise too_large(MAX_RESPONSE_BYTES)
        self._pieces.append(data)
        return []

    def finish(self) -> list[Mapping[str, Any]]:
        """Return the object."""
        return [parse(b"".join(self._pieces))]


class Events:
    """A body of server-sent events, each of which holds a JSON object.

    A service that fails in the middle writes its error between the events, as plain lines. The standard has such lines
    ignored; here they are read, since otherwise the beginning of an answer would pass for all of it.
    """

    def __init__(self) -> None:
        self._decoder = EventStreamDecoder(max_event_bytes=MAX_RESPONSE_BYTES)
        self._stray = StrayLines()

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        """Return the objects that the data completes."""
        self._stray.feed(data)
        return [parse(event.data.encode()) for event in self._decoder.feed(data)]

    def finish(self) -> list[Mapping[str, Any]]:
        """Return the last objects.

        The standard discards an event that no blank line ends. A JSON object has an end of its own: one that is whole
        is read, and one that is not shows that the stream was cut.
        """
        last = self._decoder.feed(b"\n\n") if self._decoder.is_unfinished else []
        stray = self._stray.finish()
        try:
            return [parse(text) for text in (*(event.data.encode() for event in last), *([stray] if stray else []))]
        except InvalidReplyError:
            if stray:
                raise
            raise InvalidReplyError("the answer was cut: the last event of its stream does not end") from None


FIELD = re.compile(rb"(?:data|event|id|retry)(?::|$)|:|$")
LONGEST_FIELD = len(b"event:")


class StrayLines:
    """Collects the lines of an event stream that are neither fields nor comments."""

    def __init__(self) -> None:
        self._stray: list[bytes] = []
        self._size = 0
        self._start = b""
        self._is_stray: bool | None = None
        self._bom: bytes | None = b""

    def feed(self, data: bytes) -> None:
        """Take a piece of the stream."""
        if self._bom is not None:
            data, self._bom = self._bom + data, None
            if len(data) < 3 and b"\xef\xbb\xbf".startswith(data):  # noqa: PLR2004  the length of a byte-order mark
                self._bom = data
                return
            data = data.removeprefix(b"\xef\xbb\xbf")
        for line in data.replace(b"\r", b"\n").splitlines(keepends=True):
            self._add(line)

    def _add(self, part: bytes) -> None:
        ended = part.endswith(b"\n")
        if self._is_stray is None:
            self._start += part.rstrip(b"\n")
            if not ended and len(self._start) < LONGEST_FIELD:
                return  # too little to tell
            self._is_stray = FIELD.match(self._start) is None
            part, self._start = self._start, b""
        if self._is_stray and self._size <= MAX_ERROR_BYTES:
            self._stray.append(part)
            self._size += len(part)
        if ended:
            self._is_stray = None

    def finish(self) -> bytes:
        """Return the lines, without their ends."""
        if self._start:
            self._add(b"\n")
        return b"".join(self._stray)


SYNTAX = re.compile(rb'["\\{}\[\]]')
SPACE = b" \t\r\n"
SPACES = re.compile(rb"[ \t\r\n]+")


class Elements:
    """A body that is one JSON array of objects, or one object."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._in_text = False
        self._state = "start"

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        """Return the objects that the data completes."""
        self._buffer += data
        found = []
        while (element := self._next()) is not None:
            found.append(parse(element))
        if len(self._buffer) > MAX_RESPONSE_BYTES:
            raise too_large(MAX_RESPONSE_BYTES)
        return found

    def finish(self) -> list[Mapping[str, Any]]:
        """Check that the array was closed."""
        if self._state == "start" and not self._buffer.strip(SPACE):
            return []
        if not self._array and self._state != "end":
            raise unreadable()
        if self._state != "end" or self._buffer.strip(SPACE):
            raise InvalidReplyError("the answer was cut: its list of responses does not end")
        return []

    def _next(self) -> bytes | None:
        """Return the next whole element, or None when it has not come yet."""
        while self._state != "element":
            self._drop_space()
            if not self._buffer:
                return None
            self._punctuation(chr(self._buffer[0]))
        end = self._end()
        if end is None:
            return None
        element = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 0
        self._state = "after" if self._array else "end"
        return element

    _array = True

    def _punctuation(self, mark: str) -> None:
        """Take what stands between elements."""
        moves = {
            ("start", "["): "first",
            ("first", "]"): "end",
            ("first", "{"): "element",
            ("first", "["): "element",
            ("after", ","): "next",
            ("after", "]"): "end",
            ("next", "{"): "element",
            ("next", "["): "element",  # an error may come in a list of its own
        }
        if self._state == "start" and mark == "{":
            self._array = False
            self._state = "element"
            return
        if (self._state, mark) not in moves:
            raise unreadable()
        self._state = moves[self._state, mark]
        if self._state != "element":
            del self._buffer[0]

    def _drop_space(self) -> None:
        found = SPACES.match(self._buffer)
        if found is not None:
            del self._buffer[: found.end()]

    def _end(self) -> int | None:
        """Return where the element in the buffer ends, looking at new bytes only."""
        position = self._scanned
        while (found := SYNTAX.search(self._buffer, position)) is not None:
            mark, position = found[0], found.end()
            if mark == b"\\":
                if position == len(self._buffer):  # what it escapes has not come yet
                    self._scanned = found.start()
                    return None
                position += 1
            elif mark == b'"':
                self._in_text = not self._in_text
            elif not self._in_text:
                self._depth += 1 if mark in b"{[" else -1
                if self._depth > MAX_DEPTH:
                    raise unreadable()
                if not self._depth:
                    return position
        self._scanned = len(self._buffer)
        return None


def too_large(limit_bytes: int) -> InvalidReplyError:
    """Return the error for a body that is longer than it may be."""
    return InvalidReplyError(f"the answer is too large: more than {limit_bytes // 2**20} MiB")


def parse(data: bytes) -> Mapping[str, Any]:
    """Return the JSON object in a part of a body; an error may be in a list of one.

    Raises:
        InvalidReplyError: It is none.
    """
    try:
        value = strict_json.loads(data)
    except InvalidReplyError:
        value = None
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and "error" in value[0]:
        value = value[0]
    if not isinstance(value, dict):
        raise unreadable()
    return value


STARTS_OF_EVENTS = tuple(b"deir:\r\n"[i : i + 1] for i in range(7))
"""The first bytes of the lines that an event stream may begin with."""

BOM = b"\xef\xbb\xbf"


class Stream:
    """A stream in whichever of its two forms it comes: events, or a JSON array.

    Args:
        content_type: The header; an event stream without it is recognised by its first byte.
    """

    def __init__(self, content_type: str) -> None:
        self._frames: Events | Elements | None = Events() if "event-stream" in content_type.lower() else None
        self._held = b""
        self._size = 0

    def feed(self, data: bytes) -> list[Mapping[str, Any]]:
        """Return the objects that the data completes."""
        self._size += len(data)
        if self._size > MAX_STREAM_BYTES:
            raise too_large(MAX_STREAM_BYTES)
        if self._frames is None:
            self._held += data
            if len(self._held) < len(BOM) and BOM.startswith(self._held):
                return []
            data, self._held = self._held.removeprefix(BOM), b""
            self._frames = Events() if data.startswith(STARTS_OF_EVENTS) else Elements()
        return self._frames.feed(data)

    def finish(self) -> list[Mapping[str, Any]]:
        """Return the last objects."""
        if self._held:
            raise unreadable()
        return self._frames.finish() if self._frames is not None else []


class Body:
    """The body of one HTTP response, in whichever form it has.

    Attributes:
        full: Whether nothing that follows would be looked at.
    """

    def __init__(self, status: int, headers: Mapping[str, str], *, streamed: bool) -> None:
        self._status = status
        self._headers = {name.lower(): text for name, text in headers.items()}
        encoding = self._headers.get("content-encoding", "")
        self._decompressor = Decompressor(encoding if status == OK or encoding.lower() in WINDOW_BITS else "")
        self._frames = Stream(self._headers.get("content-type", "")) if streamed else Whole()
        self._error = bytearray()

    @property
    def full(self) -> bool:
        """Whether this is an error of which all is known that will be looked at."""
        return len(self._error) > MAX_ERROR_BYTES

    def feed(self, data: bytes) -> Iterator[list[Mapping[str, Any]]]:
        """Yield the objects that the data completes, a list for each piece that was decompressed.

        Raises:
            InvalidReplyError: It is too large, or in no form that is known.
        """
        if self._status == OK:
            yield from map(self._frames.feed, self._decompressor.feed(data))
            return
        with suppress(InvalidReplyError):  # the status says more than a body that cannot be decompressed
            for piece in self._decompressor.feed(data):
                self._error += piece
                if self.full:
                    return
        yield []

    def finish(self) -> list[Mapping[str, Any]]:
        """Return the last objects.

        Raises:
            InvalidReplyError: Something is missing.
        """
        if self._status == OK:
            self._decompressor.finish()
            return self._frames.finish()
        return []

    @property
    def refusal(self) -> Told | None:
        """What the service said instead of an answer; None when it answers."""
        return None if self._status == OK else Told.of(self._status, self._headers, bytes(self._error))


OK = 200
