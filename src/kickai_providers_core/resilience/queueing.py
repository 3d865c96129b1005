"""How long a request waits in the queue of a rate-limited provider before it tries other targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.resilience.actions import TICK_S, Sleep, WaitForSlot
from kickai_providers_core.resilience.rate_limiter import UNKNOWN_S
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.rate_limiter import RateLimiter, Ticket
    from kickai_providers_core.resilience.recorder import Recorder

__all__ = ["QueueWait", "choose_patience_s"]


def choose_patience_s(left_s: float, *, is_last: bool) -> float:
    """Return the seconds to wait for one target: half of the time that is left is for the targets after it."""
    return left_s if is_last else left_s / 2


@frozen(eq=False, repr=False)
class _Position:
    """A position in the queue of a target, which the request leaves at ``until`` at the latest."""

    candidate: Candidate
    ticket: Ticket
    until: float


class QueueWait:
    """The queues that one request enters and leaves. Belongs to that request.

    Args:
        recorder: Records each wait, and each target that is skipped because of its queue.
        latest: The time after which no attempt is started.

    Attributes:
        left: When to return to the targets whose queue the request has left, by position.
    """

    def __init__(self, recorder: Recorder, latest: float) -> None:
        self.left: dict[int, float] = {}
        self._recorder = recorder
        self._latest = latest
        self._position: _Position | None = None

    @property
    def candidate(self) -> Candidate | None:
        """The target in whose queue the request waits, or None."""
        return self._position.candidate if self._position is not None else None

    def enter(self, candidate: Candidate, limiter: RateLimiter, tokens: int, until: float, now: float) -> bool:
        """Take a ticket; return False when the target is skipped because its queue is full or too long.

        Args:
            candidate: The target.
            limiter: Its provider's rate limiter.
            tokens: An estimate of the tokens of the call.
            until: When to leave the queue at the latest; ``now`` for a request that does not wait.
            now: The time.
        """
        ticket = limiter.request_ticket(tokens, now)
        if ticket.rejected:
            self._record_rejection(candidate, ticket, now)
            return False
        may_wait = until > now
        wait_s = limiter.estimate_wait_s(ticket, now)
        if may_wait and not ticket.admitted and now + wait_s > until:
            ticket.release(now, used=False)
            # If all other targets fail, the queue may be worth waiting in after all.
            self.left[candidate.position] = now if now + wait_s <= self._latest else UNKNOWN_S
            detail = f"{_describe(ticket)} waiting before it, for an expected {wait_s:.1f} s"
            self._recorder.record_skip(candidate, (SkipReason.BUSY, detail), now, now + wait_s)
            return False
        self._position = _Position(candidate, ticket, until)
        if may_wait and not ticket.admitted:
            self._recorder.record_queued(candidate, ticket.ahead, until - now)
        return True

    def check(self, now: float) -> Ticket | Sleep | WaitForSlot | None:
        """Return the ticket when the request is admitted, how to wait while it is queued, None when it has left."""
        if self._position is None:
            return None
        candidate, ticket, until = self._position.candidate, self._position.ticket, self._position.until
        wait_s = ticket.get_wait_s(now)
        if wait_s <= 0 and now <= self._latest:
            self._position = None
            return ticket
        is_unknown = wait_s == UNKNOWN_S
        if now + TICK_S < until and (is_unknown or now + wait_s <= until):
            # The first ticket in the queue waits only for time to pass.
            if is_unknown or ticket.may_come_early:
                return WaitForSlot(ticket, min(until - now, wait_s))
            return Sleep(wait_s)
        self.leave(now)
        if ticket.used_up:
            self._record_rejection(candidate, ticket, now)
            return None
        slot_at = None if is_unknown else now + wait_s
        self.left[candidate.position] = slot_at or now
        detail = f"{format_count(ticket.ahead, 'request')} waited before it"
        self._recorder.record_skip(candidate, (SkipReason.BUSY, detail), now, slot_at)
        return None

    def _record_rejection(self, candidate: Candidate, ticket: Ticket, now: float) -> None:
        """Record that a target is skipped for good: its queue is full, or a limit of the day used up."""
        self.left[candidate.position] = UNKNOWN_S
        if ticket.used_up:
            self._recorder.record_skip(candidate, (SkipReason.DAILY_LIMIT, ticket.used_up), now, ticket.day_ends_at)
            return
        detail = f"its queue is full: {_describe(ticket)} waiting"
        self._recorder.record_skip(candidate, (SkipReason.BUSY, detail), now)

    def leave(self, now: float) -> None:
        """Leave the queue, if the request is in one."""
        if self._position is not None:
            self._position.ticket.release(now, used=False)
            self._position = None


def _describe(ticket: Ticket) -> str:
    return f"{format_count(ticket.ahead, 'request')} {'is' if ticket.ahead == 1 else 'are'}"
