"""The store in the memory of one process."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kickai_providers_core.stores.api import StoreStatus
from kickai_providers_core.stores.memory.documents import MemoryDocuments
from kickai_providers_core.stores.memory.health import MemoryHealth
from kickai_providers_core.stores.memory.leases import MemoryLeases
from kickai_providers_core.stores.memory.metrics import MemoryMetrics
from kickai_providers_core.stores.memory.state import SwitchedContent

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MemoryStore"]


class MemoryStore:
    """A store that ends with its process, and that no other process shares.

    Safe to use from several threads. A forked child starts with an empty store.

    Args:
        clock: Returns the monotonic time in seconds.
        wall: Returns the time in seconds since 1970.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        content = SwitchedContent()
        self.metrics = MemoryMetrics(content, wall)
        self.documents = MemoryDocuments(content)
        self.health = MemoryHealth(content, clock)
        self.leases = MemoryLeases(content, clock)

    def __repr__(self) -> str:
        return "MemoryStore()"

    def check(self) -> StoreStatus:
        """Return the state of the store."""
        warnings = ("it ends with the process: set [store] url to keep metrics and to share them",)
        return StoreStatus(kind="memory", location="memory:", schema_version=1, warnings=warnings)

    def close(self) -> None:
        """Keep everything: a memory store has no connection."""
