"""Who uses the file in one process, and what a fork must respect."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import contextmanager, suppress
from threading import Lock, get_ident
from typing import TYPE_CHECKING

from kickai_providers_core.concurrency.forking import ForkGuard, never_finalize
from kickai_providers_core.stores.api import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FileSession", "Sessions"]

FORK_LOCK_S = 0.05
"""Seconds to wait for the lock before a fork, after the running transaction has ended."""


class FileSession:
    """What one process knows of the file: its connection, and who is using it.

    Attributes:
        lock: Held during each transaction, and by a thread that forks.
        thread: The thread that runs a transaction; 0 for none.
        connection: The connection; None until the first transaction.
        identity: The device and inode of the open file.
        is_usable: Whether SQLite can be used. It cannot after a fork during a transaction, since SQLite keeps the locks
            of the parent in memory. Only native code can fork then.
    """

    def __init__(self, *, is_usable: bool = True) -> None:
        self.lock = Lock()
        self.thread = 0
        self.connection: sqlite3.Connection | None = None
        self.identity: tuple[int, int] | None = None
        self.is_usable = is_usable

    def close(self) -> None:
        """Close the connection."""
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


class Sessions:
    """The session of each process that has used a file: its own, and those that it has inherited from its parents.

    A fork waits for the transaction that is running. The child gets a session of its own and never closes the
    connection of its parent: SQLite forbids that (https://www.sqlite.org/howtocorrupt.html, section 2.6).

    Args:
        name: What messages call the file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._by_process: dict[int, FileSession] = {}
        self._guard = ForkGuard((self,), lambda: (self,))

    def get(self) -> FileSession:
        """Return the session of this process. No lock is taken: a fork may have copied one that is held."""
        pid = os.getpid()
        session = self._by_process.get(pid)
        if session is None:
            inherited = list(self._by_process.values())
            for each in inherited:
                if each.connection is not None:
                    never_finalize(each.connection)
            session = FileSession(is_usable=not any(each.thread for each in inherited))
            session = self._by_process.setdefault(pid, session)
        return session

    @contextmanager
    def hold(self, timeout_s: float) -> Iterator[tuple[FileSession, float]]:
        """Take the lock of the session, and yield it with the monotonic time at which the transaction stops waiting.

        Raises:
            StoreError: Another thread has it for too long, or the session cannot be used.
        """
        session, deadline = self.get(), time.monotonic() + timeout_s
        if not session.is_usable:
            raise StoreError(f"the store {self._name} cannot be used: this process was forked during a transaction")
        if session.thread == get_ident():
            raise StoreError(f"the store {self._name} cannot be used within one of its own transactions")
        if not session.lock.acquire(timeout=timeout_s):
            raise StoreError(f"the store {self._name} is busy: another thread has used it for {timeout_s:g} s")
        try:
            session.thread = get_ident()
            yield session, deadline
        finally:
            session.thread = 0
            session.lock.release()

    def close(self, timeout_s: float) -> None:
        """Close the connection of this process, unless a transaction runs for longer than the time limit."""
        session = self._by_process.get(os.getpid())
        if session is not None and session.lock.acquire(timeout=timeout_s):
            try:
                session.close()
            finally:
                session.lock.release()

    @property
    def is_running(self) -> bool:
        """Whether a transaction is running in this process."""
        session = self._by_process.get(os.getpid())
        return session is not None and session.thread != 0

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait until no transaction is running, unless this thread runs it."""
        session = self.get()
        if session.thread != get_ident() and session.lock.acquire(timeout=timeout_s):
            session.lock.release()

    def block_new_calls(self) -> bool:
        """Prevent new transactions until `allow_new_calls`, and return whether that succeeded."""
        session = self.get()
        return session.thread != get_ident() and session.lock.acquire(timeout=FORK_LOCK_S)

    def allow_new_calls(self) -> None:
        """Allow new transactions again."""
        self.get().lock.release()

    def renew_after_fork(self) -> None:
        """Create the session of this process, and leave that of the parent as it is."""
        self.get()
