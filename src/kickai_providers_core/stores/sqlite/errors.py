"""Explains the errors of SQLite to an operator."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DamagedError", "explain_errors", "get_code", "is_read_only"]

READ_ONLY = "it is read-only: give this user the right to write the file and its folder"

REASONS = {
    "SQLITE_BUSY": "another process keeps it locked: try again, or look for a process that hangs",
    "SQLITE_LOCKED": "another process keeps it locked: try again, or look for a process that hangs",
    "SQLITE_FULL": "the disk or the quota is full: free some space",
    "SQLITE_READONLY": READ_ONLY,
    "SQLITE_PERM": READ_ONLY,
    "SQLITE_NOTADB": "it is not an SQLite database, or it is damaged: move it away, and a new one is created",
    "SQLITE_CORRUPT": "it is damaged: move it away, and a new one is created",
    "SQLITE_CANTOPEN": "it cannot be opened: its folder must exist, and this user needs the right to write there",
    "SQLITE_IOERR": "the disk reported an error: check the file system, its free space and its quota",
    "SQLITE_PROTOCOL": "its locks do not work: keep it on a local disk",
    "SQLITE_NOLFS": "it is too large for this file system",
    "SQLITE_TOOBIG": "a value is too large",
    "SQLITE_NOMEM": "there is not enough memory",
}
"""What each error of SQLite means, and what to do. https://www.sqlite.org/rescode.html"""


class DamagedError(Exception):
    """A value in the file is not in its form."""


def get_code(error: sqlite3.Error) -> str:
    """Return the primary result code of an error, such as ``SQLITE_BUSY``; empty if it has none."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return "_".join(name.split("_")[:2])


def is_read_only(error: sqlite3.Error) -> bool:
    """Return whether an error says that a file, or the journal next to it, cannot be written."""
    return get_code(error) in {"SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM"}


@contextmanager
def explain_errors(path: str) -> Iterator[None]:
    """Raise a `StoreError` for an error of SQLite, and for a damaged value.

    Args:
        path: The path of the file, for the message.
    """
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        reason = REASONS.get(get_code(error), f"SQLite reported an error: {error}")
        raise StoreError(f"the store {path} cannot be used, since {reason} ({name})") from error
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StoreError(f"the store {path} cannot be used: {reason}") from error
    except (DamagedError, TypeError, ValueError) as error:  # text where a number should be, for example
        found = error if isinstance(error, DamagedError) else "a value has another type"
        raise StoreError(f"the store {path} cannot be used, since {REASONS['SQLITE_CORRUPT']} ({found})") from error
