"""Text as services send it in JSON: UTF-16 halves that belong together are joined, lone ones become U+FFFD.

JSON may write a character beyond U+FFFF as two escapes, and a service may cut its text between the two. Python reads
each half as a surrogate, which no encoding accepts: printing, logging or sending it raises `UnicodeEncodeError`.
"""

from __future__ import annotations

import re

__all__ = ["SurrogateJoiner", "clean_text", "printable_name"]

_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_LONGEST_NAME = 200
_HIGH = ("\ud800", "\udbff")
_PAIR_LENGTH = 2


def _join(found: re.Match[str]) -> str:
    halves = found[0]
    return halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le") if len(halves) == _PAIR_LENGTH else "\ufffd"


def clean_text(text: str) -> str:
    """Return a whole text with its surrogate pairs joined and each lone surrogate replaced by U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub(_join, text)


def printable_name(value: object) -> str:
    """Return a service's name for something, such as a model, in printable ASCII; empty if it is not text.

    Names go into replies, errors and messages, and from there to terminals. At most 200 characters are kept.
    """
    return _UNPRINTABLE.sub("", value)[:_LONGEST_NAME] if isinstance(value, str) else ""


class SurrogateJoiner:
    """Joins surrogate pairs that arrive in two pieces of a text. Not safe to share between threads.

    Use one for each text: the answer, the reasoning, the arguments of each tool call.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the next piece as valid Unicode; a high surrogate at its end is held back for the next piece."""
        if self._held:
            if not text:
                return ""
            text, self._held = self._held + text, ""
        if text and _HIGH[0] <= text[-1] <= _HIGH[1]:
            text, self._held = text[:-1], text[-1]
        return clean_text(text)

    def finish(self) -> str:
        """Return what was held back: nothing, or U+FFFD for a high surrogate without a second half."""
        held, self._held = self._held, ""
        return clean_text(held)
