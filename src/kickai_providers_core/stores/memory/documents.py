"""The documents of a memory store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.stores.api import Document, HistoryEntry
from kickai_providers_core.stores.json_values import decode_object, encode_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.stores.memory.state import SwitchedContent

__all__ = ["MemoryDocuments"]


class MemoryDocuments:
    """Implements `Documents`; see there, and `MemoryStore`."""

    def __init__(self, content: SwitchedContent) -> None:
        self._content = content

    def read(self, name: str) -> Document:
        """Return a document; one that does not exist has version 0."""
        content = self._content.get()
        with content.lock:
            kept = content.documents.get(name)
        return Document() if kept is None else Document(version=kept[0], value=decode_object(kept[1]))

    def write(
        self, name: str, value: Mapping[str, Any], *, expected_version: int, entry: HistoryEntry | None = None
    ) -> bool:
        """Write a document if its version is still the expected one; return whether it was."""
        text = encode_object("value", value)
        evidence = "" if entry is None else encode_object("evidence", entry.evidence)
        content = self._content.get()
        with content.lock:
            kept = content.documents.get(name)
            if expected_version != (0 if kept is None else kept[0]):
                return False
            version = (content.deleted_version if kept is None else kept[0]) + 1
            content.documents[name] = (version, text)
            if entry is not None:
                content.history.setdefault(name, []).append((evolve(entry, version=version), evidence))
        return True

    def read_history(self, name: str, limit: int = 100) -> Sequence[HistoryEntry]:
        """Return the latest entries of a document's history, the newest first."""
        content = self._content.get()
        with content.lock:
            entries = content.history.get(name, [])[::-1][: max(0, limit)]
        return [evolve(entry, evidence=decode_object(evidence)) for entry, evidence in entries]

    def delete(self, prefix: str) -> None:
        """Delete the documents whose names begin with a prefix, with their history."""
        content = self._content.get()
        with content.lock:
            for name in [name for name in content.documents if name.startswith(prefix)]:
                version, _ = content.documents.pop(name)
                content.history.pop(name, None)
                content.deleted_version = max(content.deleted_version, version)
