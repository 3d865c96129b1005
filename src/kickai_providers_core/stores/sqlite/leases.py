"""The leases and the windows of permits in an SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import Lease, Window
from kickai_providers_core.stores.expiry import find_left_s
from kickai_providers_core.stores.sqlite.schema import increase_number

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from kickai_providers_core.stores.sqlite.connection import Database

__all__ = ["SqliteLeases"]

WINDOW = "window"


class SqliteLeases:
    """Implements `Leases`; see there, and `Database` for threads and forks.

    Args:
        database: The file.
        clock: Returns the monotonic time of the machine in seconds.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock

    def claim(self, name: str, holder: str, duration_s: float) -> Lease | None:
        """Claim or renew a lease; None while another holder has it."""
        with self._database.write() as connection:
            now_s = self._clock()
            row = connection.execute("SELECT holder, ends_s, duration_s FROM leases WHERE name = ?", (name,)).fetchone()
            if row is not None and row[0] != holder and find_left_s(row[1], row[2], now_s):
                return None
            connection.execute(
                "INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?)", (name, holder, now_s + duration_s, duration_s)
            )
        return Lease(name=name, holder=holder, left_s=duration_s)

    def release(self, name: str, holder: str) -> None:
        """End a lease if the holder still has it."""
        with self._database.write() as connection:
            connection.execute("DELETE FROM leases WHERE name = ? AND holder = ?", (name, holder))

    def take_permits(self, name: str, holder: str, *, amount: int, limit: int, window_s: float) -> Lease | None:
        """Take up to ``amount`` of the ``limit`` permits of the current window; None when none is left."""
        with self._database.write() as connection:
            now_s = self._clock()
            row = connection.execute(
                "SELECT number, used, ends_s, duration_s FROM windows WHERE name = ?", (name,)
            ).fetchone()
            left_s = find_left_s(row[2], row[3], now_s) if row is not None else 0.0
            number, used = (row[0], row[1]) if left_s else (increase_number(connection, WINDOW), 0)
            ends_s, duration_s = (row[2], row[3]) if left_s else (now_s + window_s, window_s)
            granted = min(amount, limit - used)
            if granted <= 0:
                return None
            if row is None:
                _forget_ended(connection, now_s)
            connection.execute(
                "INSERT OR REPLACE INTO windows VALUES (?, ?, ?, ?, ?)",
                (name, number, used + granted, ends_s, duration_s),
            )
        return Lease(name=name, holder=holder, amount=granted, left_s=left_s or window_s, window=number)

    def return_permits(self, lease: Lease, amount: int) -> None:
        """Return permits that were not used, if their window is still the current one."""
        returned = min(amount, lease.amount)
        if returned <= 0:
            return
        with self._database.write() as connection:
            connection.execute(
                "UPDATE windows SET used = max(0, used - ?) WHERE name = ? AND number = ?",
                (returned, lease.name, lease.window),
            )

    def read_windows(self) -> Sequence[Window]:
        """Return the windows that have not ended, in order of their names."""
        with self._database.read() as connection:
            now_s = self._clock()
            rows = connection.execute("SELECT name, used, ends_s, duration_s FROM windows ORDER BY name").fetchall()
            return [
                Window(name=name, used=used, left_s=left_s)
                for name, used, ends_s, duration_s in rows
                if (left_s := find_left_s(ends_s, duration_s, now_s))
            ]


def _forget_ended(connection: sqlite3.Connection, now_s: float) -> None:
    rows = connection.execute("SELECT name, ends_s, duration_s FROM windows").fetchall()
    ended = [(name,) for name, ends_s, duration_s in rows if not find_left_s(ends_s, duration_s, now_s)]
    connection.executemany("DELETE FROM windows WHERE name = ?", ended)
