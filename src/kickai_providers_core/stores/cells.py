"""Adds up cells, and limits the names in them. Every store follows these rules."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve

from kickai_providers_core.stores.retention import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    WRITERS_KEPT_S,
    find_compacted_before,
    find_deleted_before,
)
from kickai_providers_core.values.histogram import add_counts
from kickai_providers_core.values.metrics import Cell
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import NAME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from kickai_providers_core.values.metrics import CellKey

__all__ = [
    "DAY_S",
    "HOUR_S",
    "MAX_NAMES",
    "MINUTE_S",
    "OTHER",
    "WRITERS_KEPT_S",
    "add_cells",
    "add_up_periods",
    "find_compacted_before",
    "find_deleted_before",
    "find_family",
    "limit_names",
    "widen",
]

Name = TypeVar("Name", str, int)

MAX_NAMES = 200
"""The number of models, and of counters of one family, that are kept apart in a day."""

OTHER = "other"
"""The name of all further ones."""

MODEL = "model"
"""The family of models; no counter has it, since families of counters end with a separator."""


def add_cells(one: Cell | None, other: Cell) -> Cell:
    """Return the sum of two cells; None is an empty cell."""
    if one is None:
        return other
    return Cell(
        counters=_add(one.counters, other.counters),
        latency=_add(one.latency, other.latency),
        first_token=_add(one.first_token, other.first_token),
    )


def _add(one: Mapping[Name, int], other: Mapping[Name, int]) -> dict[Name, int]:
    total = dict(one)
    add_counts(total, other)
    return total


def widen(key: CellKey, span_s: int) -> CellKey:
    """Return the key of the longer period of ``span_s`` seconds that contains the period of a key."""
    return evolve(key, start_s=key.start_s - key.start_s % span_s, span_s=span_s)


def add_up_periods(cells: Iterable[tuple[CellKey, Cell]], span_s: int) -> Iterator[tuple[CellKey, Cell]]:
    """Yield cells in order of time, those of shorter periods added up to periods of ``span_s`` seconds.

    Args:
        cells: The cells in order of time.
        span_s: The length in seconds: `MINUTE_S`, `HOUR_S` or `DAY_S`.
    """
    total: dict[CellKey, Cell] = {}
    end_s = 0
    for key, cell in cells:
        if key.start_s >= end_s:
            yield from sorted(total.items(), key=itemgetter(0))
            total = {}
        place = widen(key, span_s) if key.span_s < span_s else key
        end_s = max(end_s, place.start_s + place.span_s)
        total[place] = add_cells(total.get(place), cell)
    yield from sorted(total.items(), key=itemgetter(0))


def find_family(counter: str) -> str:
    """Return the family of a counter, which is its name up to the last ``.`` or ``:``; empty for none."""
    return counter[: max(counter.rfind("."), counter.rfind(":")) + 1]


def limit_names(cells: Mapping[CellKey, Cell], is_admitted: Callable[[int, str, str], bool]) -> dict[CellKey, Cell]:
    """Return cells in which the names that are not admitted are ``other``. The sums stay the same.

    Args:
        cells: The cells.
        is_admitted: Takes a day (in days since 1970), a family and a name of it. It returns whether the name is one
            of the first `MAX_NAMES` of the day.
    """
    limited: dict[CellKey, Cell] = {}
    for key, cell in cells.items():
        day, model = key.start_s // DAY_S, _clean(key.model)
        if model not in {"", OTHER} and not is_admitted(day, MODEL, model):
            model = OTHER
        counters: dict[str, int] = {}
        for name, count in cell.counters.items():
            family = find_family(name)
            rest = _clean(name[len(family) :])
            if family and rest != OTHER and not is_admitted(day, family, rest):
                rest = OTHER
            counters[family + rest] = counters.get(family + rest, 0) + count
        limited_key = evolve(key, model=model)
        limited[limited_key] = add_cells(limited.get(limited_key), evolve(cell, counters=counters))
    return limited


def _clean(name: str) -> str:
    """Return a name as a store can keep it: services choose the names of their models."""
    if name.isascii() and name.isprintable() and len(name) <= NAME_LIMIT:
        return name
    return clean_line(name, NAME_LIMIT) or OTHER
