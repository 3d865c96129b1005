"""The marks of suspensions and open breakers in a memory store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import HealthMark
from kickai_providers_core.stores.memory.state import StoredMark

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.stores.memory.state import SwitchedContent

__all__ = ["MemoryHealth"]


class MemoryHealth:
    """Implements `HealthMarks`; see there, and `MemoryStore`."""

    def __init__(self, content: SwitchedContent, clock: Callable[[], float]) -> None:
        self._content = content
        self._clock = clock

    def publish(self, marks: Sequence[HealthMark]) -> None:
        """Add marks, each with a new generation. The one that ends later stays."""
        content = self._content.get()
        with content.lock:
            now_s = self._clock()
            for mark in marks:
                if not mark.left_s:
                    continue
                content.generation += 1
                older, ends_s = content.marks.get((mark.key, mark.kind)), now_s + mark.left_s
                if older is not None and older.ends_s >= ends_s:
                    older.generation = content.generation
                else:
                    stored = StoredMark(mark.reason, mark.stated, ends_s, content.generation)
                    content.marks[mark.key, mark.kind] = stored
            content.marks = {place: mark for place, mark in content.marks.items() if mark.ends_s > now_s}

    def read(self) -> Sequence[HealthMark]:
        """Return the marks that have time left."""
        content = self._content.get()
        with content.lock:
            now_s = self._clock()
            marks = sorted(content.marks.items(), key=lambda item: item[1].generation)
            return [
                HealthMark(
                    key=key,
                    kind=kind,
                    reason=mark.reason,
                    left_s=mark.ends_s - now_s,
                    stated=mark.stated,
                    generation=mark.generation,
                )
                for (key, kind), mark in marks
                if mark.ends_s > now_s
            ]

    def lift(self, key: str, generation: int) -> None:
        """Remove the marks of a key up to a generation."""
        content = self._content.get()
        with content.lock:
            content.marks = {
                place: mark for place, mark in content.marks.items() if place[0] != key or mark.generation > generation
            }
