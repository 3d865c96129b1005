"""The store in Redis or Valkey."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from kickai_providers_core.stores.api import StoreError, StoreStatus

from kickai_redis.connection import Connection
from kickai_redis.documents import RedisDocuments
from kickai_redis.health import RedisHealth
from kickai_redis.key_names import Keys
from kickai_redis.leases import RedisLeases
from kickai_redis.metrics import RedisMetrics
from kickai_redis.scripts import Script
from kickai_redis.settings import Topology

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from kickai_redis.settings import RedisSettings

__all__ = ["RedisStore"]

CHECK = Script.load("check")

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})

MEBIBYTE = 2**20


class RedisStore:
    """A store in a server of Redis or Valkey, for the processes of any number of machines.

    Safe to use from several threads, and after a fork: see `Connection`. Nothing is opened before the first call. All
    times are those of the server's clock; the clocks of the clients do not matter.

    Args:
        settings: Where the server is.
        namespace: The name of the application, which keeps its keys apart from those of others.
        clock: Returns the monotonic time in seconds, for the circuit breaker.
    """

    def __init__(self, settings: RedisSettings, namespace: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        if not namespace or set("{}") & set(namespace):
            raise StoreError('a store in Redis needs a namespace without braces, for example namespace = "kickai"')
        self._settings = settings
        self._namespace = namespace
        self._connection = Connection(settings, namespace, clock)
        self._keys = Keys(namespace)
        self.metrics = RedisMetrics(self._connection, self._keys)
        self.documents = RedisDocuments(self._connection, self._keys)
        self.health = RedisHealth(self._connection, self._keys)
        self.leases = RedisLeases(self._connection, self._keys)

    def __repr__(self) -> str:
        return f"RedisStore({self._settings.location!r}, namespace={self._namespace!r})"

    def check(self) -> StoreStatus:
        """Return the state of the server after writing and removing a value.

        Raises:
            StoreError: It cannot be used, with what to do about it.
        """
        began = time.perf_counter()
        version = self._connection.run(CHECK, (self._keys.facts,))
        took_s = time.perf_counter() - began
        info = self._connection.read_info()
        with self._connection.explain_errors():
            return StoreStatus(
                kind="redis",
                location=self._settings.location,
                schema_version=int(version),
                details={"namespace": self._namespace, "answer": f"{took_s * 1000:.1f} ms", **_describe(info)},
                warnings=tuple(_find_warnings(info, self._settings)),
            )

    def close(self) -> None:
        """Close the connections of this process. A later call opens them again."""
        self._connection.close()


def _describe(info: Mapping[str, Any]) -> dict[str, str]:
    if not info:
        return {}
    name = str(info.get("server_name", "redis"))
    version = info.get(f"{name}_version", info.get("redis_version", "unknown"))
    limit = int(info.get("maxmemory", 0))
    return {
        name: str(version),
        "memory": f"{int(info.get('used_memory', 0)) / MEBIBYTE:.1f} MiB"
        + (f" of {limit / MEBIBYTE:.0f} MiB" if limit else ""),
        "eviction": str(info.get("maxmemory_policy", "unknown")),
        "replicas": str(info.get("connected_slaves", 0)),
        "append-only file": "on" if info.get("aof_enabled") else "off",
    }


def _find_warnings(info: Mapping[str, Any], settings: RedisSettings) -> Iterator[str]:
    policy = str(info.get("maxmemory_policy", ""))
    if policy.startswith("allkeys-"):
        yield (
            f"the server deletes any key when its memory is full ({policy}), so that metrics and the rollout may be "
            "lost: set maxmemory-policy to noeviction or to a volatile- policy"
        )
    if info and not info.get("aof_enabled"):
        yield (
            "the server keeps no append-only file, so that a crash loses what it has not saved: set appendonly to yes"
        )
    is_remote = settings.topology is not Topology.UNIX and any(host not in LOCAL_HOSTS for host, _ in settings.hosts)
    if is_remote and not settings.is_encrypted:
        yield "the connection is not encrypted: use rediss:// or valkeys://, unless the network is trusted"
