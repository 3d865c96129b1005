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
    """The breaker and the rest of one target, or of one provider as a whole.

    Attributes:
        breaker: The breaker as it stands.
        rest: The rest that ends last.
        free: The permit that every call gets while all is well: the breaker closed, no error counted, no rest. None
            while anything is otherwise, and then `admit` and `succeeded` have to be asked.
    """

    __slots__ = ("_lock", "_random", "breaker", "free", "rest")

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self.breaker = Breaker(settings=settings)
        self.rest = NO_REST
        self.free: Permit | None = self.breaker.permit
        self._random = random
        self._lock = Lock()

    def due_at(self, now: float) -> float:
        """Return the time from which it may be called, not before now."""
        return now if self.free is not None else max(self.breaker.due_at(now), self.rest.until)

    def admit(self, now: float) -> Permit | None:
        """Return leave for one call, or None while it rests or its breaker refuses."""
        if now < self.rest.until:
            return None
        breaker = self.breaker
        return breaker.permit if breaker.state is State.CLOSED else self._admit(now, early=False)

    def force(self, now: float) -> Permit:
        """Return leave for one call whatever the state: the probe, early, or a permit that changes nothing."""
        return self._admit(now, early=True) or OUTSIDER

    def succeeded(self, permit: Permit) -> None:
        """Take the result of a call that worked, and end the rest: an answer has come all the same."""
        self._change(lambda breaker: breaker.succeeded(permit), rest=NO_REST)

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
                self.rest, self.free = rest, None

    def _admit(self, now: float, *, early: bool) -> Permit | None:
        with self._lock:
            self.breaker, permit = self.breaker.admit(now, early=early)
            return permit

    def _change(self, change: Callable[[Breaker], Breaker], *, rest: Rest | None = None) -> None:
        with self._lock:
            self.breaker = breaker = change(self.breaker)
            if rest is not None:
                self.rest = rest
            well = breaker.state is State.CLOSED and not breaker.errors and self.rest is NO_REST
            self.free = breaker.permit if well else None


@define(eq=False, repr=False)
class Leave:
    """Leave to call one target once: a permit of its provider and one of its own.

    Attributes:
        of_provider: The provider's permit.
        of_target: The target's.
        found: The states of the two breakers before the leave was given, when the call is a probe: its result will
            change them. None for any other call.
    """

    of_provider: Permit
    of_target: Permit
    found: tuple[State, State] | None = None

    @property
    def probing(self) -> bool:
        """Whether the call is a probe."""
        return self.found is not None


@define(eq=False, repr=False)
class Route:
    """The way to one target: the condition of its provider, and its own."""

    provider: Condition
    target: Condition
    _latest: Leave = field(default=Leave(OUTSIDER, OUTSIDER), init=False, eq=False, repr=False)

    def admit(self, now: float) -> Leave | None:
        """Return leave for one call, or None while anything on the way rests or refuses."""
        of_provider, of_target = self.provider.free, self.target.free
        if of_provider is None or of_target is None:
            return self._ask(now)
        leave = self._latest
        if leave.of_provider is of_provider and leave.of_target is of_target:
            return leave  # a value like any other: conditions that are well give one permit again and again
        self._latest = leave = Leave(of_provider, of_target)
        return leave

    def _ask(self, now: float) -> Leave | None:
        before = self.states()
        of_provider = self.provider.admit(now)
        if of_provider is None:
            return None
        of_target = self.target.admit(now)
        if of_target is None:
            self.provider.give_back(of_provider)
            return None
        return Leave(of_provider, of_target, before if of_provider.probe or of_target.probe else None)

    def force(self, now: float) -> Leave:
        """Return leave for one call whatever the state."""
        before = self.states()
        of_provider, of_target = self.provider.force(now), self.target.force(now)
        return Leave(of_provider, of_target, before if of_provider.probe or of_target.probe else None)

    def due_at(self, now: float) -> float:
        """Return the time from which the target may be called, not before now."""
        return max(self.provider.due_at(now), self.target.due_at(now))

    def rest(self, now: float) -> Rest | None:
        """Return the longest rest on the way that is not over, or None."""
        provider, target = self.provider.rest, self.target.rest
        longest = provider if provider.until >= target.until else target
        return longest if now < longest.until else None

    def succeeded(self, leave: Leave) -> None:
        """Take the result of a call that worked."""
        if self.provider.free is None or leave.of_provider.probe:
            self.provider.succeeded(leave.of_provider)
        if self.target.free is None or leave.of_target.probe:
            self.target.succeeded(leave.of_target)

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


@frozen(eq=False, repr=False)
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
