"""The store in an SQLite file, for the processes of one machine."""

from kickai_providers_core.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
