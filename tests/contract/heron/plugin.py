"""A plugin that opens stores at ``heron://``, which are SQLite files."""

from __future__ import annotations

from urllib.parse import urlsplit

from kickai_providers_core import hookimpl
from kickai_providers_core.stores.sqlite import SqliteStore


@hookimpl
def kickai_open_store(url, namespace):
    """Open the file; the namespace is part of its name, and the password is not used."""
    if not url.startswith("heron://"):
        return None
    return SqliteStore(f"{urlsplit(url).path}/{namespace}.db")
