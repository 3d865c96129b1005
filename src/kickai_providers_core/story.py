"""The story of one request: what was tried and what was passed over, told to the observers as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from kickai_providers_core.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    Hedged,
    Queued,
    RequestEnded,
    RequestStarted,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)

if TYPE_CHECKING:
    from kickai_providers_core.breaker import State
    from kickai_providers_core.errors import ProviderError
    from kickai_providers_core.link import Brief, Errand, Link
    from kickai_providers_core.messages import Reply, Usage

__all__ = ["Story"]


class Story:
    """The attempts and skips of one request, in the order in which they happened.

    Attributes:
        attempts: Every attempt that has ended.
        started: The time at which the request began; the records count from it.
    """

    __slots__ = ("_over", "_request", "_role", "_skips", "_tell", "attempts", "started")

    def __init__(self, brief: Brief, errand: Errand, links: int, started: float) -> None:
        self.started = started
        self.attempts: list[Attempt] = []
        self._skips: dict[int, Skip] = {}
        self._tell = brief.tell
        self._request = errand.number
        self._role = brief.role
        self._over = False
        if self._tell is not None:
            self._tell(
                RequestStarted(request=self._request, role=self._role, targets=links, deadline_s=errand.deadline_s)
            )

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """Every target that was passed over and not tried after all."""
        return tuple(self._skips.values())

    def tries(self, link: Link) -> int:
        """Return how often the target was tried; one try under way does not count."""
        if not self.attempts:
            return 0
        return sum(attempt.position == link.position for attempt in self.attempts)

    def last_try(self, link: Link) -> Attempt | None:
        """Return the target's latest attempt."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.position == link.position), None)

    def begins(self, link: Link, number: int, timeout_s: float) -> None:
        """Tell that a target is about to be called."""
        self._skips.pop(link.position, None)
        if self._tell is not None:
            self._tell(
                AttemptStarted(
                    request=self._request,
                    role=self._role,
                    provider=link.provider,
                    model=link.model,
                    number=number,
                    timeout_s=timeout_s,
                )
            )

    def ends(
        self,
        link: Link,
        number: int,
        began: float,
        now: float,
        *,
        error: ProviderError | None = None,
        rests_s: float = 0.0,
        cancelled: bool = False,
        usage: Usage | None = None,
    ) -> None:
        """Write down how an attempt ended, and sign its error with the target's name."""
        outcome = Outcome.CANCELLED if cancelled else Outcome.SUCCESS
        if error is not None:
            outcome = Outcome.ERROR
            if not error.provider:
                error.provider, error.model = link.provider, error.model or link.model
        attempt = Attempt(
            position=link.position,
            provider=link.provider,
            model=link.model,
            number=number,
            started_s=began - self.started,
            latency_s=now - began,
            outcome=outcome,
            error=error,
            rests_s=rests_s,
        )
        self.attempts.append(attempt)
        if self._tell is not None:
            self._tell(AttemptEnded(request=self._request, role=self._role, attempt=attempt, usage=usage))

    def passes(self, link: Link, reason: SkipReason, detail: str, now: float, due: float | None = None) -> None:
        """Write down why a target was passed over; of one that was tried before, its attempts tell enough."""
        if self.tries(link):
            return
        skip = Skip(
            position=link.position,
            provider=link.provider,
            model=link.model,
            reason=reason,
            detail=detail,
            at_s=now - self.started,
            retry_in_s=None if due is None else due - now,
        )
        self._skips[link.position] = skip
        if self._tell is not None:
            self._tell(TargetSkipped(request=self._request, role=self._role, skip=skip))

    def over(self, now: float, *, reply: Reply | None = None, error: BaseException | None = None) -> None:
        """Tell how the request ended: with a reply, an error, or neither when it was cancelled; once."""
        if self._over:
            return
        self._over = True
        if self._tell is not None:
            self._tell(
                RequestEnded(
                    request=self._request,
                    role=self._role,
                    outcome="success" if reply else "error" if error else "cancelled",
                    latency_s=now - self.started,
                    attempts=len(self.attempts),
                    error=type(error).__name__ if error else None,
                    provider=reply.provider if reply else "",
                    model=reply.model if reply else "",
                    fell_back=reply.fell_back if reply else False,
                    usage=reply.usage if reply else None,
                )
            )

    def waits(self, link: Link, wait_s: float) -> None:
        """Tell that the request waits before it comes back to a target."""
        if self._tell is not None:
            self._tell(
                Waiting(request=self._request, role=self._role, provider=link.provider, model=link.model, wait_s=wait_s)
            )

    def hedges(self, link: Link, after_s: float) -> None:
        """Tell that another target is asked beside one that takes long."""
        if self._tell is not None:
            self._tell(
                Hedged(
                    request=self._request, role=self._role, provider=link.provider, model=link.model, after_s=after_s
                )
            )

    def lines_up(self, link: Link, ahead: int, patience_s: float) -> None:
        """Tell that the request stands in line before a target."""
        if self._tell is not None:
            self._tell(
                Queued(
                    request=self._request,
                    role=self._role,
                    provider=link.provider,
                    model=link.model,
                    ahead=ahead,
                    patience_s=patience_s,
                )
            )

    def withholds(self, link: Link) -> None:
        """Write down that a failed target is not tried again, since the retries of all have used up their budget."""
        at = max(at for at, attempt in enumerate(self.attempts) if attempt.position == link.position)
        self.attempts[at] = evolve(self.attempts[at], retry_withheld=True)
        if self._tell is not None:
            self._tell(RetryWithheld(request=self._request, role=self._role, provider=link.provider, model=link.model))

    def changes(self, link: Link, before: tuple[State, State], now: float) -> None:
        """Tell which breakers on the way to a target are in another state than before."""
        if self._tell is None or before == (after := link.route.states()):
            return
        places = zip((link.route.provider, link.route.target), (None, link.model), before, after, strict=True)
        for condition, model, old, new in places:
            if old is not new:
                self._tell(
                    BreakerChanged(
                        request=self._request,
                        role=self._role,
                        provider=link.provider,
                        model=model,
                        before=old,
                        after=new,
                        retry_in_s=condition.due_at(now) - now,
                    )
                )
