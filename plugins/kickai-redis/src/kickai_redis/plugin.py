"""The hook."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from kickai_providers_core import hookimpl

from kickai_redis.settings import SCHEMES

if TYPE_CHECKING:
    from kickai_redis.store import RedisStore

__all__ = ["kickai_open_store"]


@hookimpl
def kickai_open_store(url: str, namespace: str) -> RedisStore | None:
    """Open the store at an address of Redis or Valkey. It connects with its first call."""
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.lower() not in SCHEMES:
        return None
    from kickai_redis.settings import RedisSettings  # noqa: PLC0415  the client takes a while to import
    from kickai_redis.store import RedisStore  # noqa: PLC0415

    return RedisStore(RedisSettings.from_url(url, os.environ), namespace)
