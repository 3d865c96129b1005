"""The state of the store for an operator: what it is, whether it is damaged, and what endangers it."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import StoreError, StoreStatus
from kickai_providers_core.stores.sqlite.file_system import find_file_system, is_network
from kickai_providers_core.stores.sqlite.schema import increase_number, read_version

if TYPE_CHECKING:
    from kickai_providers_core.stores.sqlite.connection import Database

__all__ = ["describe_dangers", "read_status"]

MAX_CHECKED_BYTES = 64 * 1024 * 1024
"""The largest file that is read as a whole to look for damage."""

OTHERS_MAY_WRITE = 0o022


def read_status(database: Database) -> StoreStatus:
    """Return the state of the store after writing a value, and after looking for damage.

    Raises:
        StoreError: It cannot be used, with what to do about it.
    """
    path = database.path
    with database.write() as connection:
        increase_number(connection, "check")
        connection.execute("DELETE FROM numbers WHERE name = 'check'")
        version = read_version(connection)
        journal = connection.execute("PRAGMA journal_mode").fetchone()[0]
    found = path.stat()
    if found.st_size <= MAX_CHECKED_BYTES:
        with database.read() as connection:
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
        warnings=describe_dangers(file_system, found.st_mode),
    )


def describe_dangers(file_system: str, mode: int) -> tuple[str, ...]:
    """Return what endangers the file.

    Args:
        file_system: The type of its file system; empty if it is unknown.
        mode: The mode of the file, as in `os.stat_result.st_mode`.
    """
    warnings = []
    if is_network(file_system):
        warnings.append(
            f"the file system ({file_system}) is shared over a network, where locks fail and files are damaged: "
            "use a local disk, or a remote store such as redis:// for several machines"
        )
    if mode & OTHERS_MAY_WRITE:
        warnings.append(f"others may write the file (mode {mode & 0o777:04o}): run chmod 600 on it")
    return tuple(warnings)
