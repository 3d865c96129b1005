"""Joins the halves of characters that a service sends as UTF-16 surrogates, in two pieces of a text.

JSON may write a character beyond U+FFFF as two escapes, and a service may cut its text between the two. Python reads
each half as a surrogate, which no encoding accepts: printing, logging or sending it raises `UnicodeEncodeError`.
"""

from __future__ import annotations

from kickai_providers_core.values.plain_text import clean_text

__all__ = ["SurrogateJoiner"]

_HIGH = ("\ud800", "\udbff")


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
