"""Stop texts, for servers that repeat them or write past them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["StopTexts"]


class StopTexts:
    """Cuts a streamed text at the first stop text. Not safe to share between threads.

    Some servers repeat the stop text (TGI), some ignore the parameter. Text that may be the beginning of a stop text
    is held back until more text decides it.

    Args:
        stop: The stop texts; empty ones are ignored.

    Attributes:
        is_reached: Whether a stop text was found; all later text is dropped.
    """

    def __init__(self, stop: Sequence[str]) -> None:
        self._stop = [text for text in stop if text]
        self._held = ""
        self.is_reached = False

    def feed(self, text: str) -> str:
        """Take more text; return what belongs to the answer for certain."""
        if not self._stop or self.is_reached:
            return "" if self.is_reached else text
        text = self._held + text
        found = [at for at in map(text.find, self._stop) if at >= 0]
        self.is_reached = bool(found)
        cut = min(found) if found else len(text) - self._count_beginning(text)
        self._held = "" if found else text[cut:]
        return text[:cut]

    def finish(self) -> str:
        """Return what was held back: no more text follows, so it belongs to the answer."""
        held, self._held = self._held, ""
        return held

    def _count_beginning(self, text: str) -> int:
        """Return how many characters at the end of a text may be the beginning of a stop text."""
        longest = min(max(map(len, self._stop)) - 1, len(text))
        return next(
            (size for size in range(longest, 0, -1) if any(stop.startswith(text[-size:]) for stop in self._stop)), 0
        )
