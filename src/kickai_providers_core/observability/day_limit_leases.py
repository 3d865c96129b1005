"""The permits of a limit per day that this process has leased from the store."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

from kickai_providers_core.resilience.leased_limits import find_block_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.resilience.leased_limits import DayLimit
    from kickai_providers_core.resilience.rate_allowances import Allowances
    from kickai_providers_core.resilience.rate_limiter import RateLimiter
    from kickai_providers_core.stores.api import Lease, Leases

__all__ = ["DayPermits"]

GRACE_S = 3600.0
"""Seconds that a day's permits are kept after its end, since another machine's clock may be behind."""

RETRY_S = 1.0
"""Seconds after which the store is read again when it had nothing left."""


class DayPermits:
    """Leases permits of one limit per day ahead of need. Used by the store's thread alone.

    Args:
        limiter: The rate limiter.
        name: The name of the limit, the same in all processes.
        find: Returns the limit.
        clock: Returns the monotonic time in seconds.
    """

    def __init__(
        self, limiter: RateLimiter, name: str, find: Callable[[Allowances], DayLimit], clock: Callable[[], float]
    ) -> None:
        self._limiter = limiter
        self._name = name
        self._find = find
        self._clock = clock
        self._limit = limiter.exchange(clock(), lambda allowances, *_: find(allowances).limit)
        self._block = find_block_size(self._limit)
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Forget in a child what its parent has leased."""
        self._day = -1
        self._leases: list[Lease] = []
        self._empty_at: float | None = None

    def run(self, leases: Leases, holder: str) -> None:
        """Lease and return what is due. Raises `StoreError`."""
        now = self._clock()
        day, left_s, wanted = self._limiter.exchange(now, lambda allowances, *_: self._read(allowances, now))
        if day != self._day:
            self._day, self._leases, self._empty_at = day, [], None
        if wanted < 0:
            self._return(leases, -wanted)
        if self._empty_at is not None and now - self._empty_at < RETRY_S:
            wanted = 0
        granted = self._take(leases, holder, wanted, left_s) if wanted > 0 else 0
        now = self._clock()
        self._limiter.exchange(now, lambda allowances, *_: self._find(allowances).grant(granted, day, now), admit=True)

    def finish(self, leases: Leases, holder: str) -> None:
        """Return what was not used, and take what was used without a lease."""
        now = self._clock()
        held, left_s = self._limiter.exchange(
            now, lambda allowances, *_: (self._find(allowances).held, allowances.get_day_left_s(now))
        )
        if held > 0:
            self._return(leases, held)
        elif held < 0:
            self._take(leases, holder, -held, left_s)

    def _read(self, allowances: Allowances, now: float) -> tuple[int, float, int]:
        limit = self._find(allowances)
        limit.begin_day(allowances.find_day(now))
        return limit.day, allowances.get_day_left_s(now), limit.find_wanted(now)

    def _take(self, leases: Leases, holder: str, wanted: int, left_s: float) -> int:
        """Take blocks until there is enough or nothing left, and return their sum."""
        granted, name = 0, f"{self._name}/{self._day}"
        for _ in range(ceil(wanted / self._block)):
            lease = leases.take_permits(
                name, holder, amount=min(self._block, wanted - granted), limit=self._limit, window_s=left_s + GRACE_S
            )
            if lease is None:
                self._empty_at = self._clock()
                break
            self._leases.append(lease)
            granted += lease.amount
        return granted

    def _return(self, leases: Leases, amount: int) -> None:
        """Return permits that no request can use any more."""
        now = self._clock()

        def withdraw(allowances: Allowances, *_: int) -> int:
            limit = self._find(allowances)
            returned = max(0, min(amount, limit.held)) if limit.day == self._day else 0
            limit.held -= returned
            return returned

        left = self._limiter.exchange(now, withdraw)
        while left > 0 and self._leases:
            lease = self._leases.pop()
            leases.return_permits(lease, left)
            left -= lease.amount
