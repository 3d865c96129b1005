"""Reads the cells of a day, complete and once, even if another process adds some up meanwhile."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kickai_providers_core.stores import cells as rules
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.trusted import evolve_trusted

from kickai_redis.cell_forms import OPEN, Dictionaries, NumberedSums, decode_period
from kickai_redis.errors import DamagedError
from kickai_redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kickai_providers_core.values.metrics import Cell, CellKey

    from kickai_redis.connection import Connection
    from kickai_redis.key_names import Keys

__all__ = ["LEVELS", "CellReader", "Place", "read_periods", "read_starts"]

FIND_FIRST = Script.load("find_first")
READ_STARTS = Script.load("read_starts")
READ_CELLS = Script.load("read_cells")
READ_DICTIONARIES = Script.load("read_dictionaries")

LEVELS = (OPEN, rules.MINUTE_S, rules.HOUR_S, rules.DAY_S)

SLICE = 60
"""The number of periods that one call reads, within a few milliseconds: the server does nothing else meanwhile."""

MAX_READINGS = 40
"""How often a day is read again because some of its cells were added up meanwhile."""

PAUSE_S = 0.05
"""Seconds between two readings."""

Place = tuple[int, int]
"""A level, and the start of a period."""


def read_starts(connection: Connection, keys: Keys, start_s: int, end_s: int) -> tuple[bytes, list[Place]]:
    """Return how often cells of the day were added up, and the periods with cells that begin in ``[start, end)``."""
    names = (keys.facts, keys.changes, *(keys.starts(level) for level in LEVELS))
    found = connection.run(READ_STARTS, names, (start_s // rules.DAY_S, start_s, end_s))
    with connection.explain_errors():
        changes, *starts = found
        return changes, [(level, int(start)) for level, each in zip(LEVELS, starts, strict=True) for start in each]


def read_periods(
    connection: Connection, keys: Keys, places: Sequence[Place]
) -> Iterator[tuple[Place, bytes, dict[int, NumberedSums]]]:
    """Yield periods with their versions and the sums of their cells by series."""
    for first in range(0, len(places), SLICE):
        some = places[first : first + SLICE]
        found = connection.run(READ_CELLS, (keys.facts, *(keys.cells(*place) for place in some)))
        with connection.explain_errors():
            decoded = [(place, *decode_period(place[0], flat)) for place, flat in zip(some, found, strict=True)]
        yield from decoded


class CellReader:
    """Reads cells for one report. Used by one thread.

    Args:
        connection: The server.
        keys: The names of the keys.
        sleep: Waits for some seconds.
    """

    def __init__(self, connection: Connection, keys: Keys, sleep: Callable[[float], None] = time.sleep) -> None:
        self._connection = connection
        self._keys = keys
        self._sleep = sleep
        self._names = Dictionaries()

    def find_first(self, since_s: int, until_s: int | None) -> int | None:
        """Return the start of the first period with cells in ``[since_s, until_s)``; None if there is none."""
        keys = (self._keys.facts, *(self._keys.starts(level) for level in LEVELS))
        found = self._connection.run(FIND_FIRST, keys, (since_s,))
        with self._connection.explain_errors():
            first = int(found[0]) if found else None
        return None if first is None or (until_s is not None and first >= until_s) else first

    def read_day(self, start_s: int, end_s: int) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells of a part of one day, in order of time.

        Raises:
            StoreError: Other processes add up its cells again and again.
        """
        for attempt in range(MAX_READINGS):
            if attempt:
                self._sleep(PAUSE_S)
            changes, places = read_starts(self._connection, self._keys, start_s, end_s)
            sums = self._add_up(places)
            if read_starts(self._connection, self._keys, start_s, end_s)[0] == changes:
                yield from self._name(sums)
                return
        day = start_s // rules.DAY_S
        raise StoreError(f"the metrics of day {day} since 1970 are being added up all the time: try again")

    def _add_up(self, places: Sequence[Place]) -> dict[tuple[int, int, int], NumberedSums]:
        """Return the sums by start, span and series: a minute may have open and packed cells."""
        total: dict[tuple[int, int, int], NumberedSums] = {}
        for (level, start_s), _, cells in read_periods(self._connection, self._keys, places):
            span_s = level or rules.MINUTE_S
            for series, sums in cells.items():
                total.setdefault((start_s, span_s, series), NumberedSums()).add(sums)
        return total

    def _name(self, sums: Mapping[tuple[int, int, int], NumberedSums]) -> Iterator[tuple[CellKey, Cell]]:
        if not all(self._names.has(series, each) for (_, _, series), each in sums.items()):
            keys = (self._keys.facts, self._keys.series, self._keys.counters)
            found = self._connection.run(READ_DICTIONARIES, keys)
            with self._connection.explain_errors():
                self._names = Dictionaries.decode(*found)
        with self._connection.explain_errors():
            for (start_s, span_s, series), each in sorted(sums.items()):
                if not self._names.has(series, each):
                    raise DamagedError("the names of the metrics")
                example = self._names.series[series]
                yield evolve_trusted(example, start_s=start_s, span_s=span_s), self._names.get_cell(each)
