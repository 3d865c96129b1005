"""The sums of the minutes of past hours, within a transaction.

Minutes are kept for two days. A report on days needs only the sums of an hour, and reads these instead of up to 60
rows for each target, role and arm. They can be computed again at any time: whoever changes a minute deletes them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.stores.cells import HOUR_S, MINUTE_S

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from kickai_providers_core.stores.sqlite.cell_rows import Row

__all__ = ["find_gaps", "find_unsummed", "forget_hours", "insert_hour", "read_hour_sums"]

SETTLED_S = 300
"""Seconds after the end of an hour from which its minutes are added up: processes have written theirs by then."""


def find_unsummed(connection: sqlite3.Connection, now_s: float) -> list[int]:
    """Return the beginnings of the past hours with minutes but without sums."""
    found = []
    before_s = int(now_s) - SETTLED_S - HOUR_S
    start_s = _find_hour(connection, 0)
    while start_s is not None and start_s <= before_s:
        row = connection.execute("SELECT 1 FROM hour_sums WHERE start_s = ? LIMIT 1", (start_s,)).fetchone()
        if row is None:
            found.append(start_s)
        start_s = _find_hour(connection, start_s + HOUR_S)
    return found


def insert_hour(connection: sqlite3.Connection, rows: Iterable[tuple[Any, ...]]) -> None:
    """Insert the sums of an hour: for each series its beginning, number, counters and two histograms."""
    connection.executemany("INSERT INTO hour_sums VALUES (?, ?, ?, ?, ?)", rows)


def forget_hours(connection: sqlite3.Connection, starts: Iterable[int]) -> bool:
    """Delete the sums of the hours that contain these times, and return whether there were any."""
    hours = {(start_s - start_s % HOUR_S,) for start_s in starts}
    return connection.executemany("DELETE FROM hour_sums WHERE start_s = ?", sorted(hours)).rowcount > 0


def read_hour_sums(
    connection: sqlite3.Connection, after: tuple[int, int], end_s: int, limit: int
) -> tuple[list[Row], tuple[int, int] | None]:
    """Return the sums of hours that end by ``end_s`` as rows of cells, and where to go on; None when that is all.

    Args:
        connection: The connection.
        after: The beginning and series of the last row that was read.
        end_s: A time in seconds since 1970.
        limit: The maximum number of rows.
    """
    rows = connection.execute(
        "SELECT ?, start_s, series, counters, latency, first_token FROM hour_sums "
        "WHERE (start_s, series) > (?, ?) AND start_s <= ? ORDER BY start_s, series LIMIT ?",
        (HOUR_S, *after, end_s - HOUR_S, limit),
    ).fetchall()
    return rows, (rows[-1][1], rows[-1][2]) if len(rows) == limit else None


def find_gaps(hours: Iterable[int], start_s: int, end_s: int) -> Iterator[tuple[int, int]]:
    """Yield the periods within ``[start_s, end_s)`` that none of the hours covers, in order of time."""
    for hour_s in sorted(hours):
        if start_s < hour_s:
            yield start_s, hour_s
        start_s = hour_s + HOUR_S
    if start_s < end_s:
        yield start_s, end_s


def _find_hour(connection: sqlite3.Connection, since_s: int) -> int | None:
    """Return the beginning of the first hour with minutes from a time on; None if there is none."""
    first: int | None = connection.execute(
        "SELECT min(start_s) FROM cells WHERE span_s = ? AND start_s >= ?", (MINUTE_S, since_s)
    ).fetchone()[0]
    return None if first is None else first - first % HOUR_S
