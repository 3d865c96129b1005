"""A JSON array that arrives in pieces: its elements, as soon as each is complete. No I/O."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from kickai_providers_core import InvalidReplyError

from kickai_gemini.errors import unreadable_error

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["JsonArrayDecoder"]

MAX_DEPTH = 100
"""The deepest nesting of an element; the JSON parser of google-generativeai has the same limit."""

_SYNTAX = re.compile(rb'["\\{}\[\]]')
_SPACES = re.compile(rb"[ \t\r\n]+")
_MOVES = {
    ("first", b"]"): "end",
    ("first", b"{"): "element",
    ("first", b"["): "element",
    ("after", b","): "next",
    ("after", b"]"): "end",
    ("next", b"{"): "element",
    ("next", b"["): "element",  # an error may come in a list of its own
}
"""From a state, by the character that follows, to the next state."""


class JsonArrayDecoder:
    """Turns the bytes of a JSON array of objects, split in any way, into its elements; or those of a single object.

    Args:
        max_bytes: The most bytes of one element.
    """

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._scanned = 0
        self._depth = 0
        self._is_in_text = False
        self._is_array = True
        self._state = "start"

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield the elements that the data completes.

        Raises:
            InvalidReplyError: It is not an array of objects, or an element is too large.
        """
        self._buffer += data
        while (element := self._take_element()) is not None:
            yield element
        if len(self._buffer) > self._max_bytes:
            raise InvalidReplyError(f"the answer is larger than {self._max_bytes} bytes")

    def finish(self) -> None:
        """Check that the array was closed.

        Raises:
            InvalidReplyError: It was not.
        """
        self._skip_space()
        if self._state == "start" and not self._buffer:
            return
        if not self._is_array and self._state != "end":
            raise unreadable_error()
        if self._state != "end" or self._buffer:
            raise InvalidReplyError("the answer was cut: its list of responses does not end")

    def _take_element(self) -> bytes | None:
        """Return the next whole element; None when it is not complete yet."""
        while self._state != "element":
            self._skip_space()
            if not self._buffer:
                return None
            self._take_punctuation(bytes(self._buffer[:1]))
        end = self._find_end()
        if end is None:
            return None
        element = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._scanned = 0
        self._state = "after" if self._is_array else "end"
        return element

    def _take_punctuation(self, mark: bytes) -> None:
        """Take what is between elements."""
        if self._state == "start" and mark in {b"[", b"{"}:
            self._is_array = mark == b"["
            self._state = "first" if self._is_array else "element"
        elif (self._state, mark) in _MOVES:
            self._state = _MOVES[self._state, mark]
        else:
            raise unreadable_error()
        if self._state != "element":
            del self._buffer[0]

    def _skip_space(self) -> None:
        found = _SPACES.match(self._buffer)
        if found is not None:
            del self._buffer[: found.end()]

    def _find_end(self) -> int | None:
        """Return where the element in the buffer ends, looking at new bytes only."""
        position = self._scanned
        while (found := _SYNTAX.search(self._buffer, position)) is not None:
            mark, position = found[0], found.end()
            if mark == b"\\":
                if position == len(self._buffer):  # the escaped character has not arrived yet
                    self._scanned = found.start()
                    return None
                position += 1
            elif mark == b'"':
                self._is_in_text = not self._is_in_text
            elif not self._is_in_text:
                self._depth += 1 if mark in b"{[" else -1
                if self._depth > MAX_DEPTH:
                    raise unreadable_error()
                if not self._depth:
                    return position
        self._scanned = len(self._buffer)
        return None
