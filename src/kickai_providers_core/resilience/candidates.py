"""A candidate: one target of a chain, as a walk sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.plain_text import format_count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kickai_providers_core.resilience.health import TargetHealth
    from kickai_providers_core.resilience.rate_limiter import RateLimiter
    from kickai_providers_core.resilience.walk_context import RequestContext
    from kickai_providers_core.values.requests import Capability

__all__ = ["UNVALIDATED", "Candidate", "Obstacle", "find_common_capabilities", "find_smallest_window"]

Obstacle = tuple[SkipReason, str]
"""Why a target cannot serve a request, and the same for a reader."""

UNVALIDATED: Obstacle = (SkipReason.NOT_CONFIGURED, "its settings were not validated in time")
"""The obstacle of a target whose plugin has not validated its settings yet. Compare it with ``is``."""


@frozen(kw_only=True, eq=False, repr=False)
class Candidate:
    """One target of a chain.

    Attributes:
        position: Its position in the chain, from 0.
        provider: The instance's name.
        model: The model to request; None when only the provider knows it.
        timeout_s: Seconds that one attempt may take.
        retries: How often it may be retried within one request.
        context_window: Tokens that prompt and answer may have together; None when unknown.
        capabilities: What it can do.
        health: Its health and its provider's, shared with all other requests.
        rate_limiter: Its provider's rate limiter, also shared; None without limits.
        find_obstacle: Returns why the target cannot be used at all, or None; `UNVALIDATED` while that is unknown.
        with_model: Returns the candidate for a model that a request names; None for a target that names its own.
    """

    position: int
    provider: str
    model: str | None
    timeout_s: float
    retries: int
    context_window: int | None
    capabilities: frozenset[Capability]
    health: TargetHealth
    find_obstacle: Callable[[], Obstacle | None]
    rate_limiter: RateLimiter | None = None
    with_model: Callable[[str], Candidate] | None = None

    @property
    def target(self) -> str:
        """The target as written in a chain."""
        return f"{self.provider}:{self.model}" if self.model else self.provider

    def find_obstacle_for(self, request: RequestContext, too_small: int | None = None) -> Obstacle | None:
        """Return why the target cannot serve a request at any time, or None.

        Args:
            request: The request.
            too_small: A context window, in tokens, that has proved too small for the request; None if none has.
        """
        obstacle = self.find_obstacle()
        if obstacle is not None:
            return obstacle
        if request.model is not None and self.model != request.model:
            return SkipReason.INCAPABLE, f"its model is {self.model}, and the request names {request.model}"
        if not request.needs <= self.capabilities:
            return SkipReason.INCAPABLE, "no " + ", ".join(sorted(request.needs - self.capabilities))
        window = self.context_window
        if window is not None and request.tokens > window:
            needed = f"prompt and answer take at least {request.tokens}"
            return SkipReason.WINDOW_TOO_SMALL, f"its window is {format_count(window, 'token')}, and {needed}"
        if too_small is not None and (window or 0) <= too_small:
            size = format_count(window, "token") if window else "of unknown size"
            return SkipReason.WINDOW_TOO_SMALL, f"its window is {size}"
        return None

    def describe_unavailability(self, available_at: float, now: float) -> Obstacle:
        """Return why the target, which could serve the request, may not be called before a given time."""
        left = f"{available_at - now:.1f} s left"
        suspension = self.health.find_active_suspension(now)
        if suspension is not None:
            return SkipReason.SUSPENDED, f"{suspension.reason}, {left}"
        probing = BreakerState.HALF_OPEN in self.health.get_breaker_states()
        return SkipReason.BREAKER_OPEN, "its probe is running" if probing else left


def find_smallest_window(candidates: Sequence[Candidate]) -> int | None:
    """Return the smallest known context window of the targets that can be used, in tokens; None when none is known."""
    return min((each.context_window for each in _keep_usable(candidates) if each.context_window), default=None)


def find_common_capabilities(candidates: Sequence[Candidate]) -> frozenset[Capability]:
    """Return what every target can do that can be used."""
    return frozenset.intersection(*(each.capabilities for each in _keep_usable(candidates)))


def _keep_usable(candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Return the targets without an obstacle, or whose settings are not validated yet; all targets if that is none."""
    usable = [each for each in candidates if (obstacle := each.find_obstacle()) is None or obstacle is UNVALIDATED]
    return usable or candidates
