"""The rows of cells, within a transaction."""

from __future__ import annotations

from collections import defaultdict
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kickai_providers_core.stores.cells import add_cells
from kickai_providers_core.stores.sqlite.errors import DamagedError
from kickai_providers_core.stores.sqlite.packed_counters import add_up_counters, pack_counters, unpack_counters
from kickai_providers_core.values.histogram import add_up_packed, pack, unpack
from kickai_providers_core.values.metrics import Cell, CellKey
from kickai_providers_core.values.trusted import evolve_trusted

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["Names", "Row", "add_up_rows", "decode_rows", "delete_cells", "encode_cells", "read_rows", "write_cells"]

Row = tuple[Any, ...]
"""The columns of a cell."""

COLUMNS = "span_s, start_s, series, counters, latency, first_token"

CELL = "a cell of the metrics"
DAMAGES = (ValueError, KeyError, TypeError, AttributeError)
"""What a damaged row causes: text or a number where bytes should be, among others."""


def write_cells(connection: sqlite3.Connection, cells: Mapping[CellKey, Cell]) -> None:
    """Add cells to those of the same keys."""
    ids = _CounterIds(connection)
    for key, cell in cells.items():
        place = (key.span_s, key.start_s, _find_series(connection, key))
        row = connection.execute(
            "SELECT counters, latency, first_token FROM cells WHERE span_s = ? AND start_s = ? AND series = ?", place
        ).fetchone()
        total = cell if row is None else add_cells(_decode(ids.names, *row), cell)
        connection.execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)", (*place, *_encode(ids, total)))


def encode_cells(connection: sqlite3.Connection, cells: Mapping[CellKey, Cell]) -> Iterator[Row]:
    """Yield the rows of cells of one span without it: the beginning, the series, the counters and two histograms."""
    ids = _CounterIds(connection)
    for key, cell in cells.items():
        yield key.start_s, _find_series(connection, key), *_encode(ids, cell)


def _encode(ids: _CounterIds, cell: Cell) -> tuple[bytes, bytes, bytes]:
    counters = pack_counters({ids.find(name): count for name, count in cell.counters.items() if count})
    return counters, pack(cell.latency), pack(cell.first_token)


def read_rows(
    connection: sqlite3.Connection, span_s: int, after: tuple[int, int], end_s: int, limit: int | None
) -> tuple[list[Row], tuple[int, int] | None]:
    """Return the rows of cells of a span in order of time, and where to go on; None when that is all.

    Args:
        connection: The connection.
        span_s: The span in seconds.
        after: The beginning and series of the last cell that was read.
        end_s: The end of the time in which their periods begin, in seconds since 1970.
        limit: The maximum number of cells; None for all.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM cells WHERE span_s = ? AND (start_s, series) > (?, ?) "  # noqa: S608
        "AND start_s < ? ORDER BY start_s, series LIMIT ?",
        (span_s, *after, end_s, -1 if limit is None else limit),
    ).fetchall()
    is_last = limit is None or len(rows) < limit
    return rows, None if is_last else (rows[-1][1], rows[-1][2])


@frozen
class Names:
    """What the numbers in rows stand for; names are only added.

    Attributes:
        counters: By the number of the counter.
        series: By the number of the series, with the period of an example.
    """

    counters: Mapping[int, str]
    series: Mapping[int, CellKey]

    @classmethod
    def read(cls, connection: sqlite3.Connection) -> Names:
        """Return all names."""
        rows = connection.execute("SELECT id, provider, model, role, arm FROM series")
        series = {
            number: CellKey(start_s=0, provider=provider, model=model, role=role, arm=arm)
            for number, provider, model, role, arm in rows
        }
        return cls(_read_counter_names(connection), series)


def _read_counter_names(connection: sqlite3.Connection) -> dict[int, str]:
    return dict(connection.execute("SELECT id, name FROM counters"))


def delete_cells(connection: sqlite3.Connection, span_s: int, period: tuple[int, int]) -> list[Row]:
    """Delete the cells of a span whose period begins in ``[start, end)``, and return their rows."""
    where, place = "FROM cells WHERE span_s = ? AND start_s >= ? AND start_s < ?", (span_s, *period)
    rows = connection.execute(f"SELECT {COLUMNS} {where}", place).fetchall()
    connection.execute(f"DELETE {where}", place)
    return rows


class _CounterIds:
    """The numbers that stand for the names of counters in packed cells."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.names = _read_counter_names(connection)
        self._ids = {name: number for number, name in self.names.items()}

    def find(self, name: str) -> int:
        """Return the number of a name, which is new if the name is."""
        number = self._ids.get(name)
        if number is None:
            row = self._connection.execute("INSERT INTO counters (name) VALUES (?) RETURNING id", (name,)).fetchone()
            number = self._ids[name] = int(row[0])
            self.names[number] = name
        return number


def _find_series(connection: sqlite3.Connection, key: CellKey) -> int:
    parts = (key.provider, key.model, key.role, key.arm)
    row = connection.execute(
        "SELECT id FROM series WHERE provider = ? AND model = ? AND role = ? AND arm = ?", parts
    ).fetchone()
    if row is None:
        insert = "INSERT INTO series (provider, model, role, arm) VALUES (?, ?, ?, ?) RETURNING id"
        row = connection.execute(insert, parts).fetchone()
    return int(row[0])


def decode_rows(names: Names, rows: Iterable[Row]) -> Iterator[tuple[CellKey, Cell]]:
    """Yield the cells of rows.

    Raises:
        DamagedError: A row is damaged.
    """
    for span_s, start_s, series, counters, latency, first_token in rows:
        key = evolve_trusted(names.series[series], start_s=start_s, span_s=span_s)
        yield key, _decode(names.counters, counters, latency, first_token)


def add_up_rows(names: Names, rows: Iterable[Row], span_s: int) -> dict[CellKey, Cell]:
    """Return the cells of rows, those of shorter periods added up to periods of ``span_s`` seconds, in order of time.

    Raises:
        DamagedError: A row is damaged.
    """
    groups: dict[tuple[int, int, int], list[Row]] = defaultdict(list)
    by_period = itemgetter(0, 1)
    for (shorter_s, start_s), some in groupby(sorted(rows, key=by_period), by_period):
        period = (start_s - start_s % span_s, span_s) if shorter_s < span_s else (start_s, shorter_s)
        for row in some:
            groups[*period, row[2]].append(row)
    total: dict[CellKey, Cell] = {}
    for (start_s, period_s, series), group in sorted(groups.items(), key=itemgetter(0)):
        key = evolve_trusted(names.series[series], start_s=start_s, span_s=period_s)
        _, _, _, counters, latency, first_token = zip(*group, strict=True)
        try:
            total[key] = Cell(
                counters={names.counters[number]: count for number, count in add_up_counters(counters).items()},
                latency=add_up_packed(latency),
                first_token=add_up_packed(first_token),
            )
        except DAMAGES as error:
            raise DamagedError(CELL) from error
    return total


def _decode(names: Mapping[int, str], counters: bytes, latency: bytes, first_token: bytes) -> Cell:
    try:
        return Cell(
            counters={names[number]: count for number, count in unpack_counters(counters).items()},
            latency=unpack(latency),
            first_token=unpack(first_token),
        )
    except DAMAGES as error:
        raise DamagedError(CELL) from error
