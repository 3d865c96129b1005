"""The store in the memory of one process."""

from kickai_providers_core.stores.memory.store import MemoryStore

__all__ = ["MemoryStore"]
