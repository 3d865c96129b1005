"""The tables of a store, and how a file of an older version becomes one of this version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

__all__ = ["MIGRATIONS", "Migrations", "increase_number", "is_current", "migrate", "read_number", "read_version"]

APPLICATION_ID = 0x4B49434B
"""The file's application id, ``KICK``. https://www.sqlite.org/pragma.html#pragma_application_id"""

Migrations = tuple[tuple[str, ...], ...]
"""For each version, the statements that lead to it from the version before."""

MIGRATIONS: Migrations = (
    (
        # Numbers that the store counts: generations of marks, windows of permits, compactions.
        "CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        # What the cells of one target, role and arm have in common. Cells refer to it to stay small.
        """CREATE TABLE series (id INTEGER PRIMARY KEY, provider TEXT NOT NULL, model TEXT NOT NULL,
        role TEXT NOT NULL, arm TEXT NOT NULL, UNIQUE (provider, model, role, arm))""",
        "CREATE TABLE counters (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        """CREATE TABLE cells (span_s INTEGER, start_s INTEGER, series INTEGER, counters BLOB NOT NULL,
        latency BLOB NOT NULL, first_token BLOB NOT NULL, PRIMARY KEY (span_s, start_s, series)) WITHOUT ROWID""",
        # The models and counters that were seen on a day, of which there is a limited number.
        """CREATE TABLE names (day INTEGER, family TEXT, name TEXT, PRIMARY KEY (day, family, name))
        WITHOUT ROWID""",
        """CREATE TABLE writers (process TEXT PRIMARY KEY, last_number INTEGER NOT NULL, is_final INTEGER NOT NULL,
        wall_s REAL NOT NULL, clock_s REAL NOT NULL) WITHOUT ROWID""",
        "CREATE TABLE documents (name TEXT PRIMARY KEY, version INTEGER NOT NULL, value TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE history (name TEXT, version INTEGER, at_s REAL NOT NULL, who TEXT NOT NULL, what TEXT NOT NULL,
        why TEXT NOT NULL, evidence TEXT NOT NULL, PRIMARY KEY (name, version)) WITHOUT ROWID""",
        """CREATE TABLE marks (key TEXT, kind TEXT, reason TEXT NOT NULL, stated INTEGER NOT NULL,
        ends_s REAL NOT NULL, duration_s REAL NOT NULL, generation INTEGER NOT NULL, PRIMARY KEY (key, kind))
        WITHOUT ROWID""",
        """CREATE TABLE leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, ends_s REAL NOT NULL,
        duration_s REAL NOT NULL) WITHOUT ROWID""",
        """CREATE TABLE windows (name TEXT PRIMARY KEY, number INTEGER NOT NULL, used INTEGER NOT NULL,
        ends_s REAL NOT NULL, duration_s REAL NOT NULL) WITHOUT ROWID""",
    ),
    (
        # The sums of the minutes of past hours; see the module hour_sums.
        """CREATE TABLE hour_sums (start_s INTEGER, series INTEGER, counters BLOB NOT NULL, latency BLOB NOT NULL,
        first_token BLOB NOT NULL, PRIMARY KEY (start_s, series)) WITHOUT ROWID""",
    ),
)
"""Add a tuple for a new version; never change one that was released."""


def read_version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 for an empty file."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version


def is_current(connection: sqlite3.Connection, migrations: Migrations, path: str) -> bool:
    """Return whether a file has the tables of this version; False for an older one.

    Raises:
        StoreError: A newer version of this project has written the file, or another program.
    """
    version, newest = read_version(connection), len(migrations)
    if version > newest:
        raise StoreError(
            f"the store {path} has schema version {version}, and this version of kickai-providers-core reads versions "
            f"up to {newest}: upgrade kickai-providers-core, or use another file"
        )
    return version == newest


def migrate(connection: sqlite3.Connection, migrations: Migrations, path: str) -> None:
    """Create the tables, or change those of an older version, within the current transaction.

    Raises:
        StoreError: Another program has written the file.
    """
    version = read_version(connection)
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    is_empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and not (version == owner == 0 and is_empty):
        raise StoreError(f"{path} is an SQLite database of another program: use another file for the store")
    for statements in migrations[version:]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(migrations)}")


def read_number(connection: sqlite3.Connection, name: str) -> int:
    """Return a number that the store counts; 0 at first."""
    row: Sequence[int] | None = connection.execute("SELECT value FROM numbers WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else row[0]


def increase_number(connection: sqlite3.Connection, name: str, minimum: int = 0) -> int:
    """Increase a number that the store counts by 1, or to a minimum if that is more, and return it."""
    value = max(read_number(connection, name) + 1, minimum)
    connection.execute("INSERT OR REPLACE INTO numbers VALUES (?, ?)", (name, value))
    return value
