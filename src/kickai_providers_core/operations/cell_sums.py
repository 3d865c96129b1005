"""Sums of metrics cells: totals of any group of them, which add up exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, define, evolve

from kickai_providers_core.values.histogram import add_counts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.values.histogram import Histogram
    from kickai_providers_core.values.metrics import Cell, CellKey

__all__ = ["Groups", "Sums", "add_up"]


@define
class Sums:
    """The sums of some cells; not safe to change from several threads.

    Attributes:
        counters: Integers from 0, by name.
        latency: The durations of successful whole answers.
        first_token: The times to the first chunk of streamed attempts.
    """

    counters: dict[str, int] = Factory(dict)
    latency: Histogram = Factory(dict)
    first_token: Histogram = Factory(dict)

    def add(self, other: Cell | Sums) -> None:
        """Add the sums of a cell."""
        add_counts(self.counters, other.counters)
        add_counts(self.latency, other.latency)
        add_counts(self.first_token, other.first_token)

    def get(self, name: str) -> int:
        """Return a counter; 0 if nothing was counted."""
        return self.counters.get(name, 0)

    def find(self, prefix: str) -> dict[str, int]:
        """Return the counters whose names begin with a prefix, by the rest of their names."""
        at = len(prefix)
        return {name[at:]: count for name, count in self.counters.items() if name.startswith(prefix) and count}


Groups = dict["CellKey", Sums]
"""The sums of the cells with the same key."""


def add_up(cells: Iterable[tuple[CellKey, Cell]], span_s: int) -> Groups:
    """Return the sums of cells by provider, model, role, arm and period.

    Args:
        cells: The cells, each once.
        span_s: The length of a period in seconds. A cell with a longer one counts where it begins.
    """
    groups: Groups = {}
    # A store may have 100,000 cells: only the keys of the groups are built.
    found: dict[tuple[int, str, str, str, str], Sums] = {}
    for key, cell in cells:
        place = key.start_s // span_s, key.provider, key.model, key.role, key.arm
        sums = found.get(place)
        if sums is None:
            sums = found[place] = groups[evolve(key, start_s=place[0] * span_s, span_s=span_s)] = Sums()
        sums.add(cell)
    return groups
