"""What a key may still use: permits of the current window, which are taken from a store in blocks.

Decisions only: time is an argument, and nothing here calls the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import Factory, define, field, frozen

if TYPE_CHECKING:
    from kickai_providers_core.stores.api import Lease

__all__ = ["Allowance", "Limit"]

BLOCKS = 10
"""A block is at most this part of the limit, so that other processes find some."""


@frozen(kw_only=True)
class Limit:
    """How much a key may use in each window.

    Attributes:
        name: The name under which the store counts it.
        unit: What is counted, as in the names of the headers: ``requests``, ``tokens``, ``usd-day`` or ``usd-month``.
        amount: The permits of a window, from 1.
        window_s: The length of a window in seconds.
        block: The permits that are taken at a time.
    """

    name: str
    unit: str
    amount: int
    window_s: float
    block: int = field(default=Factory(lambda self: max(1, self.amount // BLOCKS), takes_self=True))


@define
class Allowance:
    """The permits of one limit that this process holds. Not thread-safe.

    Attributes:
        limit: The limit.
        held: The permits that may be used now. Negative when more was used than was reserved.
        missing: The permits of the last request that was refused.
        refused_until: Until when the store has no more permits.
    """

    limit: Limit
    held: int = field(default=0, init=False)
    missing: int = field(default=0, init=False)
    refused_until: float = field(default=0.0, init=False)
    _ends: float = field(default=0.0, init=False)
    _window: int = field(default=0, init=False)
    _leases: list[Lease] = field(factory=list, init=False)

    def reserve(self, amount: int, now: float) -> int | None:
        """Set permits aside, and return the number of their window; None when too few are held."""
        self._expire(now)
        if amount > self.held:
            self.missing = max(self.missing, amount)
            return None
        self.held -= amount
        return self._window

    def settle(self, window: int, reserved: int, used: int, now: float) -> None:
        """Replace what was set aside by what was used. In a later window it no longer matters."""
        self._expire(now)
        if window == self._window:
            self.held += reserved - used

    def count_wanted(self, now: float) -> int:
        """Return how many permits to take from the store now; 0 for none."""
        self._expire(now)
        if now < self.refused_until:
            return 0
        goal = max(self.limit.block, min(self.missing, self.limit.amount))
        return 0 if self.held >= max(self.missing, (self.limit.block + 1) // 2) else goal - min(self.held, 0)

    def add(self, lease: Lease | None, now: float) -> None:
        """Add the permits that the store gave; None for none.

        Without any, the store is read again a second later: another process may return some.
        """
        if lease is None:
            self.refused_until, self.missing = now + 1.0, 0
            return
        if lease.window != self._window:
            self._window, self.held, self._leases = lease.window, 0, []
        self._leases.append(lease)
        self._ends = now + lease.left_s
        self.held += lease.amount
        self.missing = 0

    def take_back(self) -> list[tuple[Lease, int]]:
        """Give up the permits that are held, and return how many of each lease go back to the store."""
        returned = []
        for lease in self._leases:
            amount = min(lease.amount, max(0, self.held))
            self.held -= amount
            returned.append((lease, amount))
        self._leases = []
        return returned

    def compute_left_s(self, now: float) -> float:
        """Return the seconds until the window ends; 0 when none has begun."""
        return max(0.0, self._ends - now)

    def _expire(self, now: float) -> None:
        if now >= self._ends and self._ends:
            self.held, self._ends, self._window, self._leases = 0, 0.0, 0, []
            self.refused_until = 0.0
