"""The documents in an SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.stores.api import Document, HistoryEntry
from kickai_providers_core.stores.json_values import decode_object, encode_object
from kickai_providers_core.stores.sqlite.errors import DamagedError
from kickai_providers_core.stores.sqlite.schema import increase_number, read_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.stores.sqlite.connection import Database

__all__ = ["SqliteDocuments"]

DELETED_VERSION = "deleted version"
"""The greatest version of a deleted document: one that is written again must not have an old version."""


class SqliteDocuments:
    """Implements `Documents`; see there, and `Database` for threads and forks."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, name: str) -> Document:
        """Return a document; one that does not exist has version 0."""
        with self._database.read() as connection:
            row = connection.execute("SELECT version, value FROM documents WHERE name = ?", (name,)).fetchone()
            return Document() if row is None else Document(version=row[0], value=_decode(row[1]))

    def write(
        self, name: str, value: Mapping[str, Any], *, expected_version: int, entry: HistoryEntry | None = None
    ) -> bool:
        """Write a document if its version is still the expected one; return whether it was."""
        text = encode_object("value", value)
        evidence = "" if entry is None else encode_object("evidence", entry.evidence)
        with self._database.write() as connection:
            row = connection.execute("SELECT version FROM documents WHERE name = ?", (name,)).fetchone()
            if expected_version != (0 if row is None else row[0]):
                return False
            version = expected_version + 1 if row is not None else read_number(connection, DELETED_VERSION) + 1
            connection.execute("INSERT OR REPLACE INTO documents VALUES (?, ?, ?)", (name, version, text))
            if entry is not None:
                connection.execute(
                    "INSERT INTO history VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (name, version, entry.at_s, entry.who, entry.what, entry.why, evidence),
                )
        return True

    def read_history(self, name: str, limit: int = 100) -> Sequence[HistoryEntry]:
        """Return the latest entries of a document's history, the newest first."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT version, at_s, who, what, why, evidence FROM history WHERE name = ? "
                "ORDER BY version DESC LIMIT ?",
                (name, max(0, limit)),
            ).fetchall()
            return [
                HistoryEntry(at_s=at_s, who=who, what=what, why=why, evidence=_decode(evidence), version=version)
                for version, at_s, who, what, why, evidence in rows
            ]

    def delete(self, prefix: str) -> None:
        """Delete the documents whose names begin with a prefix, with their history."""
        with self._database.write() as connection:
            place = (len(prefix), prefix)
            row = connection.execute(
                "SELECT max(version) FROM documents WHERE substr(name, 1, ?) = ?", place
            ).fetchone()
            if row[0] is None:
                return
            if row[0] > read_number(connection, DELETED_VERSION):
                increase_number(connection, DELETED_VERSION, row[0])
            connection.execute("DELETE FROM documents WHERE substr(name, 1, ?) = ?", place)
            connection.execute("DELETE FROM history WHERE substr(name, 1, ?) = ?", place)


def _decode(text: str) -> dict[str, Any]:
    try:
        return decode_object(text)
    except ValueError as error:
        raise DamagedError("a document") from error
