"""The store in an SQLite file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core.stores.sqlite.connection import Database
from kickai_providers_core.stores.sqlite.documents import SqliteDocuments
from kickai_providers_core.stores.sqlite.health import SqliteHealth
from kickai_providers_core.stores.sqlite.leases import SqliteLeases
from kickai_providers_core.stores.sqlite.metrics import SqliteMetrics
from kickai_providers_core.stores.sqlite.schema import MIGRATIONS, Migrations
from kickai_providers_core.stores.sqlite.status import read_status

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from kickai_providers_core.stores.api import StoreStatus

__all__ = ["SqliteStore"]


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
        return read_status(self._database)

    def close(self) -> None:
        """Close the connection of this process. A later call opens it again."""
        self._database.close()
