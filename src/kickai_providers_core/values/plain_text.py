"""Makes text safe to display and to encode, and formats counts with their nouns."""

from __future__ import annotations

import re

__all__ = ["clean_line", "clean_text", "format_count"]

UNPRINTABLE = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]+")
"""Control characters (C0, DEL, C1), line and paragraph separators, bidirectional controls, and lone surrogates.

Terminals interpret control characters, bidirectional controls can deceive readers ("Trojan Source", CVE-2021-42574),
and UTF-8 cannot encode lone surrogates.
"""
SURROGATE = re.compile("[\\ud800-\\udfff]")


def clean_line(text: object, limit: int) -> str:
    """Return text from a service or a plugin as one printable line of at most ``limit`` characters.

    Control characters and line ends become single spaces. A line that is too long ends with ``…``.

    Args:
        text: The text, or an object whose ``str`` is used.
        limit: The maximum length in characters, at least 1.
    """
    line = text if isinstance(text, str) else str(text)
    if len(line) > 2 * limit:  # avoids searching a whole page of text
        line = line[: 2 * limit]
    if not line.isprintable():
        line = UNPRINTABLE.sub(" ", line).strip()
    return line if len(line) <= limit else line[: limit - 1] + "…"


def format_count(number: int, noun: str) -> str:
    """Return a number with its noun in the right form: ``1 token``, ``2 tokens``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def clean_text(text: str) -> str:
    """Return text that UTF-8 can encode.

    A pair of UTF-16 surrogates, as JSON may contain it, becomes the character that it encodes. A lone surrogate becomes
    U+FFFD. Nothing else changes.
    """
    if text.isascii() or not SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
