"""Shares the limits per minute and per day of each instance with the other processes that use the same store.

The store's thread leases blocks of permits ahead of need. No request waits for the store: one that lacks a permit waits
in the queue of its rate limiter, half a second at most until the thread has asked, and is then skipped as without a
store.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from kickai_providers_core.observability.day_limit_leases import DayPermits
from kickai_providers_core.observability.minute_limit_leases import MinuteBlocks
from kickai_providers_core.plugin_api.service_identity import identify_service

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.plugin_api.registry import Registry
    from kickai_providers_core.resilience.leased_limits import DayLimit, MinuteLimit
    from kickai_providers_core.resilience.rate_allowances import Allowances
    from kickai_providers_core.stores.api import Store

__all__ = ["SharedLimits"]


class SharedLimits:
    """Leases what the limits of the instances allow. Used by the store's thread alone, except `lease`.

    Args:
        instances: The instances.
        clock: Returns the monotonic time in seconds.
        namespace: Separates the applications that share a store.
    """

    def __init__(self, instances: Registry, clock: Callable[[], float], namespace: str = "") -> None:
        self._holder = uuid4().hex
        leased = [each for instance in instances for each in _build(instance, clock, namespace)]
        self._leased: tuple[MinuteBlocks | DayPermits, ...] = tuple(leased)
        self._limiters = [each.rate_limiter for each in instances if each.rate_limiter is not None]

    def lease(self, hasten: Callable[[SharedLimits], None]) -> bool:
        """Let the instances use only what is leased from now on; return False if none has such a limit.

        Args:
            hasten: Makes the store's thread call `run` soon.
        """
        for limiter in self._limiters:
            if limiter.limits.are_shared:
                limiter.lease(partial(hasten, self))
        return bool(self._leased)

    def renew_after_fork(self) -> None:
        """Become a process of its own: leases are the parent's."""
        self._holder = uuid4().hex
        for leased in self._leased:
            leased.renew_after_fork()

    def run(self, store: Store) -> None:
        """Lease and return what is due.

        Raises:
            StoreError: The store failed. Each process goes on with its last share.
        """
        for leased in self._leased:
            leased.run(store.leases, self._holder)

    def finish(self, store: Store) -> None:
        """Return what was not used.

        Raises:
            StoreError: The store failed. What is leased ends by itself.
        """
        for leased in self._leased:
            leased.finish(store.leases, self._holder)


def _build(instance: Instance, clock: Callable[[], float], namespace: str) -> Iterator[MinuteBlocks | DayPermits]:
    """Yield what leases each limit of an instance. Instances of the same name and account share a limit."""
    limiter = instance.rate_limiter
    if limiter is None or not limiter.limits.are_shared:
        return
    name, limits = f"limit/{instance.name}/{identify_service(instance, None, namespace)}", limiter.limits
    if limits.requests_per_minute is not None:
        yield MinuteBlocks(limiter, f"{name}/requests/minute", _find_minute_requests, clock)
    if limits.tokens_per_minute is not None:
        yield MinuteBlocks(limiter, f"{name}/tokens/minute", _find_minute_tokens, clock)
    if limits.requests_per_day is not None:
        yield DayPermits(limiter, f"{name}/requests/day", lambda each: _require_day(each.day_requests), clock)
    if limits.tokens_per_day is not None:
        yield DayPermits(limiter, f"{name}/tokens/day", lambda each: _require_day(each.day_tokens), clock)


def _find_minute_requests(allowances: Allowances, requests: int, _: int) -> tuple[MinuteLimit, int]:
    return _require_minute(allowances.minute_requests), requests


def _find_minute_tokens(allowances: Allowances, _: int, tokens: int) -> tuple[MinuteLimit, int]:
    return _require_minute(allowances.minute_tokens), tokens


def _require_minute(limit: MinuteLimit | None) -> MinuteLimit:
    if limit is None:
        raise RuntimeError("there is no such limit per minute")
    return limit


def _require_day(limit: DayLimit | None) -> DayLimit:
    if limit is None:
        raise RuntimeError("there is no such limit per day")
    return limit
