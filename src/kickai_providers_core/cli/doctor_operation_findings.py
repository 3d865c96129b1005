"""The findings of ``kickai doctor`` about operation: store, rollout, prices, network variables and clock.

Pure functions, except `examine_store`, which reads and writes the store.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from attrs import Factory, frozen

from kickai_providers_core.authoring.network_environment import network_problems, proxy_for
from kickai_providers_core.cli.doctor_findings import Finding
from kickai_providers_core.operations.number_formats import format_percentage as format_usage
from kickai_providers_core.operations.report_reading import AHEAD_S
from kickai_providers_core.operations.rollout_control import RolloutControl, describe_state, explain_unfollowed
from kickai_providers_core.resilience.rollout_shares import ALL_ROLES, format_share
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.errors import Problem, UnusableProviderError
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from kickai_providers_core.config.settings import Settings
    from kickai_providers_core.operations.prices import PriceBook
    from kickai_providers_core.operations.rollout_control import ScopeStatus
    from kickai_providers_core.stores.api import Store, StoreStatus, Window, Writer
    from kickai_providers_core.values.targets import Target

__all__ = [
    "StoreExamination",
    "check_clock",
    "check_daily_limits",
    "check_network",
    "check_prices",
    "check_store",
    "examine_store",
]

BEHIND_S = 10.0
"""A process that is running writes once a second; one that has not for this long, in seconds, is behind or dead."""

LATELY_S = 3600.0
"""Processes that ended longer ago than this, in seconds, are of no interest."""

NEWEST_BROKEN_WAL = (3, 51, 2)
"""The newest version of SQLite that can damage a file in WAL mode (https://www.sqlite.org/wal.html#walresetbug)."""

OLDEST_TIME_S = 1_735_689_600.0
"""The beginning of 2025: a clock before it has not been set."""

ALMOST_USED = 0.8
"""The share of a limit per day from which on there is a warning."""

DAY_S = 86_400

PROXIED = "https://example.com"


@frozen(kw_only=True)
class StoreExamination:
    """What `kickai doctor` has found in the store.

    Attributes:
        status: Its state; None when it cannot be used.
        error: Why it cannot be used; empty otherwise.
        writers: The processes that have written metrics.
        rollouts: The status of each rollout.
        unfollowed: Why the settings do not follow a rollout, by its scope; empty when they do.
        newest_s: The beginning of the newest minute with metrics, in seconds since 1970; None without metrics.
        windows: The permits that processes have taken of shared limits.
    """

    status: StoreStatus | None = None
    error: str = ""
    writers: Sequence[Writer] = ()
    rollouts: Sequence[ScopeStatus] = ()
    unfollowed: Mapping[str, str] = Factory(dict)
    newest_s: int | None = None
    windows: Sequence[Window] = ()


def examine_store(store: Store, settings: Settings, wall: Callable[[], float]) -> StoreExamination:
    """Return what there is to say about a store, after writing a value to it."""
    try:
        control = RolloutControl(store, settings.rollout, who="doctor", wall=wall)
        rollouts, _ = control.read_status()
        newest = [key.start_s for key, _ in store.metrics.read(int(wall()) - 3600)]
        return StoreExamination(
            status=store.check(),
            writers=tuple(store.metrics.read_writers()),
            rollouts=tuple(rollouts),
            unfollowed={
                each.scope: explain_unfollowed(settings, each.scope, each.rollout.candidate) for each in rollouts
            },
            newest_s=max(newest, default=None),
            windows=tuple(store.leases.read_windows()),
        )
    except StoreError as error:
        return StoreExamination(error=str(error))


def check_store(examination: StoreExamination | None) -> Iterator[Finding]:
    """Yield the findings about the store and the rollouts in it; None means that no store is configured."""
    if examination is None:
        hint = 'Add url = "sqlite:///kickai.db" to [store] for kickai report and kickai rollout'
        yield _note("store", "no store is configured, so metrics and the rollout are not kept", hint)
        return
    status = examination.status
    if status is None:
        yield Finding("error", Problem(path="store", message=examination.error, hint="See docs/stores.md"))
        return
    for warning in status.warnings:
        yield _warn("store", warning)
    details = ", ".join(f"{name} {value}" for name, value in status.details.items())
    yield _build_ok("store", f"{status.kind} {status.location} is writable, schema {status.schema_version}, {details}")
    if status.details.get("journal") == "wal" and sqlite3.sqlite_version_info <= NEWEST_BROKEN_WAL:
        hint = "Run sqlite3 FILE 'PRAGMA journal_mode=DELETE' while nothing uses it"
        yield _warn("store", f"SQLite {sqlite3.sqlite_version} can damage a file in WAL mode", hint)
    yield from _check_writers(examination.writers)
    yield from _check_rollouts(examination.rollouts, examination.unfollowed)


def _check_writers(writers: Iterable[Writer]) -> Iterator[Finding]:
    lately = [each for each in writers if each.age_s < LATELY_S]
    silent = [each for each in lately if not each.is_final and each.age_s > BEHIND_S]
    if silent:
        oldest = max(each.age_s for each in silent)
        message = (
            f"{format_count(len(silent), 'writer')} of the last hour did not write in the last "
            f"{BEHIND_S:g} s (for up to {oldest:.0f} s): killed, idle, or unable to write"
        )
        yield _note("store", message, "Idle processes write nothing; if one is not idle, look for warnings in its log")
    elif lately:
        yield _build_ok("store", f"{format_count(len(lately), 'writer')} of the last hour, none behind")


def _check_rollouts(rollouts: Iterable[ScopeStatus], unfollowed: Mapping[str, str]) -> Iterator[Finding]:
    for status in rollouts:
        rollout = status.rollout
        scope = "all roles" if status.scope == ALL_ROLES else f"the role {status.scope}"
        text = f"{rollout.candidate} has {format_share(rollout.share)} of {scope}, {describe_state(rollout)}"
        reason = unfollowed.get(status.scope)
        if reason:
            hint = "Change the settings, or run kickai rollout remove"
            yield _warn("rollout", f"{text}, but it has no effect with these settings: {reason}", hint)
        elif rollout.suspended_share is not None:
            yield _warn("rollout", text, "Run kickai rollout why")
        else:
            yield _build_ok("rollout", text)


def check_daily_limits(settings: Settings, examination: StoreExamination | None, now_s: float) -> Iterator[Finding]:
    """Yield the findings about limits per day: what they are, and how much of today is used.

    Args:
        settings: The settings.
        examination: What is in the store; None without a store.
        now_s: The time in seconds since 1970.
    """
    today = int(now_s) // DAY_S
    for instance, each in settings.providers.items():
        for unit, limit in (("requests", each.requests_per_day), ("tokens", each.tokens_per_day)):
            if limit is None:
                continue
            text = f"{instance} may use {limit:,} {unit} a day"
            if examination is None or examination.status is None:
                yield _note("limits", f"{text} in each process: without a store, the use is unknown")
                continue
            prefix, suffix = f"limit/{instance}/", f"/{unit}/day/{today}"
            windows = examination.windows
            found = [one.used for one in windows if one.name.startswith(prefix) and one.name.endswith(suffix)]
            used = max(found, default=0)  # instances with several accounts have a limit for each
            text += f", of which {used:,} ({format_usage(used / limit)}) are used or reserved since 00:00 UTC"
            if used > ALMOST_USED * limit:
                yield _warn("limits", text, f"When they are used up, {instance} is skipped until 00:00 UTC")
            else:
                yield _build_ok("limits", text)


def check_prices(targets: Iterable[Target], book: PriceBook, now_s: float) -> Iterator[Finding]:
    """Yield the findings about prices: which targets have none, so that reports cannot count their cost."""
    named = sorted({(each.provider, each.model) for each in targets if each.model is not None})
    if not named:
        return
    if book.prices is None:
        hint = "Run pip install 'kickai-providers-core[report]'"
        yield _note("prices", "no price list is installed, so reports have no costs", hint)
        return
    unknown = [f"{name}:{model}" for name, model in named if book.find_rates(name, model, int(now_s), 1000) is None]
    if not unknown:
        yield _build_ok(
            "prices",
            f"{book.prices.name} or the settings have a price for each of {format_count(len(named), 'target')}",
        )
        return
    message = f"no price is known for {len(unknown)} of {format_count(len(named), 'target')}: {', '.join(unknown)}"
    yield _note("prices", message, 'Set them in [prices.models."MODEL"]; reports show their tokens as unpriced')


def check_network(environ: Mapping[str, str]) -> Iterator[Finding]:
    """Yield the findings about the variables for proxies and certificates. Nothing is connected to."""
    problems = network_problems(environ)
    for problem in problems:
        yield Finding("warning", problem)
    if problems:
        return
    try:
        proxy = proxy_for(PROXIED, environ)
    except UnusableProviderError:  # the problems above say so
        return
    names = [name for name in ("SSL_CERT_FILE", "SSL_CERT_DIR") if environ.get(name, "").strip()]
    certificates = f"certificates from {', '.join(names)}" if names else "the system's certificates"
    yield _build_ok("network", f"{'a proxy for https' if proxy else 'no proxy'}, {certificates}")


def check_clock(now_s: float, newest_s: int | None) -> Iterator[Finding]:
    """Yield the findings about the clock.

    Args:
        now_s: The time in seconds since 1970.
        newest_s: The newest minute in the store, or None.
    """
    if now_s < OLDEST_TIME_S:
        yield _warn("clock", "the clock is before 2025, so certificates and metrics will be wrong", "Set the clock")
    elif newest_s is not None and newest_s > now_s + AHEAD_S:
        ahead_s = newest_s - now_s
        message = f"the store has metrics {ahead_s:.0f} s ahead of this clock: the clocks of two machines differ"
        yield _warn("clock", message, "Synchronize them with NTP")
    else:
        yield _build_ok("clock", "plausible")


def _build_ok(path: str, message: str) -> Finding:
    return Finding("ok", Problem(path=path, message=message))


def _note(path: str, message: str, hint: str = "") -> Finding:
    return Finding("note", Problem(path=path, message=message, hint=hint))


def _warn(path: str, message: str, hint: str = "") -> Finding:
    return Finding("warning", Problem(path=path, message=message, hint=hint, severity="warning"))
