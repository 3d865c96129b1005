"""Settings that are well-formed, and fail only when they are used. Nothing is called, and no file is opened."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kickai_providers_core.config.descriptions import describe_value, format_path
from kickai_providers_core.config.gateway_settings import find_unheld_limits
from kickai_providers_core.operations.prices import PriceBook, load_price_list
from kickai_providers_core.operations.rollout_control import explain_unfollowed
from kickai_providers_core.plugin_api.store_opening import open_store
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.urls import SQLITE
from kickai_providers_core.values.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Literal

    from kickai_providers_core.config.descriptions import Path as Keys
    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.plugin_api.discovery import Discovery

__all__ = ["find_unusable_settings"]

ADD_STORE = 'Add for example url = "sqlite:///kickai.db" to [store]'
TOKENS = 1_000


def find_unusable_settings(settings: Settings, discovery: Discovery, environ: Mapping[str, str]) -> Iterator[Problem]:
    """Yield the problems of settings that only fail later: of the store, the rollout, alerts and the gateway.

    Args:
        settings: The settings.
        discovery: The plugins, some of which may open stores.
        environ: The environment, whose ``PATH`` has the programs.
    """
    yield from _check_store(settings, discovery)
    yield from _check_rollout(settings)
    yield from _check_alert(settings, environ)
    yield from _check_gateway(settings)


def _check_store(settings: Settings, discovery: Discovery) -> Iterator[Problem]:
    address = settings.store.address
    if address is None:
        return
    if address.scheme == SQLITE:
        path = address.find_path(Path())
        if path.exists() and not path.is_file():
            found = f"the folder {path}" if path.is_dir() else path
            yield _describe(settings, ("store", "url"), f"must name a regular file, got {found}")
        elif not path.parent.is_dir():
            message = f"must name a file in a folder that exists, got {path}"
            yield _describe(settings, ("store", "url"), message, f"Create the folder {path.parent}")
        return
    try:
        open_store(address.text, namespace=settings.store.namespace, plugins=discovery.stores()).close()
    except StoreError as error:
        hint = "The built-in stores are sqlite:///FILE and memory:"
        yield _describe(settings, ("store", "url"), str(error), hint)


def _check_rollout(settings: Settings) -> Iterator[Problem]:
    candidate = settings.rollout.candidate
    if candidate is None:
        for name in ("share", "exclude", "shadow"):
            if _find_source(settings, ("rollout", name)):
                yield _describe(settings, ("rollout", name), "has no effect without a candidate", severity="warning")
        return
    path = ("rollout", "candidate")
    if settings.store.url is None:
        yield _describe(settings, path, "has no effect without a store", ADD_STORE, severity="warning")
        return
    reason = explain_unfollowed(settings, ALL_ROLES, candidate)
    if reason:
        message = f"the rollout of {candidate} has no effect with these settings: {reason}"
        yield _describe(settings, path, message, severity="warning")


def _check_alert(settings: Settings, environ: Mapping[str, str]) -> Iterator[Problem]:
    command = settings.monitor.on_alert
    if command and shutil.which(command[0], path=environ.get("PATH")) is None:
        message = f"must be an executable program, by path or by name on PATH, got {describe_value(command[0])}"
        yield _describe(settings, ("monitor", "on_alert", 0), message, "The arguments are further items of the array")


def _check_gateway(settings: Settings) -> Iterator[Problem]:
    gateway = settings.gateway
    if not gateway.keys and not gateway.is_local:
        message = f"must be a loopback address while there are no keys, got {describe_value(gateway.host)}"
        yield _describe(settings, ("gateway", "host"), message, "Make a key with kickai serve --new-key NAME")
    if settings.store.url is None:
        for name, setting, reason in find_unheld_limits(gateway.keys, gateway.workers):
            yield _describe(settings, ("gateway", "keys", name, setting), f"needs a store{reason}", ADD_STORE)
    budgets = [name for name, key in gateway.keys.items() if key.has_cost_budget]
    if budgets:
        yield from _check_prices(settings, budgets[0])


def _check_prices(settings: Settings, key: str) -> Iterator[Problem]:
    """Yield why requests with a key that has a budget in USD are refused."""
    book = PriceBook(settings=settings, prices=load_price_list())
    path = ("gateway", "keys", key, "usd_per_day" if settings.gateway.keys[key].usd_per_day else "usd_per_month")
    if book.prices is None:
        hint = "Run pip install 'kickai-providers-core[report]'"
        yield _describe(settings, path, "needs a price list, and none is installed", hint)
        return
    roles = (settings.default_role, *settings.roles.values())
    named = sorted({target for role in roles for target in settings.targets_for(role)}, key=str)
    now_s = int(time.time())
    unknown = [
        str(target)
        for target in named
        if target.model is not None and book.find_rates(target.provider, target.model, now_s, TOKENS) is None
    ]
    if unknown:
        message = f"requests that may call these targets are refused, since no price is known: {', '.join(unknown)}"
        yield _describe(settings, path, message, 'Set them in [prices.models."MODEL"]', severity="warning")


def _describe(
    settings: Settings, path: Keys, message: str, hint: str = "", *, severity: Literal["error", "warning"] = "error"
) -> Problem:
    where = format_path(path)
    source = next((found for end in range(len(path), 0, -1) if (found := _find_source(settings, path[:end]))), "")
    return Problem(path=where, message=message, hint=hint, source=source, severity=severity)


def _find_source(settings: Settings, path: Keys) -> str:
    found = settings.source_of(format_path(path))
    return "" if found == "default" else found
