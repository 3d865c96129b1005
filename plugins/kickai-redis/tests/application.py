"""An application for tests: a resolver with one provider that always answers, and a store at an address."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from kickai_providers_core import (
    FinishReason,
    KickaiSettings,
    ProviderInfo,
    Reply,
    Resolver,
    Secret,
    Settings,
    hookimpl,
)
from kickai_providers_core.config.store_settings import StoreSettings

import kickai_redis.plugin

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.stores.api import Store

NAMESPACE = "tests"
PATIENCE_S = 60.0


class Plain:
    """A provider that answers at once."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name="plain", summary="answers", holds_timeouts=True)

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Need no client."""
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        """Answer."""
        return Reply(text="Ann", finish_reason=FinishReason.STOP)


def create_resolver(url: str, provider: object | None = None, **settings: object) -> Resolver:
    """Return a resolver whose store is at an address, with further settings."""
    given = Settings(
        kickai=KickaiSettings(primary="plain", fallback=(), plugins=()),
        store=StoreSettings(url=Secret(url), namespace=NAMESPACE),
        **settings,
    )
    plugins = {"plain": provider or Plain(), "redis": kickai_redis.plugin}
    return Resolver.from_settings(given, plugins=plugins)


def open_store(url: str, namespace: str = NAMESPACE) -> Store:
    """Return the store at an address."""
    store = kickai_redis.plugin.kickai_open_store(url, namespace)
    assert store is not None
    return store


def count_requests(store: Store) -> int:
    """Return the number of successful requests that the store has."""
    return sum(cell.counters.get("requests.success", 0) for _, cell in store.metrics.read())


def wait_until(is_done: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition, far longer than it takes."""
    ends = time.monotonic() + patience_s
    while not is_done():
        assert time.monotonic() < ends
        time.sleep(0.01)
