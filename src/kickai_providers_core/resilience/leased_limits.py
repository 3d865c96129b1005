"""The part of a limit that this process may use, when several processes share the limit. Time is an argument.

A limit per minute is divided into blocks. Within any minute, a process makes as many calls as its blocks allow, so that
all processes together stay within the limit. It gives a block back once its calls of the last minute fit into the
others, and uses no block in the last minute of its lease: then its calls have left the minute before another process
has the block.

Nothing here is safe to use from several threads: the rate limiter has a lock.
"""

from __future__ import annotations

from math import inf

from attrs import Factory, define, field

__all__ = [
    "ANSWER_S",
    "DAY_S",
    "LONG_AGO",
    "MINUTE_S",
    "DayLimit",
    "Demand",
    "MinuteLimit",
    "divide_limit",
    "find_block_size",
]

ANSWER_S = 0.5
"""Seconds for which a request waits at most until the store's thread has asked for more."""

DENIED_S = 1.0
"""Seconds for which no request asks again after the store had too little left."""

LOST_S = 2.0
"""Seconds without an answer after which the store counts as lost."""

MINUTE_S = 60.0
DAY_S = 86_400
BLOCKS = 10
LONG_AGO = -inf


def find_block_size(limit: int) -> int:
    """Return how much is leased at once: a tenth of the limit, but 1 at least."""
    return max(1, limit // BLOCKS)


def divide_limit(limit: int) -> tuple[int, ...]:
    """Return the sizes of the blocks of a limit. Their sum is the limit."""
    size = find_block_size(limit)
    full, rest = divmod(limit, size)
    return (size,) * full + ((rest,) if rest else ())


@define(eq=False, repr=False)
class Demand:
    """What requests want of a leased limit, and what the store has answered.

    Attributes:
        needed: What the requests that wait lack at most.
        asked_at: When the first of them began to wait for an answer; None while none does.
        denied_at: When the store last had too little.
        answered_at: When the store last answered; None before its first answer.
    """

    needed: int = 0
    asked_at: float | None = None
    denied_at: float = LONG_AGO
    answered_at: float | None = None

    def find_answer_time(self, needed: int, now: float) -> float:
        """Return until when to wait for the store's answer to a need; ``now`` when waiting does not help.

        No request waits for a store that has stopped answering.
        """
        self.needed = max(self.needed, needed)
        if now - self.denied_at < DENIED_S:
            return now
        if self.asked_at is None:
            self.asked_at = now
        # A store that works answers several times a second. A forked child has not asked it yet.
        is_silent = self.answered_at is not None and LOST_S < now - self.answered_at < inf
        return now if is_silent else max(now, self.asked_at + ANSWER_S)

    def record_answer(self, available: int, now: float) -> None:
        """Record what the store has granted."""
        if available < self.needed:
            self.denied_at = now
        self.needed, self.asked_at, self.answered_at = 0, None, now

    def is_lost(self, now: float) -> bool:
        """Return whether the store has never answered, or not lately although a request has asked."""
        if self.answered_at is None:
            return True
        is_overdue = self.asked_at is not None and now - self.asked_at >= ANSWER_S
        return is_overdue and now - self.answered_at > LOST_S


@define(eq=False, repr=False)
class MinuteLimit:
    """A limit per minute, of which this process leases blocks.

    Attributes:
        limit: The limit of all processes together.
        share: How much this process may use within any minute. It keeps its last share when the store is lost.
        demand: What requests want.
    """

    limit: int
    share: int = 0
    demand: Demand = Factory(Demand)

    def set_share(self, share: int, now: float) -> None:
        """Use what the store has granted."""
        self.share = share
        self.demand.record_answer(share, now)

    def find_usable(self, now: float, *, is_leased: bool) -> int:
        """Return how much may be used within any minute. A process without a share uses 1 while the store is lost."""
        if not is_leased:
            return self.limit
        return self.share or int(self.demand.is_lost(now))


@define(eq=False, repr=False)
class DayLimit:
    """A limit per day (UTC): of this process alone, or leased in blocks.

    Attributes:
        limit: The limit.
        is_leased: Whether processes share it.
        day: The number of the day since 1970 that the rest is about.
        held: What this process may still use. Below 0, calls have used more tokens than they were estimated to.
        unleased: Calls of this day that were made while the store was lost.
        demand: What requests want.
    """

    limit: int
    is_leased: bool = False
    day: int = -1
    held: int = 0
    unleased: int = 0
    unleased_at: float = LONG_AGO
    demand: Demand = Factory(Demand)
    _used_at: float = field(default=LONG_AGO)

    def begin_day(self, day: int) -> None:
        """Begin a new day, if it is one."""
        if day != self.day:
            self.day, self.unleased, self.demand.denied_at = day, 0, LONG_AGO
            self.held = 0 if self.is_leased else self.limit

    def find_time(self, amount: int, now: float) -> float | None:
        """Return when an amount may be available: now, once the store has answered, or None for not on this day.

        While the store does not answer, that is in a minute: nothing says that the limit is used up.
        """
        if self.held >= amount:
            return now
        if not self.is_leased or amount > self.limit:
            return None
        at = self.demand.find_answer_time(amount, now)
        if at > now:
            return at
        if not self.demand.is_lost(now):
            return None if now - self.demand.denied_at < DENIED_S else now + MINUTE_S
        if self.unleased >= self.limit:
            return None
        return max(now, self.unleased_at + MINUTE_S)

    def use(self, amount: int, now: float) -> None:
        """Use an amount. A call that `find_time` admits without a lease is counted apart."""
        self._used_at = now
        if self.held < amount and self.is_leased:
            self.unleased, self.unleased_at = self.unleased + amount, now
        self.held -= amount

    def correct(self, amount: int, day: int) -> None:
        """Count more, or less, for a call that has ended, if it began on this day."""
        if day == self.day:
            self.held -= amount

    def grant(self, amount: int, day: int, now: float) -> None:
        """Add what the store has granted for a day."""
        if day == self.day:
            self.held += amount
            self.demand.record_answer(self.held, now)

    def find_wanted(self, now: float) -> int:
        """Return how much to lease now: what requests lack, and a block ahead of need; below 0, what to return."""
        block = find_block_size(self.limit)
        is_idle = now - self._used_at > MINUTE_S
        kept = 1 + block // BLOCKS if is_idle else block
        target = max(self.demand.needed, kept)
        if self.held > kept and is_idle and not self.demand.needed:
            return kept - self.held
        return target - self.held if self.held <= target // 2 else 0
