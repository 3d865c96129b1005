"""The built-in stores pass the standard tests."""

from __future__ import annotations

from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.testing import StoreContract


class TestMemory(StoreContract):
    """The store in memory, which processes do not share."""

    is_shared = False

    def create_url(self, folder):
        """Return its only address: each store is new."""
        return "memory:"

    def open_with_clocks(self, url, clock, wall):
        """Return a store with the clocks of the test."""
        return MemoryStore(clock=clock, wall=wall)


class TestSqlite(StoreContract):
    """The store in a file."""

    def create_url(self, folder):
        """Return the address of a file that does not exist yet."""
        return f"sqlite:///{folder}/kickai.db"

    def open_with_clocks(self, url, clock, wall):
        """Return a store with the clocks of the test."""
        return SqliteStore(url.removeprefix("sqlite:///"), clock=clock, wall=wall)
