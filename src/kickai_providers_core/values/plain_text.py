"""Text that is safe to show: one line without control characters, encodable, bounded; and counts with their nouns."""

from __future__ import annotations

import re

__all__ = ["clean_line", "clean_text", "format_count"]

UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]+")
"""Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls, and lone surrogates.

A terminal obeys the first, readers are deceived by the others ("Trojan Source", CVE-2021-42574), and UTF-8 has no place
for the last.
"""
SURROGATE = re.compile("[\\ud800-\\udfff]")


def clean_line(text: object, limit: int) -> str:
    """Return text from a service or a plugin as one printable line of at most ``limit`` characters.

    Control characters and line ends become single spaces; what is cut off is marked by ``…``.

    Args:
        text: The text; the ``str`` of anything else.
        limit: The most characters to return, at least 1.
    """
    line = text if isinstance(text, str) else str(text)
    if len(line) > 2 * limit:  # so that a page of text is not searched whole
        line = line[: 2 * limit]
    if not line.isprintable():
        line = UNPRINTABLE.sub(" ", line).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: ``1 token``, ``2 tokens``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clean_text(text: str) -> str:
    """Return the text so that UTF-8 can encode it.

    The two UTF-16 halves of one character, which JSON may hold apart, become that character. A half without its other
    half becomes U+FFFD. Nothing else changes.
    """
    if text.isascii() or not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
