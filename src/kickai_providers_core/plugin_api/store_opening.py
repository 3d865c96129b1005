"""Opens the store that the settings name: a built-in one, or one of a plugin."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from kickai_providers_core.plugin_api.extensions import combine_hooks
from kickai_providers_core.plugin_api.installation import advise_installing
from kickai_providers_core.plugin_api.isolation import run_bounded
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.stores.urls import MEMORY, SQLITE, StoreUrl
from kickai_providers_core.values.secrets import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.stores.api import Store

__all__ = ["open_store"]

OPEN_TIMEOUT_S = 10.0
"""Seconds in which a plugin must open its store, which includes the import of its client."""

PACKAGES = dict.fromkeys(("redis", "rediss", "valkey", "valkeys"), "kickai-redis")
"""The packages of this project that open stores, by the scheme up to its ``+``."""

PARTS = ("metrics", "documents", "health", "leases", "check", "close")


def open_store(
    url: str | Secret,
    *,
    namespace: str = "",
    folder: Path | None = None,
    plugins: Mapping[str, object] = MappingProxyType({}),
    timeout_s: float = 0.25,
) -> Store:
    """Return the store at an address. It connects with its first call.

    Args:
        url: The address. No message quotes its credentials.
        namespace: The name of the application within a remote store.
        folder: The folder at which the path of an SQLite file starts; the working directory when None.
        plugins: The plugins that implement ``kickai_open_store``, by label; see `Discovery.stores`.
        timeout_s: The time in seconds that each call of an SQLite store waits for other threads and processes. Remote
            stores have their own.

    Raises:
        StoreError: The address is not one of a store, no plugin opens it, or the plugin fails.
    """
    try:
        address = StoreUrl.parse(url.reveal() if isinstance(url, Secret) else url)
    except ValueError as error:
        message = f"the url of the store {error}"
        raise StoreError(message) from None
    if address.scheme == MEMORY:
        return MemoryStore()
    if address.scheme == SQLITE:
        return SqliteStore(address.find_path(folder or Path()), timeout_s=timeout_s)
    return _open_remote(address, namespace, plugins)


def _open_remote(address: StoreUrl, namespace: str, plugins: Mapping[str, object]) -> Store:
    failures: list[tuple[str, BaseException]] = []
    hook = combine_hooks(plugins, "kickai_open_store", lambda label, error: failures.append((label, error)))
    if hook is None:
        raise StoreError(_describe_missing(address))
    what = "kickai_open_store"
    outcome = run_bounded(lambda: hook(url=address.text, namespace=namespace), OPEN_TIMEOUT_S, what)
    if outcome.timed_out:
        raise StoreError(f"the store {address.location} was not opened within {OPEN_TIMEOUT_S:g} s")
    if outcome.error is not None:
        failures.append((", ".join(plugins), outcome.error))
    store: Any = outcome.value
    if store is not None:
        missing = [part for part in PARTS if not hasattr(store, part)]
        if missing:
            raise StoreError(f"the plugin for {address.scheme}:// returned a store without {', '.join(missing)}")
        return store  # type: ignore[no-any-return]  # a protocol, whose parts were just checked
    if failures:
        raise StoreError("; ".join(_describe_failure(address, *failure) for failure in failures)) from None
    raise StoreError(_describe_missing(address))


def _describe_missing(address: StoreUrl) -> str:
    package = PACKAGES.get(address.scheme.partition("+")[0])
    hint = advise_installing(package) if package else "install the plugin that opens it, or use sqlite:///kickai.db"
    return f"no installed plugin opens stores at {address.scheme}://: {hint}"


def _describe_failure(address: StoreUrl, label: str, error: BaseException) -> str:
    # Only our own errors are known to be fit for a reader; even they may quote the address.
    reason = address.redact(str(error)) if isinstance(error, StoreError) else type(error).__name__
    return f"{label} cannot open the store {address.location}: {reason}"
