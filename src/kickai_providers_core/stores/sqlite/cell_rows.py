"""The rows of cells, within a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.stores.cells import add_cells
from kickai_providers_core.stores.sqlite.errors import DamagedError
from kickai_providers_core.values.histogram import pack, unpack
from kickai_providers_core.values.metrics import Cell, CellKey
from kickai_providers_core.values.varint import decode_varints, encode_varints

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

__all__ = ["delete_cells", "read_cells", "write_cells"]

COLUMNS = "span_s, start_s, provider, model, role, arm, cells.counters, latency, first_token"
JOINED = "cells JOIN series ON series.id = cells.series"


def write_cells(connection: sqlite3.Connection, cells: Mapping[CellKey, Cell]) -> None:
    """Add cells to those of the same keys."""
    ids = _CounterIds(connection)
    for key, cell in cells.items():
        place = (key.span_s, key.start_s, _find_series(connection, key))
        row = connection.execute(
            "SELECT counters, latency, first_token FROM cells WHERE span_s = ? AND start_s = ? AND series = ?", place
        ).fetchone()
        total = cell if row is None else add_cells(_decode(ids.names, *row), cell)
        counters = encode_varints(
            number for name, count in total.counters.items() if count for number in (ids.find(name), count)
        )
        connection.execute(
            "INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?)",
            (*place, counters, pack(total.latency), pack(total.first_token)),
        )


def read_cells(
    connection: sqlite3.Connection, span_s: int, after: tuple[int, int], end_s: int, limit: int | None
) -> tuple[list[tuple[CellKey, Cell]], tuple[int, int] | None]:
    """Return cells of a span in order of time, and where to go on; None when that is all.

    Args:
        connection: The connection.
        span_s: The span in seconds.
        after: The beginning and series of the last cell that was read.
        end_s: The end of the time in which their periods begin, in seconds since 1970.
        limit: The maximum number of cells; None for all.
    """
    rows = connection.execute(
        f"SELECT {COLUMNS}, series FROM {JOINED} WHERE span_s = ? AND (start_s, series) > (?, ?) "  # noqa: S608
        "AND start_s < ? ORDER BY start_s, series LIMIT ?",
        (span_s, *after, end_s, -1 if limit is None else limit),
    ).fetchall()
    names = _CounterIds(connection).names
    cells = [_decode_row(names, *row[:-1]) for row in rows]
    is_last = limit is None or len(rows) < limit
    return cells, None if is_last else (rows[-1][1], rows[-1][-1])


def delete_cells(connection: sqlite3.Connection, span_s: int, period: tuple[int, int]) -> list[tuple[CellKey, Cell]]:
    """Delete the cells of a span whose period begins in ``[start, end)``, and return them."""
    place = (span_s, *period)
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM {JOINED} WHERE span_s = ? AND start_s >= ? AND start_s < ?",  # noqa: S608
        place,
    ).fetchall()
    names = _CounterIds(connection).names
    connection.execute("DELETE FROM cells WHERE span_s = ? AND start_s >= ? AND start_s < ?", place)
    return [_decode_row(names, *row) for row in rows]


class _CounterIds:
    """The numbers that stand for the names of counters in packed cells."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.names: dict[int, str] = dict(connection.execute("SELECT id, name FROM counters"))
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


def _decode_row(names: Mapping[int, str], *row: Any) -> tuple[CellKey, Cell]:
    span_s, start_s, provider, model, role, arm, *blobs = row
    key = CellKey(start_s=start_s, span_s=span_s, provider=provider, model=model, role=role, arm=arm)
    return key, _decode(names, *blobs)


def _decode(names: Mapping[int, str], counters: bytes, latency: bytes, first_token: bytes) -> Cell:
    try:
        numbers = decode_varints(counters)
        pairs: Iterable[tuple[int, int]] = zip(numbers[::2], numbers[1::2], strict=True)
        return Cell(
            counters={names[number]: count for number, count in pairs},
            latency=unpack(latency),
            first_token=unpack(first_token),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError("a cell of the metrics") from error
