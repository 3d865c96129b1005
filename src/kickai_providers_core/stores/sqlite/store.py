"""The store in an SQLite file."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import StoreError, StoreStatus
from kickai_providers_core.stores.sqlite.connection import Database
from kickai_providers_core.stores.sqlite.documents import SqliteDocuments
from kickai_providers_core.stores.sqlite.file_system import find_file_system, is_network
from kickai_providers_core.stores.sqlite.health import SqliteHealth
from kickai_providers_core.stores.sqlite.leases import SqliteLeases
from kickai_providers_core.stores.sqlite.metrics import SqliteMetrics
from kickai_providers_core.stores.sqlite.schema import MIGRATIONS, Migrations, increase_number, read_version

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

__all__ = ["SqliteStore"]

MAX_CHECKED_BYTES = 64 * 1024 * 1024
"""The largest file that `SqliteStore.check` reads as a whole."""

OTHERS_MAY_WRITE = 0o022


class SqliteStore:
    """A store in an SQLite file, for the processes of one machine.

    It uses a rollback journal, not a write-ahead log (WAL): versions of SQLite before 3.51.3 can damage a WAL file when
    two connections write at once (https://www.sqlite.org/wal.html#walresetbug), many Pythons use an older one, and a
    WAL file cannot be read on a read-only file system.

    Safe to use from several threads, and after a fork: see `Database`. Nothing is opened before the first call. The
    times of marks and leases are those of the machine's monotonic clock, which all its processes share and which
    starts anew when the machine does; changes of the wall clock do not matter to them.

    Args:
        path: The path of the file. It is created with mode 0600, its folder is not created. A relative path starts at
            the working directory of the moment.
        timeout_s: The time in seconds that each call waits for other threads and processes. What the disk needs comes
            on top.
        clock: Returns the monotonic time of the machine in seconds.
        wall: Returns the time in seconds since 1970; only the ages of `Writer` depend on it.
        migrations: The versions of the tables.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_s: float = 0.25,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        migrations: Migrations = MIGRATIONS,
    ) -> None:
        self._database = Database(Path(path).absolute(), timeout_s=timeout_s, migrations=migrations)
        self.metrics = SqliteMetrics(self._database, clock, wall)
        self.documents = SqliteDocuments(self._database)
        self.health = SqliteHealth(self._database, clock)
        self.leases = SqliteLeases(self._database, clock)

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._database.path)!r})"

    def check(self) -> StoreStatus:
        """Return the state of the store after writing a value, and after looking for damage.

        Raises:
            StoreError: It cannot be used, with what to do about it.
        """
        path = self._database.path
        with self._database.write() as connection:
            increase_number(connection, "check")
            connection.execute("DELETE FROM numbers WHERE name = 'check'")
            version = read_version(connection)
            journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
        found = path.stat()
        if found.st_size <= MAX_CHECKED_BYTES:
            with self._database.read() as connection:
                damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if damage != "ok":
                raise StoreError(f"the store {path} is damaged: move it away, and a new one is created ({damage})")
        file_system = find_file_system(path.resolve())
        return StoreStatus(
            kind="sqlite",
            location=str(path),
            schema_version=version,
            details={
                "sqlite": sqlite3.sqlite_version,
                "journal": journal,
                "bytes": str(found.st_size),
                "mode": f"{found.st_mode & 0o777:04o}",
                "file system": file_system or "unknown",
            },
            warnings=_find_warnings(file_system, found.st_mode),
        )

    def close(self) -> None:
        """Close the connection of this process. A later call opens it again."""
        self._database.close()


def _find_warnings(file_system: str, mode: int) -> tuple[str, ...]:
    warnings = []
    if is_network(file_system):
        warnings.append(
            f"the file system ({file_system}) is shared over a network, where locks fail and files are damaged: "
            "use a local disk, or a remote store such as redis:// for several machines"
        )
    if mode & OTHERS_MAY_WRITE:
        warnings.append(f"others may write the file (mode {mode & 0o777:04o}): run chmod 600 on it")
    return tuple(warnings)
