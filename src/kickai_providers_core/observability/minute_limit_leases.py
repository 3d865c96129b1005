"""The blocks of a limit per minute that this process has leased from the store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.leased_limits import MINUTE_S, divide_limit, find_block_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.resilience.leased_limits import MinuteLimit
    from kickai_providers_core.resilience.rate_allowances import Allowances
    from kickai_providers_core.resilience.rate_limiter import RateLimiter
    from kickai_providers_core.stores.api import Leases

__all__ = ["MinuteBlocks"]

LEASE_S = MINUTE_S + 30.0
"""A block is not used in the last minute of its lease, so this lease is good for 30 seconds."""

RENEW_S = 15.0
"""A lease is renewed when it is good for fewer seconds than this."""

REFUSED_S = 1.0
"""Seconds after which a block that another process had is tried again."""

WISH_S = 10.0
"""Seconds for which a process that can admit nothing asks the others for a block."""

LOOK_EVERY_S = 5.0
"""Seconds between two looks for such a wish."""

SHORTEST_S = 0.001


class MinuteBlocks:
    """Leases blocks of one limit per minute ahead of need. Used by the store's thread alone.

    A process keeps one block, and as many more as its calls of the last minute and another block ahead need. When a
    process has none, or its next request needs more than it has, another one gives one of several back, or its only one
    if it made no call within the last minute.

    Args:
        limiter: The rate limiter.
        name: The name of the limit, the same in all processes.
        find: Returns the limit; and the calls, or tokens, of the last minute among both.
        clock: Returns the monotonic time in seconds.
    """

    def __init__(
        self,
        limiter: RateLimiter,
        name: str,
        find: Callable[[Allowances, int, int], tuple[MinuteLimit, int]],
        clock: Callable[[], float],
    ) -> None:
        self._limiter = limiter
        self._name = name
        self._find = find
        self._clock = clock
        limit = limiter.exchange(clock(), lambda *state: find(*state)[0].limit)
        self._sizes = divide_limit(limit)
        self._block = find_block_size(limit)
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Forget in a child what its parent has leased."""
        self._held: dict[int, float] = {}  # the number of each block, and when its lease ends
        self._refused: dict[int, float] = {}
        self._leaving: int | None = None  # a block that is no longer used
        self._looked_at = self._clock()
        self._wished_at = -WISH_S  # when another process was last seen to ask for a block

    def run(self, leases: Leases, holder: str) -> None:
        """Renew, lease and return what is due. Raises `StoreError`."""
        self._renew(leases, holder)
        used, needed = self._limiter.exchange(self._clock(), self._read)
        self._return_some(leases, holder, used, needed)
        wanted = max(needed, used + self._block if used else self._block)
        if not needed and not used and self._clock() - self._wished_at < WISH_S:
            wanted = 0  # what it gave back is for the process that asked
        for number in self._find_free():
            if self._share >= wanted:
                break
            self._claim(leases, holder, number)
        self._set_share()
        if needed > self._share and not (self._held and used):
            leases.claim(f"{self._name}/wish", holder, WISH_S)

    def finish(self, leases: Leases, holder: str) -> None:
        """Return what no call of the last minute has used; the rest ends by itself."""
        for number in list(self._held):
            if self._leaving is None:
                self._leave(number)
            self._return_left(leases, holder)

    @property
    def _share(self) -> int:
        return sum(self._sizes[number] for number in self._held if number != self._leaving)

    def _read(self, *state: object) -> tuple[int, int]:
        limit, used = self._find(*state)  # type: ignore[arg-type]
        return used, limit.demand.needed

    def _set_share(self) -> None:
        now, share = self._clock(), self._share
        self._limiter.exchange(now, lambda *state: self._find(*state)[0].set_share(share, now), admit=True)

    def _find_free(self) -> Iterator[int]:
        """Yield the blocks that may be free; each process begins with another one."""
        offset = id(self) // 64 % len(self._sizes)
        for place in range(len(self._sizes)):
            number = (place + offset) % len(self._sizes)
            if number not in self._held and self._clock() - self._refused.get(number, -REFUSED_S) >= REFUSED_S:
                yield number

    def _claim(self, leases: Leases, holder: str, number: int) -> None:
        began = self._clock()  # before the call, so that the lease is not over-estimated
        lease = leases.claim(f"{self._name}/{number}", holder, LEASE_S)
        if lease is not None:
            self._held[number] = began + lease.left_s
            return
        self._refused[number] = began
        if self._held.pop(number, None) is not None:
            self._set_share()

    def _renew(self, leases: Leases, holder: str) -> None:
        for number, ends in list(self._held.items()):
            if ends - MINUTE_S - self._clock() < RENEW_S:
                self._claim(leases, holder, number)
                if number == self._leaving and number not in self._held:
                    self._leaving = None

    def _return_some(self, leases: Leases, holder: str, used: int, needed: int) -> None:
        if self._leaving is None and self._held:
            last = next(reversed(self._held))
            is_spare = len(self._held) > 1 and self._share - self._sizes[last] >= max(needed, used + 2 * self._block)
            if is_spare or (self._is_wished(leases, holder) and (len(self._held) > 1 or not used)):
                self._leave(last)
        self._return_left(leases, holder)

    def _leave(self, number: int) -> None:
        self._leaving = number
        self._set_share()

    def _return_left(self, leases: Leases, holder: str) -> None:
        """Return the block that is no longer used, once the calls of the last minute fit into the others."""
        number = self._leaving
        if number is not None and self._limiter.exchange(self._clock(), self._read)[0] <= self._share:
            leases.release(f"{self._name}/{number}", holder)
            del self._held[number]
            self._refused[number] = self._clock()
            self._leaving = None

    def _is_wished(self, leases: Leases, holder: str) -> bool:
        """Return whether another process asks for a block."""
        if self._clock() - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = self._clock()
        if leases.claim(f"{self._name}/wish", holder, SHORTEST_S) is not None:
            return False
        self._wished_at = self._looked_at
        return True
