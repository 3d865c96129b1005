"""A provider's rate limiter: concurrent calls, calls and tokens a minute and a day, and the queue for the rest.

Requests are admitted in the order of their arrival, from any thread or event loop. A request holds a `Ticket` from its
arrival until it releases it, which it may do at any time. Time is an argument of every call; nothing here waits.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from kickai_providers_core.resilience.leased_limits import MINUTE_S
from kickai_providers_core.resilience.rate_allowances import Allowances, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UNKNOWN_S", "Limits", "RateLimiter", "Ticket"]

T = TypeVar("T")

LONG_AGO = float("-inf")

UNKNOWN_S = float("inf")
"""The wait of a ticket that depends on other requests."""


class Ticket:
    """One request's position in the queue, and then its permission to call.

    Attributes:
        admitted: Whether its call may begin.
        rejected: Whether the queue was full at its arrival, or a limit of the day used up. Then it is released already.
        used_up: Which limit of the day is used up, for a reader; empty for none.
        day_ends_at: When it may be used again.
        ahead: The number of requests that were before it at its arrival.
        tokens: Tokens of its call: estimated, and after the call counted.
        began: The time at which it was admitted.
        generation: The number of forks before its arrival.
        released: Whether it has been released.
        in_window: Whether it counts in the limits per minute.
        day: The day that it counts in, in days since 1970.
    """

    __slots__ = (
        "_limiter", "_wake", "_woken", "admitted", "ahead", "began", "day", "day_ends_at", "generation", "in_window",
        "rejected", "released", "tokens", "used_up",
    )  # fmt: skip

    def __init__(self, limiter: RateLimiter, tokens: int, ahead: int, generation: int) -> None:
        self.admitted = False
        self.rejected = False
        self.ahead = ahead
        self.tokens = tokens
        self.began = 0.0
        self.generation = generation
        self.released = False
        self.in_window = False
        self.used_up = ""
        self.day_ends_at = 0.0
        self.day = -1
        self._limiter = limiter
        self._wake: Callable[[], None] | None = None
        self._woken = False

    def get_wait_s(self, now: float) -> float:
        """Return the seconds until it may be admitted: 0 when it is, `UNKNOWN_S` when that depends on others."""
        return self._limiter.get_wait_s(self, now)

    def release(self, now: float, *, used: bool = True, tokens: int | None = None) -> None:
        """Leave the queue, or end the call. Releasing twice has no effect.

        Args:
            now: The time.
            used: Whether the call was made. A call that was not made does not count in the limits per minute.
            tokens: How many tokens it used, when that is known.
        """
        self._limiter.release(self, now, used=used, tokens=tokens)

    @property
    def may_come_early(self) -> bool:
        """Whether it may be admitted before `get_wait_s` is over, since processes share the limits."""
        return self._limiter.is_leased

    def on_wake(self, wake: Callable[[], None]) -> None:
        """Call ``wake``, from any thread, as soon as `get_wait_s` may return something new; now, if it already may.

        It may be called twice.
        """
        self._wake = wake
        if self._woken:
            self.wake()

    def wake(self) -> None:
        """Wake the request that waits for the ticket."""
        self._woken = True
        wake, self._wake = self._wake, None
        if wake is not None:
            wake()

    def clear_wake(self) -> None:
        """Forget that it was woken."""
        self._woken = False


class RateLimiter:
    """Admits requests within limits, first come, first served. Safe to use from any thread.

    Args:
        limits: What it admits: this process, or all processes together once `lease` was called.
        find_wall_s: Returns the time of day, in seconds since 1970, at a time; for the limits per day.
    """

    def __init__(self, limits: Limits, find_wall_s: Callable[[float], float] = float) -> None:
        self.limits = self._limits = limits
        self._allowances = Allowances(limits, find_wall_s)
        self._ask: Callable[[], None] | None = None
        self._lock = Lock()
        self._queue: deque[Ticket] = deque()
        self._window: deque[Ticket] = deque()  # admitted within the last minute, oldest first
        self._in_flight = 0
        self._tokens = 0  # of the tickets in the window
        self._durations: deque[float] = deque(maxlen=20)  # of the latest calls, in seconds
        self._generation = 0

    def renew_after_fork(self) -> None:
        """Forget the parent's calls and queue in a child. What began within the last minute still counts."""
        self._lock = Lock()
        self._generation += 1
        self._queue = deque()
        self._in_flight = 0
        self._window = deque(self._window)
        self._tokens = sum(ticket.tokens for ticket in self._window)
        self._allowances.renew_after_fork()

    def lease(self, ask: Callable[[], None]) -> None:
        """Use from now on only what `exchange` grants of the limits per minute and per day.

        Args:
            ask: Called, from any thread, when a request lacks something. It must not wait.
        """
        with self._lock:
            self._ask = ask
            self._allowances.lease()

    @property
    def is_leased(self) -> bool:
        """Whether processes share the limits."""
        return self._ask is not None

    def exchange(self, now: float, change: Callable[[Allowances, int, int], T], *, admit: bool = False) -> T:
        """Let a function read or change what is granted.

        Args:
            now: The time.
            change: Called with the allowances, and the calls and tokens of the last minute. It must not wait.
            admit: Whether the change is an answer of the store; then the requests that have waited for it are admitted.
        """
        with self._lock:
            self._forget_old(now)
            waiting = sum(ticket.tokens for ticket in self._queue)
            self._allowances.count_waiting(len(self._window), self._tokens, len(self._queue), waiting)
            result = change(self._allowances, len(self._window), self._tokens)
            woken = []
            if admit:
                self._allowances.record_store_answer(now)
                woken = self._admit_waiting(now, None)
        _wake_all(woken)
        return result

    @property
    def in_flight(self) -> int:
        """The number of calls that are running."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._queue)

    def request_ticket(self, tokens: int, now: float) -> Ticket:
        """Return a ticket: admitted if the limits allow it, else at the end of the queue.

        Args:
            tokens: An estimate of the tokens of the call.
            now: The time.
        """
        with self._lock:
            ticket = Ticket(self, tokens, len(self._queue), self._generation)
            self._queue.append(ticket)
            woken = self._admit_waiting(now, ticket)
            limit = self._limits.max_queue
            is_full = limit is not None and not ticket.admitted and len(self._queue) > limit
            if is_full or ticket.used_up:
                self._queue.pop()
                ticket.rejected = ticket.released = True
        if self._ask is not None and self._allowances.is_asking:
            self._ask()
        _wake_all(woken)
        return ticket

    def estimate_wait_s(self, ticket: Ticket, now: float) -> float:
        """Return an estimate of the seconds that a ticket will wait; 0 when nothing is known.

        It assumes that calls end after the median duration of the latest calls, and respects the limits per minute.
        """
        with self._lock:
            if ticket.admitted or ticket.released:
                return 0.0
            ahead = self._queue.index(ticket)
            limits, at = self._limits, now
            if limits.max_concurrency is not None and self._durations:
                median_s = sorted(self._durations)[len(self._durations) // 2]
                free = limits.max_concurrency - self._in_flight
                at += max(0, ahead + 1 - free) * median_s / limits.max_concurrency
            if limits.requests_per_minute is not None:
                share = self._allowances.minute_requests
                usable = limits.requests_per_minute if share is None or not self.is_leased else share.share
                at = max(at, self._estimate_minute_slot(usable, ahead)) if usable else at
            return at - now

    def _estimate_minute_slot(self, limit: int, ahead: int) -> float:
        """Return when the limit per minute admits a ticket with ``ahead`` others before it."""
        minutes, place = divmod(ahead, limit)
        if len(self._window) + place >= limit:
            minutes, place = minutes + 1, len(self._window) + place - limit
            return self._window[place].began + minutes * MINUTE_S
        return LONG_AGO

    def get_wait_s(self, ticket: Ticket, now: float) -> float:
        """Return the seconds until a ticket may be admitted: 0 when it is, `UNKNOWN_S` when that depends on others."""
        with self._lock:
            ticket.clear_wake()
            woken = self._admit_waiting(now, ticket)
            if ticket.admitted:
                wait_s = 0.0
            else:
                is_first = bool(self._queue) and self._queue[0] is ticket
                wait_s = self._find_slot(ticket, now) - now if is_first else UNKNOWN_S
        if self._ask is not None and self._allowances.is_asking:
            self._ask()
        _wake_all(woken)
        return wait_s

    def release(self, ticket: Ticket, now: float, *, used: bool, tokens: int | None) -> None:
        """Take a ticket back; see `Ticket.release`."""
        with self._lock:
            if ticket.released or ticket.generation != self._generation:
                return
            ticket.released = True
            if ticket.admitted:
                self._end_call(ticket, now, used=used, tokens=tokens)
            else:
                self._queue.remove(ticket)
            woken = self._admit_waiting(now, ticket)
        _wake_all(woken)

    def _end_call(self, ticket: Ticket, now: float, *, used: bool, tokens: int | None) -> None:
        self._in_flight -= 1
        if used:
            self._durations.append(now - ticket.began)
        counted = 0 if not used else ticket.tokens if tokens is None else tokens
        if ticket.in_window:
            self._tokens += counted - ticket.tokens
        self._allowances.correct(ticket, counted, used=used)
        ticket.tokens = counted
        if not used and ticket.in_window:
            ticket.in_window = False
            self._window.remove(ticket)

    def _forget_old(self, now: float) -> None:
        while self._window and self._window[0].began <= now - MINUTE_S:
            old = self._window.popleft()
            old.in_window = False
            self._tokens -= old.tokens

    def _admit_waiting(self, now: float, asking: Ticket | None) -> list[Ticket]:
        """Admit what the limits allow. Return the tickets to wake: those, and the first one if only time holds it."""
        self._forget_old(now)
        woken = []
        while self._queue:
            first = self._queue[0]
            slot = self._find_slot(first, now)
            if slot > now:
                if slot < UNKNOWN_S and first is not asking:
                    woken.append(first)
                break
            self._queue.popleft()
            self._admit(first, now)
            if first is not asking:
                woken.append(first)
        return woken

    def _admit(self, ticket: Ticket, now: float) -> None:
        ticket.admitted = True
        ticket.began = now
        self._in_flight += 1
        self._allowances.use(ticket, now)
        if self._limits.has_minutes:
            ticket.in_window = True
            self._window.append(ticket)
            self._tokens += ticket.tokens

    def _find_slot(self, ticket: Ticket, now: float) -> float:
        """Return when the first ticket of the queue may be admitted; infinity while all concurrent calls are used."""
        limits = self._limits
        if limits.max_concurrency is not None and self._in_flight >= limits.max_concurrency:
            return UNKNOWN_S
        return self._allowances.find_slot(self._window, self._tokens, ticket, now)


def _wake_all(tickets: list[Ticket]) -> None:
    for ticket in tickets:
        ticket.wake()
