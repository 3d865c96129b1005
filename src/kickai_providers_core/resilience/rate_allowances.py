"""How much a rate limiter may admit within a minute and on a day: by itself, or of what processes share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.resilience.leased_limits import DAY_S, LONG_AGO, MINUTE_S, DayLimit, Demand, MinuteLimit
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.resilience.rate_limiter import Ticket

__all__ = ["Allowances", "Limits"]


@frozen(kw_only=True, eq=False, repr=False)
class Limits(Value):
    """What a rate limiter admits; None means no limit.

    Attributes:
        max_concurrency: Calls at the same time.
        max_queue: Requests that wait at the same time.
        requests_per_minute: Calls that begin within any minute.
        tokens_per_minute: Tokens of the calls that begin within any minute: estimated before a call, and counted by
            the provider after it.
        requests_per_day: Calls that begin on one day (UTC).
        tokens_per_day: Tokens of the calls that begin on one day.
    """

    max_concurrency: int | None = None
    max_queue: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    requests_per_day: int | None = None
    tokens_per_day: int | None = None

    @property
    def is_unlimited(self) -> bool:
        """Whether no limit is set."""
        return self == Limits()

    @property
    def has_minutes(self) -> bool:
        """Whether a limit per minute is set."""
        return self.requests_per_minute is not None or self.tokens_per_minute is not None

    @property
    def are_shared(self) -> bool:
        """Whether a limit is set that processes can share."""
        days = self.requests_per_day is not None or self.tokens_per_day is not None
        return days or self.has_minutes


class Allowances:
    """The limits per minute and per day of one rate limiter, which has a lock.

    Args:
        limits: The limits.
        find_wall_s: Returns the time of day, in seconds since 1970, at a time of the limiter's clock.

    Attributes:
        minute_requests: The limit of calls per minute; None for no limit.
        minute_tokens: The limit of tokens per minute; None for no limit.
        day_requests: The limit of calls per day; None for no limit.
        day_tokens: The limit of tokens per day; None for no limit.
        is_leased: Whether processes share the limits.
    """

    def __init__(self, limits: Limits, find_wall_s: Callable[[float], float]) -> None:
        self._find_wall_s = find_wall_s
        self.minute_requests = _build_minute_limit(limits.requests_per_minute)
        self.minute_tokens = _build_minute_limit(limits.tokens_per_minute)
        self.day_requests = None if limits.requests_per_day is None else DayLimit(limits.requests_per_day)
        self.day_tokens = None if limits.tokens_per_day is None else DayLimit(limits.tokens_per_day)
        self.is_leased = False

    def lease(self, answered_at: float | None = None) -> None:
        """Use from now on only what is granted.

        Args:
            answered_at: When the store last answered; None for never.
        """
        self.is_leased = True
        for minute_limit in filter(None, (self.minute_requests, self.minute_tokens)):
            minute_limit.share, minute_limit.demand = 0, Demand(answered_at=answered_at)
        for day_limit in self._list_day_limits():
            day_limit.is_leased, day_limit.held, day_limit.demand = True, 0, Demand(answered_at=answered_at)

    def record_store_answer(self, now: float) -> None:
        """Record for all limits that the store has answered about one of them, so that none counts it as lost."""
        for limit in (self.minute_requests, self.minute_tokens, self.day_requests, self.day_tokens):
            if limit is not None:
                limit.demand.answered_at = now

    def renew_after_fork(self) -> None:
        """Forget in a child what its parent has leased."""
        if self.is_leased:
            self.lease(LONG_AGO)

    def find_day(self, now: float) -> int:
        """Return the number of the day (UTC) since 1970."""
        return int(self._find_wall_s(now) // DAY_S)

    def get_day_left_s(self, now: float) -> float:
        """Return the seconds until the day ends."""
        return DAY_S - self._find_wall_s(now) % DAY_S

    @property
    def is_asking(self) -> bool:
        """Whether a request waits for the store's answer."""
        limits = (self.minute_requests, self.minute_tokens, self.day_requests, self.day_tokens)
        return self.is_leased and any(each is not None and each.demand.asked_at is not None for each in limits)

    def find_slot(self, window: Sequence[Ticket], used_tokens: int, ticket: Ticket, now: float) -> float:
        """Return when the limits admit a ticket, or when it is worth looking again.

        Args:
            window: The calls of the last minute, the oldest first.
            used_tokens: Their tokens.
            ticket: The ticket. If a limit of the day is used up, its ``used_up`` says so.
            now: The time.
        """
        slot = now
        if self.minute_requests is not None:
            slot = self._find_request_slot(self.minute_requests, window, now)
        if self.minute_tokens is not None:
            slot = max(slot, self._find_token_slot(self.minute_tokens, window, used_tokens, ticket, now))
        if self.day_requests is not None or self.day_tokens is not None:
            slot = max(slot, self._find_day_slot(ticket, now))
        return slot

    def use(self, ticket: Ticket, now: float) -> None:
        """Count a call that begins."""
        if self.day_requests is not None:
            self.day_requests.use(1, now)
        if self.day_tokens is not None:
            self.day_tokens.use(ticket.tokens, now)
        for day_limit in self._list_day_limits():
            ticket.day = day_limit.day

    def count_waiting(self, used: int, used_tokens: int, waiting: int, waiting_tokens: int) -> None:
        """Let the requests that wait be granted what they lack together, if the first of them lacks anything."""
        for minute_limit, needed in (
            (self.minute_requests, used + waiting),
            (self.minute_tokens, used_tokens + waiting_tokens),
        ):
            if minute_limit is not None and minute_limit.demand.asked_at is not None:
                minute_limit.demand.needed = min(minute_limit.limit, max(minute_limit.demand.needed, needed))
        for day_limit, needed in ((self.day_requests, waiting), (self.day_tokens, waiting_tokens)):
            if day_limit is not None and day_limit.demand.asked_at is not None:
                day_limit.demand.needed = max(day_limit.demand.needed, needed)

    def correct(self, ticket: Ticket, tokens: int, *, used: bool) -> None:
        """Count what a call has really used."""
        if self.day_requests is not None and not used:
            self.day_requests.correct(-1, ticket.day)
        if self.day_tokens is not None:
            self.day_tokens.correct(tokens - ticket.tokens, ticket.day)

    def _list_day_limits(self) -> Iterator[DayLimit]:
        return filter(None, (self.day_requests, self.day_tokens))

    def _find_request_slot(self, limit: MinuteLimit, window: Sequence[Ticket], now: float) -> float:
        usable = limit.find_usable(now, is_leased=self.is_leased)
        if len(window) < usable:
            return now
        if self.is_leased and len(window) < limit.limit:
            answer_at = limit.demand.find_answer_time(len(window) + 1, now)
            if answer_at > now:
                return answer_at
        return window[len(window) - usable].began + MINUTE_S if usable else now + MINUTE_S

    def _find_token_slot(
        self, limit: MinuteLimit, window: Sequence[Ticket], used: int, ticket: Ticket, now: float
    ) -> float:
        """Return when enough calls have left the window. A request above the limit is admitted when it is empty.

        A request above the share of this process waits for a larger share, unless the store is lost.
        """
        usable = limit.find_usable(now, is_leased=self.is_leased)
        needed = min(ticket.tokens, limit.limit)
        if self.is_leased and used + ticket.tokens > usable and (used < limit.limit):
            answer_at = limit.demand.find_answer_time(min(used + ticket.tokens, limit.limit), now)
            if answer_at > now:
                return answer_at
        if not usable or (needed > usable and not limit.demand.is_lost(now)):
            return now + MINUTE_S
        spare = usable - used - min(needed, usable)
        slot = now
        for recent in window:
            if spare >= 0:
                break
            spare += recent.tokens
            slot = recent.began + MINUTE_S
        return slot

    def _find_day_slot(self, ticket: Ticket, now: float) -> float:
        day = self.find_day(now)
        slot, ticket.used_up = now, ""
        for day_limit, unit, amount in ((self.day_requests, "request", 1), (self.day_tokens, "token", ticket.tokens)):
            if day_limit is None:
                continue
            day_limit.begin_day(day)
            at = day_limit.find_time(amount, now)
            if at is None:
                ticket.used_up = f"its {format_count(day_limit.limit, unit)} of the day, until 00:00 UTC, are used up"
                ticket.day_ends_at = now + self.get_day_left_s(now)
                return ticket.day_ends_at
            slot = max(slot, at)
        return slot


def _build_minute_limit(limit: int | None) -> MinuteLimit | None:
    return None if limit is None else MinuteLimit(limit)
