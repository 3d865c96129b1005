"""The marks of suspensions and open breakers in an SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import HealthMark
from kickai_providers_core.stores.expiry import find_left_s
from kickai_providers_core.stores.sqlite.schema import increase_number

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from kickai_providers_core.stores.sqlite.connection import Database

__all__ = ["SqliteHealth"]

GENERATION = "generation"
COLUMNS = "key, kind, reason, stated, ends_s, duration_s, generation"


class SqliteHealth:
    """Implements `HealthMarks`; see there, and `Database` for threads and forks.

    Args:
        database: The file.
        clock: Returns the monotonic time of the machine in seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def publish(self, marks: Sequence[HealthMark]) -> None:
        """Add marks, each with a new generation. The one that ends later stays."""
        with self._database.write() as connection:
            now_s = self._clock()
            current = {(mark.key, mark.kind): mark for mark in _read(connection, now_s)}
            connection.execute("DELETE FROM marks WHERE ends_s <= ? OR ends_s - duration_s > ?", (now_s, now_s + 1))
            for mark in marks:
                if not mark.left_s:
                    continue
                generation = increase_number(connection, GENERATION)
                older = current.get((mark.key, mark.kind))
                if older is not None and older.left_s >= mark.left_s:
                    connection.execute(
                        "UPDATE marks SET generation = ? WHERE key = ? AND kind = ?", (generation, mark.key, mark.kind)
                    )
                    continue
                current[mark.key, mark.kind] = mark
                connection.execute(
                    "INSERT OR REPLACE INTO marks VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (mark.key, mark.kind, mark.reason, mark.stated, now_s + mark.left_s, mark.left_s, generation),
                )

    def read(self) -> Sequence[HealthMark]:
        """Return the marks that have time left."""
        with self._database.read() as connection:
            return _read(connection, self._clock())

    def lift(self, key: str, generation: int) -> None:
        """Remove the marks of a key up to a generation."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM marks WHERE key = ? AND generation <= ?", (key, generation))


def _read(connection: sqlite3.Connection, now_s: float) -> list[HealthMark]:
    rows = connection.execute(f"SELECT {COLUMNS} FROM marks ORDER BY generation").fetchall()  # noqa: S608
    return [
        HealthMark(key=key, kind=kind, reason=reason, left_s=left_s, stated=bool(stated), generation=generation)
        for key, kind, reason, stated, ends_s, duration_s, generation in rows
        if (left_s := find_left_s(ends_s, duration_s, now_s))
    ]
