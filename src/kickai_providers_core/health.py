"""What is known of each target and provider right now: its breaker, and until when it rests.

State that every walk of a resolver shares. The transitions themselves are pure (`breaker`); here they are made
atomic. All methods are safe to call from any thread, and a call on the healthy path takes no lock.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from kickai_providers_core.breaker import Breaker, Permit, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.breaker import BreakerSettings
    from kickai_providers_core.policy import Random

__all__ = ["Condition", "Health", "Leave", "Route"]

NEVER = float("-inf")

OUTSIDER = Permit(-1)
"""A permit of no generation: whatever comes of the call that holds it changes nothing."""


@frozen
class Rest:
    """A time during which nothing is sent somewhere.

    Attributes:
        until: When it ends.
        reason: What it is a rest from, for a reader.
        limited: Whether a rate limit asked for it, so that waiting for its end makes sense.
    """

    until: float = NEVER
    reason: str = ""
    limited: bool = False


NO_REST = Rest()


class Condition:
    """The breaker and the rest of one target, or of one provider as a whole."""

    __slots__ = ("_lock", "_random", "breaker", "rest")

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self.breaker = Breaker(settings=settings)
        self.rest = NO_REST
        self._random = random
        self._lock = Lock()

    def due_at(self, now: float) -> float:
        """Return the time from which it may be called, not before now."""
        return max(self.breaker.due_at(now), self.rest.until)

    def admit(self, now: float) -> Permit | None:
        """Return leave for one call, or None while it rests or its breaker refuses."""
        if now < self.rest.until:
            return None
        breaker = self.breaker
        if breaker.state is State.CLOSED:
            return breaker.permit
        return self._admit(now, early=False)

    def force(self, now: float) -> Permit:
        """Return leave for one call whatever the state: the probe, early, or a permit that changes nothing."""
        return self._admit(now, early=True) or OUTSIDER

    def succeeded(self, permit: Permit) -> None:
        """Take the result of a call that worked."""
        if permit.probe or self.breaker.errors:
            self._change(lambda breaker: breaker.succeeded(permit))

    def failed(self, permit: Permit, now: float) -> None:
        """Take the result of a call that failed in a way that counts."""
        self._change(lambda breaker: breaker.failed(permit, now, self._random))

    def give_back(self, permit: Permit) -> None:
        """Take back the permit of a call that was cancelled, or that says nothing of the health."""
        if permit.probe:
            self._change(lambda breaker: breaker.given_back(permit))

    def leave_alone(self, rest: Rest) -> None:
        """Send nothing until the rest is over; one that already lasts longer stays as it is."""
        with self._lock:
            if rest.until > self.rest.until:
                self.rest = rest

    def wake(self) -> None:
        """End the rest: an answer has come all the same."""
        self.rest = NO_REST

    def _admit(self, now: float, *, early: bool) -> Permit | None:
        with self._lock:
            self.breaker, permit = self.breaker.admit(now, early=early)
            return permit

    def _change(self, change: Callable[[Breaker], Breaker]) -> None:
        with self._lock:
            self.breaker = change(self.breaker)


@frozen(slots=False)
class Leave:
    """Leave to call one target once: a permit of its provider and one of its own."""

    of_provider: Permit
    of_target: Permit

    @property
    def probing(self) -> bool:
        """Whether the call is a probe, so that its result will change the state of a breaker."""
        return self.of_target.probe or self.of_provider.probe


@define
class Route:
    """The way to one target: the condition of its provider, and its own."""

    provider: Condition
    target: Condition
    _latest: Leave = field(default=Leave(OUTSIDER, OUTSIDER), init=False, eq=False, repr=False)

    def admit(self, now: float) -> Leave | None:
        """Return leave for one call, or None while anything on the way rests or refuses."""
        of_provider = self.provider.admit(now)
        if of_provider is None:
            return None
        of_target = self.target.admit(now)
        if of_target is None:
            self.provider.give_back(of_provider)
            return None
        leave = self._latest
        if leave.of_provider is of_provider and leave.of_target is of_target:
            return leave  # a value like any other: closed breakers give one permit again and again
        self._latest = leave = Leave(of_provider, of_target)
        return leave

    def force(self, now: float) -> Leave:
        """Return leave for one call whatever the state."""
        return Leave(self.provider.force(now), self.target.force(now))

    def due_at(self, now: float) -> float:
        """Return the time from which the target may be called, not before now."""
        return max(self.provider.due_at(now), self.target.due_at(now))

    def rest(self, now: float) -> Rest | None:
        """Return the longest rest on the way that is not over, or None."""
        longest = max(self.provider.rest, self.target.rest, key=lambda rest: rest.until)
        return longest if now < longest.until else None

    def succeeded(self, leave: Leave) -> None:
        """Take the result of a call that worked."""
        for condition, permit in ((self.provider, leave.of_provider), (self.target, leave.of_target)):
            condition.succeeded(permit)
            if condition.rest is not NO_REST:
                condition.wake()

    def failed(self, leave: Leave, now: float, *, target: bool, provider: bool) -> None:
        """Take the result of a call that failed, counting it against the target, its provider, both or neither."""
        for condition, permit, counts in (
            (self.provider, leave.of_provider, provider),
            (self.target, leave.of_target, target),
        ):
            if counts:
                condition.failed(permit, now)
            else:
                condition.give_back(permit)

    def give_back(self, leave: Leave) -> None:
        """Take the leave back from a call that was cancelled."""
        self.provider.give_back(leave.of_provider)
        self.target.give_back(leave.of_target)

    def states(self) -> tuple[State, State]:
        """Return the states of the provider's breaker and of the target's."""
        return self.provider.breaker.state, self.target.breaker.state


@frozen
class Health:
    """Every `Condition` of a resolver, by provider and by target."""

    _settings: BreakerSettings
    _random: Random
    _conditions: dict[tuple[str, ...], Condition] = field(factory=dict, init=False, repr=False)

    def route(self, provider: str, model: str | None) -> Route:
        """Return the way to a target; all routes to one target share its condition, all to one provider that one's."""
        return Route(self._condition((provider,)), self._condition((provider, model or "")))

    def _condition(self, key: tuple[str, ...]) -> Condition:
        # dict.setdefault with a string key is atomic, so that two threads never end up with two conditions.
        return self._conditions.setdefault(key, Condition(self._settings, self._random))
