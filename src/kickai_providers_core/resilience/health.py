"""What is known of each target and provider right now: its breaker, and until when it rests.

State that every walk of a resolver shares. The transitions themselves are pure (`breaker`); here they are made
atomic. All methods are safe to call from any thread, and a call on the healthy path takes no lock.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from attrs import define, evolve, field, frozen

from kickai_providers_core.resilience.breaker import Breaker, Permit, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.resilience.breaker import BreakerSettings
    from kickai_providers_core.resilience.policy import Random

__all__ = ["Condition", "Health", "Leave", "Route"]

NEVER = float("-inf")

KEPT = 1_000
"""How many targets and providers are remembered although no chain uses them."""

OUTSIDER = Permit(-1)
"""A permit of no generation: whatever comes of the call that holds it changes nothing."""


@frozen
class Rest:
    """A time during which nothing is sent somewhere.

    Attributes:
        until: When it ends.
        reason: What it is a rest from, for a reader.
        limited: Whether a rate limit asked for it, so that waiting for its end makes sense.
        stated: Whether the service said how long, or its quota is used up: then not even the last resort calls it.
        generation: Which suspension of its target or provider it is, from 1. Filled in when it begins.
    """

    until: float = NEVER
    reason: str = ""
    limited: bool = False
    stated: bool = False
    generation: int = 0


NO_REST = Rest()


@frozen
class Suspensions:
    """The suspensions of one target or provider, as a value.

    A call that was admitted before a suspension began says nothing about it. So each suspension has a generation, each
    permit says which was the latest when it was given, and a success ends those that had begun by then.

    Attributes:
        generation: How many there have been.
        longest: The one that ends last; `NO_REST` when there is none.
        active: Those that may matter: one that ends sooner than a later one is dropped.
    """

    generation: int = 0
    longest: Rest = NO_REST
    active: tuple[Rest, ...] = ()

    def begin(self, rest: Rest) -> Suspensions:
        """Return these and one more. One that already lasts longer goes on as it is."""
        generation = self.generation + 1
        newest = evolve(rest, generation=generation)
        return self._of(generation, (*(old for old in self.active if not _is_within(old, newest)), newest))

    def end(self, generation: int) -> Suspensions:
        """Return those that are left after a call has succeeded.

        Args:
            generation: The latest that had begun when the call was admitted.
        """
        left = tuple(rest for rest in self.active if rest.generation > generation)
        return self if len(left) == len(self.active) else self._of(self.generation, left)

    def stated_until(self) -> float:
        """Return until when a service has asked to be left alone; long ago when none has."""
        return max((rest.until for rest in self.active if rest.stated), default=NEVER)

    @staticmethod
    def _of(generation: int, active: tuple[Rest, ...]) -> Suspensions:
        return Suspensions(generation, max(active, key=lambda rest: rest.until, default=NO_REST), active)


def _is_within(old: Rest, new: Rest) -> bool:
    """Return whether a suspension makes an older one needless."""
    return old.until <= new.until and new.stated >= old.stated


class Condition:
    """The breaker and the suspensions of one target, or of one provider as a whole.

    Attributes:
        breaker: The breaker as it is now.
        suspensions: What keeps it from being called for a time.
        free: The permit that every call gets while all is well: the breaker closed, no error counted, no rest. None
            while anything is otherwise, and then `admit` and `succeeded` have to be asked.
    """

    __slots__ = ("__weakref__", "_last_resort_until", "_lock", "_random", "breaker", "free", "suspensions")

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self.breaker = Breaker(settings=settings)
        self.suspensions = Suspensions()
        self.free: Permit | None = self.breaker.permit
        self._last_resort_until = NEVER
        self._random = random
        self._lock = Lock()

    @property
    def rest(self) -> Rest:
        """The rest that ends last, `NO_REST` when there is none."""
        return self.suspensions.longest

    def renew_after_fork(self) -> None:
        """Keep the breaker and the suspensions; a probe under way is the parent's, and a child may send its own."""
        self._lock = Lock()
        self._last_resort_until = NEVER
        breaker = self.breaker
        if breaker.state is State.HALF_OPEN:
            breaker = breaker.given_back(Permit(breaker.generation, probe=True))
        self._change(lambda _: breaker)

    def due_at(self, now: float) -> float:
        """Return the time from which it may be called, not before now."""
        return now if self.free is not None else max(self.breaker.due_at(now), self.rest.until)

    def admit(self, now: float) -> Permit | None:
        """Return leave for one call, or None while it rests or its breaker refuses."""
        if (free := self.free) is not None:
            return free
        suspensions = self.suspensions  # once, so that the permit never names a suspension that was not looked at
        if now < suspensions.longest.until:
            return None
        breaker = self.breaker
        if breaker.state is State.CLOSED:
            return _permit(breaker.permit, suspensions.generation)
        return self._admit(now, suspensions.generation, early=False)

    def force(self, now: float) -> Permit | None:
        """Return leave for one call although it rests, or its breaker is open: the probe, early.

        None while a probe is out, and during a delay that a service has stated.
        """
        suspensions = self.suspensions
        if now < suspensions.stated_until():
            return None
        return self._admit(now, suspensions.generation, early=True)

    def claim_last_resort(self, now: float) -> float | None:
        """Return the lease of a call of last resort, which is the time at which it ends; None while one is out."""
        with self._lock:
            if now < self._last_resort_until:
                return None
            self._last_resort_until = now + self.breaker.settings.probe_lease_s
            return self._last_resort_until

    def end_last_resort(self, lease: float) -> None:
        """Take the lease of a call of last resort back; nothing when another call has one by now."""
        with self._lock:
            if lease == self._last_resort_until:
                self._last_resort_until = NEVER

    def succeeded(self, permit: Permit) -> None:
        """Take the result of a call that worked, and end what suspensions there were when it was admitted."""
        self._change(lambda breaker: breaker.succeeded(permit), ends=permit.suspension)

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
            self.suspensions, self.free = self.suspensions.begin(rest), None

    def is_at_rest(self, now: float) -> bool:
        """Return whether nothing would be lost if it were forgotten: all is well, and no probe is out."""
        breaker, over = self.breaker, now >= self.suspensions.longest.until
        return over and breaker.state is State.CLOSED and not breaker.errors and now >= self._last_resort_until

    def _admit(self, now: float, suspension: int, *, early: bool) -> Permit | None:
        with self._lock:
            self.breaker, permit = self.breaker.admit(now, early=early)
            return permit and _permit(permit, suspension)

    def _change(self, change: Callable[[Breaker], Breaker], *, ends: int | None = None) -> None:
        with self._lock:
            self.breaker = breaker = change(self.breaker)
            if ends is not None:
                self.suspensions = self.suspensions.end(ends)
            well = breaker.state is State.CLOSED and not breaker.errors and not self.suspensions.active
            self.free = _permit(breaker.permit, self.suspensions.generation) if well else None


def _permit(permit: Permit, suspension: int) -> Permit:
    """Return a permit that says which suspension was the latest when it was given."""
    return permit if permit.suspension == suspension else Permit(permit.generation, permit.probe, suspension)


@define(eq=False, repr=False)
class Leave:
    """Leave to call one target once: a permit of its provider and one of its own.

    Attributes:
        of_provider: The provider's permit.
        of_target: The target's.
        found: The states of the two breakers before the leave was given, when the call is a probe: its result will
            change them. None for any other call.
        last_resort: When the target is called although it rests, since no other was left: the lease of that call.
    """

    of_provider: Permit
    of_target: Permit
    found: tuple[State, State] | None = None
    last_resort: float | None = None

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

    def force(self, now: float) -> Leave | None:
        """Return leave for one call of last resort; None where there must be none.

        There is none during a delay that a service has stated, while a probe is out, and while another call of last
        resort is under way at the same target.
        """
        lease = self.target.claim_last_resort(now)
        if lease is None:
            return None
        before = self.states()
        of_provider = self.provider.force(now)
        of_target = self.target.force(now) if of_provider is not None else None
        if of_provider is None or of_target is None:
            if of_provider is not None:
                self.provider.give_back(of_provider)
            self.target.end_last_resort(lease)
            return None
        found = before if of_provider.probe or of_target.probe else None
        return Leave(of_provider, of_target, found, lease)

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
        self._end_last_resort(leave)
        if self.provider.free is None or leave.of_provider.probe:
            self.provider.succeeded(leave.of_provider)
        if self.target.free is None or leave.of_target.probe:
            self.target.succeeded(leave.of_target)

    def failed(self, leave: Leave, now: float, *, target: bool, provider: bool) -> None:
        """Take the result of a call that failed, counting it against the target, its provider, both or neither."""
        self._end_last_resort(leave)
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
        self._end_last_resort(leave)
        self.provider.give_back(leave.of_provider)
        self.target.give_back(leave.of_target)

    def _end_last_resort(self, leave: Leave) -> None:
        if leave.last_resort is not None:
            self.target.end_last_resort(leave.last_resort)

    def states(self) -> tuple[State, State]:
        """Return the states of the provider's breaker and of the target's."""
        return self.provider.breaker.state, self.target.breaker.state


class Health:
    """Every `Condition` of a resolver, by provider and by target. Safe to use from any thread.

    At most `KEPT` of them are kept for nobody: beyond that, those at rest that no chain uses are forgotten.
    """

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._lock = Lock()
        self._conditions: dict[tuple[str, ...], Condition] = {}  # the latest to be asked for are last
        self._used: WeakValueDictionary[tuple[str, ...], Condition] = WeakValueDictionary()

    def route(self, provider: str, model: str | None, now: float = NEVER) -> Route:
        """Return the way to a target; all routes to one target share its condition, all to one provider that one's.

        Args:
            provider: The instance's name.
            model: The model; None for the instance's own.
            now: The time, by which it is decided what may be forgotten.
        """
        with self._lock:
            route = Route(self._condition((provider,)), self._condition((provider, model or "")))
            if len(self._conditions) > KEPT:
                self._forget(now)
            return route

    def conditions(self) -> dict[tuple[str, ...], Condition]:
        """Return every condition that is known, by provider, and by provider and model."""
        with self._lock:
            return {**dict(self._used), **self._conditions}

    def renew_after_fork(self) -> None:
        """Renew every condition for this process."""
        self._lock = Lock()
        for condition in {**dict(self._used), **self._conditions}.values():
            condition.renew_after_fork()

    def _condition(self, key: tuple[str, ...]) -> Condition:
        condition = self._conditions.pop(key, None) or self._used.get(key)
        if condition is None:
            self._used[key] = condition = Condition(self._settings, self._random)
        self._conditions[key] = condition
        return condition

    def _forget(self, now: float) -> None:
        """Forget a tenth of what is kept, the oldest first, and nothing that is not at rest."""
        at_rest = [key for key, condition in self._conditions.items() if condition.is_at_rest(now)]
        for key in at_rest[: KEPT // 10]:
            del self._conditions[key]
