"""JSON lines (also called NDJSON): one JSON value on each line, as Ollama and others stream their answers.

The decoder does no I/O. `json_lines` and `ajson_lines` put it on top of an iterator of bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.closing_sources import aclosing_source, closing_source
from kickai_providers_core.authoring.loop_pauses import Pauses, split_chunk
from kickai_providers_core.authoring.strict_json import loads
from kickai_providers_core.values.errors import InvalidReplyError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Generator, Iterable

__all__ = ["MAX_LINE_BYTES", "JsonLinesDecoder", "ajson_lines", "json_lines"]

MAX_LINE_BYTES = 4 * 2**20
"""The default for the most bytes of one line, which usually holds a token or a tool call."""

_BLANKS = b" \t\r"
_BOM = b"\xef\xbb\xbf"


class JsonLinesDecoder:
    """Turns bytes, split in any way, into the JSON values of their lines. Not safe to share between threads.

    Lines end with LF or CRLF; blank lines and a byte-order mark at the start are skipped; the last line needs no line
    end. Each line is parsed by `kickai_providers_core.authoring.strict_json.loads`.

    Args:
        max_line_bytes: The most bytes of one line, from 1.
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._line = bytearray()
        self._is_first_line = True

    def feed(self, data: bytes) -> list[Any]:
        """Take the next bytes and return the values of the lines that they complete, in order.

        Raises:
            InvalidReplyError: A line is too long, or is not JSON in UTF-8.
        """
        *lines, rest = data.split(b"\n")
        values: list[Any] = []
        for end in lines:
            self._extend(end)
            values += self._take_line()
        self._extend(rest)
        return values

    def finish(self) -> list[Any]:
        """Return the value of a last line without a line end; empty when there is none.

        Raises:
            InvalidReplyError: It is not JSON, as in a stream that was cut.
        """
        return self._take_line()

    def _extend(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._max_line_bytes:
            raise InvalidReplyError(f"a line of the answer is longer than {self._max_line_bytes} bytes")

    def _take_line(self) -> list[Any]:
        line = bytes(self._line)
        self._line.clear()
        if self._is_first_line:
            self._is_first_line = False
            line = line.removeprefix(_BOM)
        return [loads(line)] if line.strip(_BLANKS) else []


def json_lines(chunks: Iterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> Generator[Any, None, None]:
    """Yield the values of a stream; closing this iterator closes ``chunks`` when that can be closed.

    Args:
        chunks: The decompressed bytes, split in any way.
        max_line_bytes: The most bytes of one line, from 1.

    Raises:
        InvalidReplyError: A line is too long, or is not JSON in UTF-8.
    """
    decoder = JsonLinesDecoder(max_line_bytes=max_line_bytes)
    with closing_source(chunks):
        for chunk in chunks:
            yield from decoder.feed(chunk)
        yield from decoder.finish()


async def ajson_lines(
    chunks: AsyncIterable[bytes], *, max_line_bytes: int = MAX_LINE_BYTES
) -> AsyncGenerator[Any, None]:
    """Yield the values of a stream, as `json_lines` does, and let other tasks of the event loop run in between."""
    decoder = JsonLinesDecoder(max_line_bytes=max_line_bytes)
    pauses = Pauses()
    async with aclosing_source(chunks):
        async for chunk in chunks:
            for part in split_chunk(chunk):
                for value in decoder.feed(part):
                    yield value
                await pauses.pause()
        for value in decoder.finish():
            yield value
