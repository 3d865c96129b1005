"""A link of a chain, and what a walk down the chain is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, frozen

from kickai_providers_core.resilience.breaker import State
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.plain_text import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.resilience.health import Route
    from kickai_providers_core.resilience.hedging import Hedges
    from kickai_providers_core.resilience.policy import Policy, Random
    from kickai_providers_core.resilience.rate_limiter import Gate
    from kickai_providers_core.resilience.retry_budget import Budget
    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.requests import Capability

__all__ = ["UNVALIDATED", "Brief", "Errand", "Link"]

UNVALIDATED = (SkipReason.NOT_CONFIGURED, "its settings were not validated in time")
"""What keeps a target from being called whose plugin has yet to validate its settings. Compare it with ``is``."""


@frozen(kw_only=True, eq=False, repr=False)
class Link:
    """One target of a chain, as the walk sees it.

    Attributes:
        position: Its place in the chain, from 0.
        provider: The instance's name.
        model: The model to ask for; None for one that only the provider knows.
        timeout_s: The most that one attempt may take.
        retries: How often it may be tried again within one request.
        context_window: Tokens that prompt and answer may have together; None when unknown.
        capabilities: What it offers.
        route: Its health, shared with every other walk.
        for_model: Makes the link of the same target for the model of a request; None for a target that names a model.
        gate: Who may call the provider when, shared likewise; None when it sets no limits.
        unusable: Asked when a walk comes by: why the target cannot be used at all, with a word for a reader, or
            None when it can; `UNVALIDATED` while nobody knows.
    """

    position: int
    provider: str
    model: str | None
    timeout_s: float
    retries: int
    context_window: int | None
    capabilities: frozenset[Capability]
    route: Route
    unusable: Callable[[], tuple[SkipReason, str] | None]
    gate: Gate | None = None
    for_model: Callable[[str], Link] | None = None

    def resting(self, due: float, now: float) -> tuple[SkipReason, str]:
        """Return what keeps the target, which could serve, from being called until it is due."""
        left = f"{due - now:.1f} s left"
        rest = self.route.rest(now)
        if rest is not None:
            return SkipReason.RESTING, f"{rest.reason}, {left}"
        return SkipReason.BREAKER_OPEN, "a probe is out" if State.HALF_OPEN in self.route.states() else left


@frozen(kw_only=True, eq=False, repr=False)
class Brief:
    """What all walks down one chain have in common, apart from its links.

    Attributes:
        policy: The disposition table.
        random: Where jitter comes from.
        retries: How many retries all walks of the resolver may make.
        hedges: When a second target is asked beside one that takes long; None for never.
        tell: Takes each event; None when nobody listens, and then no event is made.
        role: The role that the chain was made for.
    """

    policy: Policy
    random: Random
    retries: Budget
    hedges: Hedges | None = None
    tell: Callable[[Event], None] | None = None
    role: str | None = None


@define(eq=False, repr=False)
class Errand:
    """What one walk is about; a record that lives as long as the request.

    Attributes:
        deadline_s: Seconds that the whole request may take.
        needs: Capabilities without which a target is passed over.
        tokens: How many tokens prompt and answer take, estimated low; 0 when it does not matter.
        number: The number that the request's events carry.
        streams: Whether the answer is handed out as it comes: then only the deadline bounds an attempt as a whole.
        model: The model that the request asks for itself; None for that of each target.
        floor: Only a window larger than this will do, as one that was too small has shown; None for none.
    """

    deadline_s: float
    needs: frozenset[Capability] = frozenset()
    tokens: int = 0
    number: int = 0
    streams: bool = False
    floor: int | None = None
    model: str | None = None

    def obstacle(self, link: Link) -> tuple[SkipReason, str] | None:
        """Return why a target cannot serve the request, whenever it is asked; None when it can."""
        unusable = link.unusable()
        if unusable is not None:
            return unusable
        if self.model is not None and link.model != self.model:
            return SkipReason.INCAPABLE, f"its model is {link.model}, and the request asks for {self.model}"
        needs, window = self.needs, link.context_window
        if needs and (lacking := needs - link.capabilities):
            return SkipReason.INCAPABLE, "no " + ", ".join(sorted(lacking))
        if window is not None and self.tokens > window:
            told = f"its window is {count(window, 'token')}, and prompt and answer take at least {self.tokens}"
            return SkipReason.WINDOW_TOO_SMALL, told
        if self.floor is not None and (window or 0) <= self.floor:
            size = count(window, "token") if window else "of unknown size"
            return SkipReason.WINDOW_TOO_SMALL, f"its window is {size}"
        return None
