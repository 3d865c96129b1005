"""Server-sent events, read as the WHATWG specification says.

See https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6. The decoder does no I/O: feed it
bytes, split in any way, and get events. `sse_events` and `asse_events` put it on top of an iterator of bytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from kickai_providers_core.authoring.closing_sources import aclosing_source, closing_source
from kickai_providers_core.authoring.loop_pauses import Pauses, split_chunk
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

__all__ = ["MAX_EVENT_BYTES", "EventStreamDecoder", "ServerSentEvent", "asse_events", "sse_events"]

MAX_EVENT_BYTES = 4 * 2**20
"""The default for the most bytes of one event, which usually holds a token or a tool call."""

_LINE_END = re.compile(rb"\r\n|\r|\n")
_BOM = b"\xef\xbb\xbf"
_DIGITS = re.compile(rb"[0-9]{1,15}")
_FIELDS = frozenset({b"", b"data", b"event", b"id", b"retry"})
"""The fields of the specification; a comment has an empty name."""

_MAX_UNKNOWN_BYTES = 64 * 2**10


@frozen(kw_only=True)
class ServerSentEvent:
    """One event of a stream.

    Attributes:
        event: Its type; ``message`` by default.
        data: Its data, with lines joined by a line feed. Hidden from the repr.
        id: The last id in the stream so far; empty when there was none.
        retry_ms: The reconnection time in this event's block, in milliseconds; None without one.
    """

    event: str = "message"
    data: str = field(default="", repr=False)
    id: str = ""
    retry_ms: int | None = None


class EventStreamDecoder:
    """Turns the bytes of an event stream into events. Not safe to share between threads.

    Line ends are LF, CR or CRLF, in any mixture and with any split between reads. A byte-order mark at the start is
    skipped, comments are skipped, and fields that the specification does not know are ignored.

    *A stream that was cut:* the specification discards an event without a blank line after it, so the end of the bytes
    never completes one. A reader therefore needs a sign of its own protocol that the answer is whole (``[DONE]``, a
    finish reason, ``"done": true``), and raises `InvalidReplyError` without it. `is_unfinished` is true when the bytes
    ended inside an event.

    Args:
        max_event_bytes: The most bytes of one event, from 1, including a line that is not complete yet.
        errors: What happens to bytes that are not UTF-8: ``strict`` raises `InvalidReplyError`, ``replace`` puts
            U+FFFD in their place, as a browser does.

    Attributes:
        retry_ms: The last reconnection time in the stream so far, in milliseconds; None when there was none.
        unknown_lines: The lines so far with a field that the specification does not know, without their ends; at most
            64 KiB. Some services write an error there when they fail within a stream.
    """

    def __init__(
        self, *, max_event_bytes: int = MAX_EVENT_BYTES, errors: Literal["strict", "replace"] = "strict"
    ) -> None:
        self.retry_ms: int | None = None
        self.unknown_lines: list[bytes] = []
        self._unknown_size = 0
        self._max_event_bytes = max_event_bytes
        self._errors = errors
        self._is_first_line = True
        self._ended_with_cr = False
        self._line = bytearray()
        self._id = ""
        self._clear()

    def _clear(self) -> None:
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._block_retry_ms: int | None = None

    @property
    def is_unfinished(self) -> bool:
        """Whether the bytes so far end inside an event, which is discarded when nothing follows."""
        return bool(self._line or self._data)

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes and return the events that they complete, in order.

        Raises:
            InvalidReplyError: An event is too large, or is not UTF-8.
        """
        if self._is_between_events(data):
            return self._take_events(data)
        if self._ended_with_cr and data:
            self._ended_with_cr = False
            if data.startswith(b"\n"):
                data = data[1:]
        self._ended_with_cr = self._ended_with_cr or data.endswith(b"\r")
        *lines, rest = _LINE_END.split(data) if b"\r" in data else data.split(b"\n")
        events = []
        for line in lines:
            event = self._take_line(self._complete(line))
            if event is not None:
                events.append(event)
        self._line += rest
        self._check_size(len(self._line))
        return events

    def finish(self) -> None:
        """End the stream: discard an event without a blank line after it, as the specification says."""
        self._line.clear()
        self._clear()

    def _is_between_events(self, data: bytes) -> bool:
        """Return whether these bytes are whole events: the usual case."""
        is_within = self._ended_with_cr or self._line or self._data or self._event or self._block_retry_ms is not None
        return not is_within and data.endswith(b"\n\n") and b"\r" not in data

    def _take_events(self, data: bytes) -> list[ServerSentEvent]:
        """Return the events of bytes that hold whole ones; most have one line, of data."""
        events: list[ServerSentEvent] = []
        for block in data[:-2].split(b"\n\n"):
            if block.startswith(b"data: ") and b"\n" not in block:
                self._is_first_line = False
                self._check_size(len(block))
                events.append(ServerSentEvent(data=self._decode(block[6:]), id=self._id))
                continue
            for line in (*block.split(b"\n"), b""):
                event = self._take_line(self._complete(line))
                if event is not None:
                    events.append(event)
        return events

    def _complete(self, end: bytes) -> bytes:
        line = end
        if self._line:
            line = bytes(self._line) + end
            self._line.clear()
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        return line

    def _check_size(self, more: int) -> None:
        if self._size + more > self._max_event_bytes:
            raise InvalidReplyError(f"an event of the stream is larger than {self._max_event_bytes} bytes")

    def _take_line(self, line: bytes) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._check_size(len(line))
            self._size += len(line)
            self._data.append(self._decode(value))
        elif name == b"event":
            self._event = self._decode(value)
        elif name == b"id" and b"\0" not in value:
            self._id = self._decode(value)
        elif name == b"retry" and _DIGITS.fullmatch(value):
            self.retry_ms = self._block_retry_ms = int(value)
        elif name not in _FIELDS:
            self._keep_unknown(line)
        return None

    def _keep_unknown(self, line: bytes) -> None:
        room = _MAX_UNKNOWN_BYTES - self._unknown_size
        if room > 0:
            self.unknown_lines.append(line[:room])
            self._unknown_size += len(line[:room])

    def _dispatch(self) -> ServerSentEvent | None:
        event = None
        if self._data:
            event = ServerSentEvent(
                event=self._event or "message", data="\n".join(self._data), id=self._id, retry_ms=self._block_retry_ms
            )
        self._clear()
        return event

    def _decode(self, value: bytes) -> str:
        try:
            return value.decode("utf-8", self._errors)
        except UnicodeDecodeError:
            raise InvalidReplyError("the event stream is not UTF-8") from None


def sse_events(
    chunks: Iterable[bytes], *, max_event_bytes: int = MAX_EVENT_BYTES
) -> Generator[ServerSentEvent, None, None]:
    """Yield the events of a stream; closing this iterator closes ``chunks`` when that can be closed.

    Args:
        chunks: The decompressed bytes, split in any way.
        max_event_bytes: The most bytes of one event, from 1.

    Raises:
        InvalidReplyError: An event is too large, or is not UTF-8.
    """
    decoder = EventStreamDecoder(max_event_bytes=max_event_bytes)
    with closing_source(chunks):
        for chunk in chunks:
            yield from decoder.feed(chunk)


async def asse_events(
    chunks: AsyncIterable[bytes], *, max_event_bytes: int = MAX_EVENT_BYTES
) -> AsyncGenerator[ServerSentEvent, None]:
    """Yield the events of a stream, as `sse_events` does, and let other tasks of the event loop run in between."""
    decoder = EventStreamDecoder(max_event_bytes=max_event_bytes)
    pauses = Pauses()
    async with aclosing_source(chunks):
        async for chunk in chunks:
            for part in split_chunk(chunk):
                for event in decoder.feed(part):
                    yield event
                await pauses.pause()
