"""The documents in the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core.stores.api import Document, HistoryEntry
from kickai_providers_core.stores.json_values import decode_object, encode_object

from kickai_redis.errors import DamagedError
from kickai_redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_redis.connection import Connection
    from kickai_redis.key_names import Keys

__all__ = ["MAX_HISTORY", "RedisDocuments"]

READ = Script.load("read_document")
WRITE = Script.load("write_document")
READ_HISTORY = Script.load("read_history")
READ_NAMES = Script.load("read_names")
DELETE = Script.load("delete_documents")

MAX_HISTORY = 10_000
"""The number of changes that are kept of each document."""


class RedisDocuments:
    """Implements `Documents`; see there, and `Connection` for threads and forks."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def read(self, name: str) -> Document:
        """Return a document; one that does not exist has version 0."""
        keys = (self._keys.facts, self._keys.documents, self._keys.versions)
        found = self._connection.run(READ, keys, (_encode(name),))
        with self._connection.explain_errors():
            return Document(version=int(found[0]), value=_decode(found[1])) if found else Document()

    def write(
        self, name: str, value: Mapping[str, Any], *, expected_version: int, entry: HistoryEntry | None = None
    ) -> bool:
        """Write a document if its version is still the expected one; return whether it was."""
        text = encode_object("value", value)
        keys = (self._keys.facts, self._keys.documents, self._keys.versions, self._keys.history(name))
        arguments = (_encode(name), text, expected_version, _encode_entry(entry), MAX_HISTORY)
        return bool(self._connection.run(WRITE, keys, arguments))

    def read_history(self, name: str, limit: int = 100) -> Sequence[HistoryEntry]:
        """Return the latest entries of a document's history, the newest first."""
        if limit <= 0:
            return []
        found = self._connection.run(READ_HISTORY, (self._keys.facts, self._keys.history(name)), (limit,))
        with self._connection.explain_errors():
            return [_decode_entry(text) for text in found]

    def delete(self, prefix: str) -> None:
        """Delete the documents whose names begin with a prefix, with their history."""
        keys = (self._keys.facts, self._keys.documents, self._keys.versions)
        encoded = self._connection.run(READ_NAMES, (self._keys.facts, self._keys.versions))
        with self._connection.explain_errors():
            names = [each for each in (name.decode() for name in encoded) if each.startswith(prefix)]
        if names:
            histories = [self._keys.history(name) for name in names]
            self._connection.run(DELETE, (*keys, *histories), [_encode(name) for name in names])


def _encode(name: str) -> bytes:
    return name.encode()


def _encode_entry(entry: HistoryEntry | None) -> str:
    if entry is None:
        return ""
    evidence = encode_object("evidence", entry.evidence)
    return json.dumps([entry.at_s, entry.who, entry.what, entry.why, evidence])


def _decode_entry(text: bytes) -> HistoryEntry:
    version, _, rest = text.partition(b" ")
    try:
        at_s, who, what, why, evidence = json.loads(rest)
        return HistoryEntry(at_s=at_s, who=who, what=what, why=why, evidence=_decode(evidence), version=int(version))
    except (ValueError, TypeError) as error:
        raise DamagedError("an entry of a history") from error


def _decode(text: bytes | str) -> dict[str, Any]:
    try:
        return decode_object(text.decode() if isinstance(text, bytes) else text)
    except ValueError as error:
        raise DamagedError("a document") from error
