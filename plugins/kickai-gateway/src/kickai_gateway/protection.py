"""Chooses the checks that the settings ask for, and refuses settings that would serve strangers."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

import click
from kickai_providers_core.config.gateway_settings import find_unheld_limits
from kickai_providers_core.plugin_api.store_opening import open_store
from kickai_providers_core.stores.memory import MemoryStore

from kickai_gateway.guards import LocalGuards
from kickai_gateway.key_guards import KeyGuards
from kickai_gateway.prices import PricesError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery
    from kickai_providers_core.stores.api import Store

    from kickai_gateway.guards import Guards
    from kickai_gateway.prices import PriceTable
    from kickai_gateway.shared_prices import SharedPrices

__all__ = ["UnsafeSettingsError", "build_guards", "load_prices", "require_protection"]

ADD_STORE = 'add for example [store] url = "sqlite:///kickai.db"'


class UnsafeSettingsError(click.ClickException):
    """The gateway would serve strangers, or could not hold a limit."""

    exit_code = 2


def require_protection(settings: Settings, *, is_local: bool, workers: int, host: str, had_keys: bool = False) -> None:
    """Refuse settings that would serve strangers, or limits that could not be held.

    Args:
        settings: The settings.
        is_local: Whether only programs on this machine can connect.
        workers: The number of processes.
        host: The address, for messages.
        had_keys: Whether the gateway has begun with keys.

    Raises:
        UnsafeSettingsError: The settings must not be used.
    """
    keys = settings.gateway.keys
    if not keys and not is_local:
        message = (
            f"Cannot serve {host} without keys, since other machines can reach it: "
            "make one with kickai serve --new-key NAME, or listen on 127.0.0.1."
        )
        raise UnsafeSettingsError(message)
    if not keys and had_keys:
        message = (
            "The settings have no keys any more, so that every program on this machine could use the gateway: "
            "add a key, or start the gateway again if that is what you want."
        )
        raise UnsafeSettingsError(message)
    if settings.store.url is not None:
        return
    for name, setting, reason in find_unheld_limits(keys, workers):
        message = f"gateway.keys.{name}.{setting} needs a store{reason}: {ADD_STORE}."
        raise UnsafeSettingsError(message)


def load_prices(settings: Settings, config: Path | None, shared: SharedPrices) -> PriceTable | None:
    """Return the prices for keys with a budget in money; None without such a key. It may take a second.

    Args:
        settings: The settings.
        config: The settings file; None to search for it.
        shared: Has the table, or builds it.

    Raises:
        UnsafeSettingsError: There are no prices, so that the budgets could not be held.
    """
    names = [name for name, key in settings.gateway.keys.items() if key.has_cost_budget]
    if not names:
        return None
    try:
        return shared.read(settings, config)
    except PricesError as error:
        message = f"gateway.keys.{names[0]} has a budget in USD, which needs prices: {error}."
        raise UnsafeSettingsError(message) from None


def build_guards(
    settings: Settings, discovery: Discovery, *, prices: PriceTable | None, log: Callable[[str], None]
) -> Guards:
    """Return the checks: keys if there are any, else the origin of a request. It may wait for the store.

    Args:
        settings: The settings.
        discovery: The plugins, which may open stores.
        prices: What answers cost; see `load_prices`.
        log: Writes a line.
    """
    own = settings.store
    keys = settings.gateway.keys
    if not keys:
        return LocalGuards()

    def open_() -> Store:
        if own.url is None:
            return MemoryStore()
        return open_store(own.url, namespace=own.namespace, plugins=discovery.stores())

    return KeyGuards(
        keys,
        open_store=open_,
        is_shared=own.url is not None,
        holder=f"gateway-{os.getpid()}-{secrets.token_hex(4)}",
        clock=time.monotonic,
        log=log,
        prices=prices,
    )
