"""One connection to an SQLite file in each process, and its transactions."""

from __future__ import annotations

import os
import sqlite3
import time
import urllib.parse  # noqa: F401  Path.as_uri imports it, which a child of a fork or another user may be unable to do
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.forking import require_same_process
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.sqlite.errors import explain_errors, get_code, is_read_only
from kickai_providers_core.stores.sqlite.process_sessions import FileSession, Sessions
from kickai_providers_core.stores.sqlite.schema import MIGRATIONS, Migrations, is_current, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Database"]

PRAGMAS = (
    "PRAGMA synchronous = FULL",  # a committed transaction survives a power failure
    "PRAGMA temp_store = MEMORY",  # the folder for temporary files may be full
    "PRAGMA trusted_schema = OFF",  # a file may come from elsewhere
    "PRAGMA mmap_size = 0",  # an error of the disk raises an exception, instead of ending the process
)


class Database:
    """Runs transactions on an SQLite file.

    Safe to use from several threads: one transaction runs at a time. After a fork, the child opens its own connection;
    see `Sessions`.

    A file that was replaced or deleted is noticed from its inode before and after each transaction. It is never opened
    and closed for that: closing a file releases the locks that the process has on it
    (https://www.sqlite.org/howtocorrupt.html, section 2.2).

    Args:
        path: The path of the file, which is created with mode 0600 when it does not exist.
        timeout_s: The time in seconds that a transaction waits for other threads and processes.
        migrations: The versions of the tables.
    """

    def __init__(self, path: Path, *, timeout_s: float, migrations: Migrations = MIGRATIONS) -> None:
        self.path = path
        self.migrations = migrations
        self._timeout_s = timeout_s
        self._sessions = Sessions(str(path))

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that may write. It is committed at the end, and rolled back after an exception.

        It takes the lock of writers at its beginning: a transaction that reads first and writes later fails at once,
        without waiting, when another process has written in between (https://www.sqlite.org/lang_transaction.html).

        Raises:
            StoreError: It cannot be written.
        """
        with self._sessions.hold(self._timeout_s) as (session, deadline), explain_errors(str(self.path)):
            connection = self._connect(session, deadline)
            with self._transaction(session, connection, "BEGIN IMMEDIATE", deadline):
                yield connection
            self._require_same_file(session)

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Run a transaction that reads. It creates no file, and works on a read-only file system.

        Raises:
            StoreError: It cannot be read.
        """
        with self._sessions.hold(self._timeout_s) as (session, deadline), explain_errors(str(self.path)):
            if self._is_missing():
                session.close()
                yield from self._read_copy(None)
                return
            connection = self._connect_to_read(session, deadline)
            if connection is None:
                yield from self._read_unchanging()
                return
            with self._transaction(session, connection, "BEGIN", deadline):
                yield connection

    def close(self) -> None:
        """Close the connection of this process, after the transaction that is running."""
        self._sessions.close(self._timeout_s)

    @contextmanager
    def _transaction(
        self, session: FileSession, connection: sqlite3.Connection, begin: str, deadline: float
    ) -> Iterator[None]:
        pid = os.getpid()
        try:
            _wait_until(connection, deadline)
            connection.execute(begin)
            if not is_current(connection, self.migrations, str(self.path)):
                raise StoreError(f"the store {self.path} was replaced by one of an older version: try again")
            yield
            require_same_process(pid)
            _wait_until(connection, deadline)
            connection.execute("COMMIT")
        except BaseException as error:
            if os.getpid() != pid:  # a forked child must not touch its parent's connection
                raise
            # A full disk has already rolled back. A connection with any other error than a lock is not used again.
            with suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if isinstance(error, StoreError) or (isinstance(error, sqlite3.Error) and get_code(error) != "SQLITE_BUSY"):
                session.close()
            raise

    def _connect(self, session: FileSession, deadline: float) -> sqlite3.Connection:
        """Return the connection of this process. It is opened anew when the file was replaced or deleted."""
        if session.connection is not None and session.identity != _identify(self.path):
            session.close()
        if session.connection is None:
            _create(self.path)
            session.connection = connection = _open(self.path, "mode=rw")
            try:
                self._prepare(connection, deadline)
                session.identity = _identify(self.path)
            except BaseException:
                session.close()
                raise
        return session.connection

    def _connect_to_read(self, session: FileSession, deadline: float) -> sqlite3.Connection | None:
        """Return the connection of this process; None if the file cannot be locked, and nobody can change it."""
        try:
            return self._connect(session, deadline)
        except sqlite3.Error as error:
            # An interrupted transaction would be read as if it were complete.
            if is_read_only(error) and not self._has_journal():
                return None
            raise

    def _prepare(self, connection: sqlite3.Connection, deadline: float) -> None:
        """Set the options of a new connection, and create or migrate the tables."""
        _wait_until(connection, deadline)
        for pragma in PRAGMAS:
            connection.execute(pragma)
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            connection.execute("PRAGMA journal_mode = DELETE")
        if not is_current(connection, self.migrations, str(self.path)):
            connection.execute("BEGIN IMMEDIATE")
            # Another process may have been faster.
            if not is_current(connection, self.migrations, str(self.path)):
                migrate(connection, self.migrations, str(self.path))
            _wait_until(connection, deadline)
            connection.execute("COMMIT")

    def _require_same_file(self, session: FileSession) -> None:
        """Raise an error if the file was replaced during a transaction, which is lost then."""
        if session.identity != _identify(self.path):
            session.close()
            raise StoreError(f"the store {self.path} was replaced or deleted while it was written: try again")

    def _has_journal(self) -> bool:
        """Return whether a transaction was interrupted and must be rolled back before the file can be read."""
        try:
            return Path(f"{self.path}-journal").stat().st_size > 0
        except OSError:
            return False

    def _is_missing(self) -> bool:
        """Return whether there is no file. A command that only reads must not create one, perhaps as another user."""
        return not os.path.lexists(self.path) and self.path.parent.is_dir()

    def _read_unchanging(self) -> Iterator[sqlite3.Connection]:
        """Yield a connection to a file that nobody can change, such as one on a read-only file system."""
        source = _open(self.path, "mode=ro&immutable=1")
        try:
            if is_current(source, self.migrations, str(self.path)):
                yield source
                return
            yield from self._read_copy(source)
        finally:
            source.close()

    def _read_copy(self, source: sqlite3.Connection | None) -> Iterator[sqlite3.Connection]:
        """Yield a connection to a copy in memory, with the tables of this version; None has no content."""
        copy = sqlite3.connect(":memory:", isolation_level=None)
        try:
            if source is not None:
                source.backup(copy)
            migrate(copy, self.migrations, str(self.path))
            yield copy
        finally:
            copy.close()


def _open(path: Path, options: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?{options}", uri=True, isolation_level=None, check_same_thread=False, timeout=0
    )


def _wait_until(connection: sqlite3.Connection, deadline: float) -> None:
    """Let the next statement wait for the locks of other processes until the deadline."""
    left_ms = max(1, int((deadline - time.monotonic()) * 1000))
    connection.execute(f"PRAGMA busy_timeout = {left_ms}")


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  the same call, without the detour
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _create(path: Path) -> None:
    """Create the file, readable and writable by its owner only, unless it exists.

    Raises:
        StoreError: There is something else, of which SQLite would say that the disk is faulty.
    """
    with suppress(FileExistsError):
        os.close(os.open(os.path.realpath(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    if not path.is_file() and path.exists():
        kind = "a folder" if path.is_dir() else "not a regular file"
        raise StoreError(f"the store {path} cannot be used, since it is {kind}: move it away, or name another file")
