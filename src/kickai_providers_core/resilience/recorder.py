"""The story of one request: what was tried and what was passed over, told to the observers as it happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve

from kickai_providers_core.values.attempts import Attempt, Outcome, Skip, SkipReason
from kickai_providers_core.values.events import (
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
    from kickai_providers_core.resilience.actions import Try
    from kickai_providers_core.resilience.breaker import State
    from kickai_providers_core.resilience.candidates import Brief, Errand, Link
    from kickai_providers_core.values.errors import ProviderError
    from kickai_providers_core.values.messages import Usage
    from kickai_providers_core.values.replies import Reply

__all__ = ["Story"]


class Story:
    """The attempts and skips of one request, in the order in which they happened.

    Attributes:
        attempts: Every attempt that has ended.
        started: The time at which the request began; the records count from it.
    """

    _over = False

    def __init__(self, brief: Brief, errand: Errand, links: int, started: float) -> None:
        self.started = started
        self.attempts: list[Attempt] = []
        self._skips: dict[int, Skip] = {}
        self._tell = brief.tell
        self._request = errand.number
        self._role = brief.role
        if self._tell is not None:
            self._tell(RequestStarted(errand.number, brief.role, links, errand.deadline_s))

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """Every target that was passed over and not tried after all."""
        return tuple(self._skips.values()) if self._skips else ()

    def tries(self, link: Link) -> int:
        """Return how often the target was tried; one try under way does not count."""
        tries, position = 0, link.position
        for attempt in self.attempts:
            if attempt.position == position:
                tries += 1
        return tries

    def last_try(self, link: Link) -> Attempt | None:
        """Return the target's latest attempt."""
        return next((attempt for attempt in reversed(self.attempts) if attempt.position == link.position), None)

    def begins(self, link: Link, number: int, timeout_s: float) -> None:
        """Tell that a target is about to be called."""
        if self._skips:
            self._skips.pop(link.position, None)
        if self._tell is not None:
            self._tell(AttemptStarted(self._request, self._role, link.provider, link.model, number, timeout_s))

    def ends(
        self,
        step: Try,
        now: float,
        outcome: Outcome,
        *,
        error: ProviderError | None = None,
        rests_s: float = 0.0,
        usage: Usage | None = None,
    ) -> None:
        """Write down how an attempt ended, and sign its error with the target's name."""
        link, began = step.link, step.began
        provider, model = link.provider, link.model
        if error is not None and not error.provider:
            error.provider, error.model = provider, error.model or model
        started_s, latency_s = began - self.started, now - began
        attempt = Attempt.record(
            link.position, provider, model, step.number, started_s, latency_s, outcome, error, rests_s
        )
        self.attempts.append(attempt)
        if self._tell is not None:
            self._tell(AttemptEnded(self._request, self._role, attempt, usage))

    def passes(self, link: Link, reason: SkipReason, detail: str, now: float, due: float | None = None) -> None:
        """Write down why a target was passed over; of one that was tried before, its attempts tell enough."""
        if self.tries(link):
            return
        retry_in_s = None if due is None else due - now
        skip = Skip.record(link.position, link.provider, link.model, reason, detail, now - self.started, retry_in_s)
        self._skips[link.position] = skip
        if self._tell is not None:
            self._tell(TargetSkipped(self._request, self._role, skip))

    def succeeds(self, now: float, reply: Reply) -> None:
        """Tell that the request ended with a reply."""
        self._over = True
        if self._tell is not None:
            self._tell(
                RequestEnded(
                    self._request,
                    self._role,
                    "success",
                    now - self.started,
                    len(self.attempts),
                    None,
                    reply.provider,
                    reply.model,
                    reply.fell_back,
                    reply.usage,
                )
            )

    def over(self, now: float, error: BaseException | None = None) -> None:
        """Tell that the request ended with an error, or without one when it was cancelled; nothing if it was over."""
        if self._over:
            return
        self._over = True
        if self._tell is not None:
            outcome, told = ("error", type(error).__name__) if error is not None else ("cancelled", None)
            self._tell(RequestEnded(self._request, self._role, outcome, now - self.started, len(self.attempts), told))

    def waits(self, link: Link, wait_s: float) -> None:
        """Tell that the request waits before it comes back to a target."""
        if self._tell is not None:
            self._tell(Waiting(self._request, self._role, link.provider, link.model, wait_s))

    def hedges(self, link: Link, after_s: float) -> None:
        """Tell that another target is asked beside one that takes long."""
        if self._tell is not None:
            self._tell(Hedged(self._request, self._role, link.provider, link.model, after_s))

    def lines_up(self, link: Link, ahead: int, patience_s: float) -> None:
        """Tell that the request stands in line before a target."""
        if self._tell is not None:
            self._tell(Queued(self._request, self._role, link.provider, link.model, ahead, patience_s))

    def withholds(self, link: Link) -> None:
        """Write down that a failed target is not tried again, since the retries of all have used up their budget."""
        at = max(at for at, attempt in enumerate(self.attempts) if attempt.position == link.position)
        self.attempts[at] = evolve(self.attempts[at], retry_withheld=True)
        if self._tell is not None:
            self._tell(RetryWithheld(self._request, self._role, link.provider, link.model))

    def changes(self, link: Link, before: tuple[State, State], now: float) -> None:
        """Tell which breakers on the way to a target are in another state than before."""
        if self._tell is None or before == (after := link.route.states()):
            return
        places = zip((link.route.provider, link.route.target), (None, link.model), before, after, strict=True)
        for condition, model, old, new in places:
            if old is not new:
                due_s = condition.due_at(now) - now
                self._tell(BreakerChanged(self._request, self._role, link.provider, model, old, new, due_s))
