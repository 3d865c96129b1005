"""At the end of a chain: which of its targets may be asked once more within the request, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.actions import TICK_S
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.errors import RejectedRequestError, UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.resilience.candidates import Errand, Link
    from kickai_providers_core.resilience.policy import Policy
    from kickai_providers_core.resilience.recorder import Story
    from kickai_providers_core.values.attempts import Attempt, Skip
    from kickai_providers_core.values.errors import ProviderError

__all__ = ["Comeback", "due_first", "refused_by_all"]

INCAPABLE = frozenset({SkipReason.INCAPABLE, SkipReason.WINDOW_TOO_SMALL})
"""Reasons for which a target could serve other requests, but not this one."""


class Comeback:
    """What one walk has seen of its chain, now that it has come by every target."""

    __slots__ = ("_errand", "_latest", "_left", "_policy", "_story")

    def __init__(
        self, errand: Errand, story: Story, policy: Policy, left: Mapping[int, float], *, latest: float
    ) -> None:
        """Take what the walk knows.

        Args:
            errand: What the request needs.
            story: What became of it so far.
            policy: The disposition table.
            left: The links whose line was left, by position, and when to come back at the soonest.
            latest: The time after which no attempt is started.
        """
        self._errand = errand
        self._story = story
        self._policy = policy
        self._left = left
        self._latest = latest

    def chances(self, links: Sequence[Link], now: float) -> list[tuple[float, int]]:
        """Return when each target that may be asked again may be, soonest first, with its place among the links."""
        found = ((self._due(link, now), place) for place, link in enumerate(links))
        return sorted((due, place) for due, place in found if due is not None)

    def _due(self, link: Link, now: float) -> float | None:
        """Return when a target that was passed over or failed may be asked again, if at all."""
        if self._story.tries(link) > link.retries or self._errand.obstacle(link) is not None:
            return None
        last, health = self._story.last_try(link), link.route.due_at(now)
        left = self._left.get(link.position)
        if left is not None:
            # Whoever left the line a moment ago would stand in it for the same moment again.
            back = max(left, health)
            return back if back + TICK_S < self._latest else None
        if last is None:
            rest = link.route.rest(now)
            # What kept it from being called may be over by now; the end of a rate limit is worth waiting for.
            due = health if health <= now or (rest is not None and rest.limited) else None
        else:
            due = self._due_after(last, last.error, health, now)
        return due if due is not None and due <= self._latest else None

    def _due_after(self, last: Attempt, error: ProviderError | None, health: float, now: float) -> float | None:
        """Return when a failed target may be asked again, now that no other is left."""
        if error is None:
            return None
        rule = self._policy.rule_for(error)
        if rule.retry == "last":
            return health if last is self._story.attempts[-1] and health <= now else None
        stated = self._policy.stated_delay_s(error)
        if rule.retry == "wait" or (rule.retry == "backoff" and stated is not None):
            return max(health, self._story.started + last.started_s + last.latency_s + (stated or 0.0))
        return None


def due_first(links: Sequence[Link], errand: Errand, now: float) -> list[tuple[float, int]]:
    """Return when each target is due that could serve, whatever it rests from, and its place; soonest first."""
    return sorted((link.route.due_at(now), place) for place, link in enumerate(links) if errand.obstacle(link) is None)


def refused_by_all(attempts: Sequence[Attempt], skipped: Sequence[Skip], targets: int) -> RejectedRequestError | None:
    """Return the error of a request that no target can serve as it is; None when another reason played a part.

    Args:
        attempts: Every attempt.
        skipped: Every target that was not called.
        targets: How many targets the chain has.
    """
    errors = [attempt.error for attempt in attempts if isinstance(attempt.error, UnsupportedRequestError)]
    if not errors or len(errors) < len(attempts) or any(skip.reason not in INCAPABLE for skip in skipped):
        return None
    if len({attempt.position for attempt in attempts} | {skip.position for skip in skipped}) < targets:
        return None
    reasons = "; ".join([*map(str, errors), *map(str, skipped)])
    error = RejectedRequestError(f"no target can do what the request needs: {reasons}")
    error.__cause__ = ExceptionGroup("what each target said", errors)
    return error
