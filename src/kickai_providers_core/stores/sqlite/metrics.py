"""The metrics in an SQLite file: one row for each cell, with packed counters and histograms."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING

from kickai_providers_core.stores import cells as rules
from kickai_providers_core.stores import retention
from kickai_providers_core.stores.api import Writer
from kickai_providers_core.stores.sqlite.cell_rows import (
    Names,
    Row,
    add_up_rows,
    decode_rows,
    delete_cells,
    encode_cells,
    read_rows,
    write_cells,
)
from kickai_providers_core.stores.sqlite.errors import explain_errors
from kickai_providers_core.stores.sqlite.hour_sums import (
    find_gaps,
    find_unsummed,
    forget_hours,
    insert_hour,
    read_hour_sums,
)
from kickai_providers_core.stores.sqlite.schema import increase_number, read_number

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.stores.sqlite.connection import Database
    from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

__all__ = ["SqliteMetrics"]

SPANS = (rules.MINUTE_S, rules.HOUR_S, rules.DAY_S)

SLICE_ROWS = 1000
"""The number of rows that one transaction reads, within about 10 ms: a reader must not keep writers waiting."""

MAX_READINGS = 20
"""How often a day is read again because it was added up meanwhile, before it is read in one transaction."""

COMPACTIONS = "compactions"
"""The name of the number that each change of past metrics increases, so that a reader notices it."""

Place = tuple[int, int]
"""The beginning and the series of the last row that was read."""


class SqliteMetrics:
    """Implements `Metrics`; see there, and `Database` for threads and forks.

    Args:
        database: The file.
        clock: Returns the monotonic time of the machine in seconds.
        wall: Returns the time in seconds since 1970.
    """

    def __init__(self, database: Database, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._wall = wall

    def add(self, batch: MetricsBatch) -> None:
        """Add a batch, all or nothing, unless it was added before."""
        with self._database.write() as connection:
            row = connection.execute("SELECT last_number FROM writers WHERE process = ?", (batch.process,)).fetchone()
            if row is not None and batch.number <= row[0]:
                return
            connection.execute(
                "INSERT OR REPLACE INTO writers VALUES (?, ?, ?, ?, ?)",
                (batch.process, batch.number, batch.is_final, self._wall(), self._clock()),
            )
            write_cells(connection, rules.limit_names(batch.cells, _NameLimit(connection)))
            if forget_hours(connection, (key.start_s for key in batch.cells)):
                increase_number(connection, COMPACTIONS)

    def read(
        self, since_s: int = 0, until_s: int | None = None, *, span_s: int = rules.MINUTE_S
    ) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells whose period begins in ``[since_s, until_s)``, in order of time; see `Metrics.read`.

        They are read in several short transactions. Each day is complete and counted once, even if another process
        adds up its cells meanwhile.
        """
        first = self._find_first(since_s, until_s)
        while first is not None:
            day = first - first % rules.DAY_S
            end = day + rules.DAY_S
            # Cells that are added up meanwhile begin before the first one.
            yield from self._read_day(max(day, since_s), end if until_s is None else min(end, until_s), span_s)
            first = self._find_first(end, until_s)

    def read_writers(self) -> Sequence[Writer]:
        """Return the processes that have written metrics in the last two days."""
        now_s = self._wall()
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT process, last_number, is_final, wall_s FROM writers WHERE wall_s > ? ORDER BY wall_s, process",
                (now_s - retention.WRITERS_KEPT_S,),
            ).fetchall()
        return [
            Writer(process=process, last_number=number, age_s=max(0.0, now_s - wall_s), is_final=bool(is_final))
            for process, number, is_final, wall_s in rows
        ]

    def compact(self, now_s: float, keep_days: int) -> None:
        """Add up old cells, an hour or a day in each transaction, and delete the oldest."""
        for span_s in (rules.HOUR_S, rules.DAY_S):
            while self._add_up_first(span_s, retention.find_compacted_before(span_s, now_s)):
                pass
        while self._delete_first_day(retention.find_deleted_before(now_s, keep_days)):
            pass
        self._forget_names(now_s)
        with self._database.read() as connection:
            hours = find_unsummed(connection, now_s)
        for start_s in hours:
            self._sum_hour(start_s)

    def _sum_hour(self, start_s: int) -> None:
        """Add up the minutes of an hour, and keep them."""
        with self._database.write() as connection:
            rows, _ = read_rows(connection, rules.MINUTE_S, (start_s, -1), start_s + rules.HOUR_S, None)
            forget_hours(connection, [start_s])  # another process may have been faster
            cells = add_up_rows(Names.read(connection), rows, rules.HOUR_S)
            insert_hour(connection, list(encode_cells(connection, cells)))
            increase_number(connection, COMPACTIONS)

    def _find_first(self, since_s: int, until_s: int | None) -> int | None:
        """Return the beginning of the first cell of a period; None if there is none."""
        with self._database.read() as connection:
            starts = [_find_first_start(connection, span_s, since_s) for span_s in SPANS]
        first = min((start for start in starts if start is not None), default=None)
        return None if first is None or (until_s is not None and first >= until_s) else first

    def _read_day(self, start_s: int, end_s: int, span_s: int) -> Iterator[tuple[CellKey, Cell]]:
        names, rows = self._read_rows(start_s, end_s, span_s)
        if span_s > rules.MINUTE_S:
            with explain_errors(str(self._database.path)):
                yield from add_up_rows(names, rows, span_s).items()
            return
        rows.sort(key=itemgetter(1, 0))
        # A row takes less space than its cell, so the cells are decoded one by one.
        with explain_errors(str(self._database.path)):
            yield from decode_rows(names, rows)

    def _read_rows(self, start_s: int, end_s: int, span_s: int) -> tuple[Names, list[Row]]:
        """Return the names, and the rows of one day as they were at one time; sums of hours for periods of hours."""
        for _ in range(MAX_READINGS):
            rows = self._try_to_read(start_s, end_s, span_s)
            if rows is not None:
                with self._database.read() as connection:
                    return Names.read(connection), rows
        with self._database.read() as connection:
            rows = [row for span_s in SPANS for row in read_rows(connection, span_s, (start_s, -1), end_s, None)[0]]
            return Names.read(connection), rows

    def _try_to_read(self, start_s: int, end_s: int, span_s: int) -> list[Row] | None:
        """Return the rows of one day; None if some were added up or changed between two transactions."""
        compactions = set[int]()

        def read_all(begin_s: int, read: Callable[[sqlite3.Connection, Place], tuple[list[Row], Place | None]]) -> None:
            after: Place | None = (begin_s, -1)
            while after is not None and len(compactions) <= 1:
                with self._database.read() as connection:
                    compactions.add(read_number(connection, COMPACTIONS))
                    rows, after = read(connection, after)
                found.extend(rows)

        found: list[Row] = []
        if span_s >= rules.HOUR_S:
            read_all(start_s, lambda connection, after: read_hour_sums(connection, after, end_s, SLICE_ROWS))
        hours = {start_s for _, start_s, *_ in found}
        periods = [(rules.MINUTE_S, *gap) for gap in find_gaps(hours, start_s, end_s)]
        periods += [(span, start_s, end_s) for span in (rules.HOUR_S, rules.DAY_S)]
        for each_s, begin_s, stop_s in periods:
            read_all(begin_s, partial(_read_slice, span_s=each_s, end_s=stop_s))
        return found if len(compactions) == 1 else None

    def _add_up_first(self, span_s: int, before_s: int) -> bool:
        """Add up the first period with shorter cells; return whether there was one."""
        shorter = [span for span in SPANS if span < span_s]
        with self._database.write() as connection:
            starts = [_find_first_start(connection, shorter_s, 0) for shorter_s in shorter]
            first = min((start for start in starts if start is not None), default=before_s)
            if first >= before_s:
                return False
            start_s = first - first % span_s
            period = start_s, start_s + span_s
            rows = [row for shorter_s in shorter for row in delete_cells(connection, shorter_s, period)]
            forget_hours(connection, range(*period, rules.HOUR_S))
            write_cells(connection, add_up_rows(Names.read(connection), rows, span_s))
            increase_number(connection, COMPACTIONS)
        return True

    def _delete_first_day(self, before_s: int) -> bool:
        """Delete the cells of the first day that is too old; return whether there was one."""
        with self._database.write() as connection:
            starts = [_find_first_start(connection, span_s, 0) for span_s in SPANS]
            first = min((start for start in starts if start is not None), default=before_s)
            if first >= before_s:
                return False
            day_s = first - first % rules.DAY_S
            for span_s in SPANS:
                delete_cells(connection, span_s, (day_s, day_s + rules.DAY_S))
            forget_hours(connection, range(day_s, day_s + rules.DAY_S, rules.HOUR_S))
        return True

    def _forget_names(self, now_s: float) -> None:
        """Delete the names of past days, and processes that have not written for two days by either clock.

        A step of the wall clock must not make a process unknown: its last batch could be added again.
        """
        wall_s, clock_s = self._wall() - retention.WRITERS_KEPT_S, self._clock()
        with self._database.write() as connection:
            last_day = (now_s - retention.MINUTES_KEPT_S) // rules.DAY_S
            connection.execute("DELETE FROM names WHERE day < ?", (last_day,))
            connection.execute(
                "DELETE FROM writers WHERE wall_s < ? AND NOT (clock_s BETWEEN ? AND ?)",
                (wall_s, clock_s - retention.WRITERS_KEPT_S, clock_s),
            )


class _NameLimit:
    """Admits the first names of a family on a day, within one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._names: dict[tuple[int, str], set[str]] = {}

    def __call__(self, day: int, family: str, name: str) -> bool:
        """Return whether a name is one of the first of its family on a day."""
        names = self._names.get((day, family))
        if names is None:
            rows = self._connection.execute("SELECT name FROM names WHERE day = ? AND family = ?", (day, family))
            names = self._names[day, family] = {row[0] for row in rows}
        if name not in names:
            if len(names) >= rules.MAX_NAMES:
                return False
            names.add(name)
            self._connection.execute("INSERT INTO names VALUES (?, ?, ?)", (day, family, name))
        return True


def _read_slice(
    connection: sqlite3.Connection, after: Place, *, span_s: int, end_s: int
) -> tuple[list[Row], Place | None]:
    return read_rows(connection, span_s, after, end_s, SLICE_ROWS)


def _find_first_start(connection: sqlite3.Connection, span_s: int, since_s: int) -> int | None:
    row: tuple[int | None] = connection.execute(
        "SELECT min(start_s) FROM cells WHERE span_s = ? AND start_s >= ?", (span_s, since_s)
    ).fetchone()
    return row[0]
