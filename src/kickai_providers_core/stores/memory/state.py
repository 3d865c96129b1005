"""What a memory store keeps, for each process."""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING

from attrs import Factory, define, field

if TYPE_CHECKING:
    from kickai_providers_core.stores.api import HistoryEntry
    from kickai_providers_core.values.metrics import Cell, CellKey

__all__ = ["Content", "StoredLease", "StoredMark", "StoredWindow", "StoredWriter", "SwitchedContent"]


@define
class StoredWriter:
    """The last batch of a process, with its time by the wall clock."""

    number: int
    wall_s: float
    is_final: bool


@define
class StoredMark:
    """A mark of health, with its time by the monotonic clock."""

    reason: str
    stated: bool
    ends_s: float
    generation: int


@define
class StoredLease:
    """The holder of a lease."""

    holder: str
    ends_s: float


@define
class StoredWindow:
    """A window of permits."""

    number: int
    used: int
    ends_s: float


@define(eq=False)
class Content:
    """All that a memory store keeps. Hold the lock while using it.

    Attributes:
        lock: Protects the rest.
        cells: The metrics.
        names: By day and family, the names that are kept apart.
        writers: By process.
        documents: By name, the version and the JSON text.
        history: By name, the entries with the JSON text of their evidence, the oldest first.
        deleted_version: The greatest version of a deleted document.
        marks: By key and kind.
        generation: The number of marks so far.
        leases: By name.
        windows: By name.
        window: The number of windows so far.
    """

    lock: Lock = field(factory=Lock)
    cells: dict[CellKey, Cell] = Factory(dict)
    names: dict[tuple[int, str], set[str]] = Factory(dict)
    writers: dict[str, StoredWriter] = Factory(dict)
    documents: dict[str, tuple[int, str]] = Factory(dict)
    history: dict[str, list[tuple[HistoryEntry, str]]] = Factory(dict)
    deleted_version: int = 0
    marks: dict[tuple[str, str], StoredMark] = Factory(dict)
    generation: int = 0
    leases: dict[str, StoredLease] = Factory(dict)
    windows: dict[str, StoredWindow] = Factory(dict)
    window: int = 0


class SwitchedContent:
    """The content of the current process: a forked child starts with an empty one, since it may be copied half-way."""

    def __init__(self) -> None:
        self._by_process: dict[int, Content] = {os.getpid(): Content()}

    def get(self) -> Content:
        """Return the content of this process. No lock is taken."""
        pid = os.getpid()
        content = self._by_process.get(pid)
        return self._by_process.setdefault(pid, Content()) if content is None else content
