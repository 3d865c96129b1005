"""Health: the circuit breaker and the suspensions of each target and each provider.

All requests of a resolver share it. The transitions are pure (`breaker`, `suspensions`); here they become atomic. All
methods are safe to call from any thread.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from attrs import define, frozen

from kickai_providers_core.resilience.breaker import CLOSED, Breaker
from kickai_providers_core.resilience.condition import Condition
from kickai_providers_core.resilience.probe_leases import FREE_PROBES, LONG_AGO, LastResortLease
from kickai_providers_core.resilience.suspensions import find_longest
from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from kickai_providers_core.resilience.breaker import BreakerSettings
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.resilience.suspensions import Suspension, Suspensions
    from kickai_providers_core.values.breaker_state import BreakerState

__all__ = ["Admission", "Health", "HealthState", "TargetHealth"]

MAX_UNUSED = 1_000
"""The number of targets and providers that are remembered although no chain uses them."""

LEASE_WAIT_S = 0.25
"""Seconds after which a process that needs a lease for a probe may have got it."""


class HealthState:
    """The circuit breaker and the suspensions of one target, or of one provider as a whole.

    Attributes:
        condition: Breaker and suspensions as they are now.
        last_resort: Whether a call of last resort is running.
        probe_gate: Whether a probe needs a lease.
        refused_at: When a call was last refused.
    """

    __slots__ = ("__weakref__", "_lock", "_random", "condition", "last_resort", "probe_gate", "refused_at")

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self.condition = Condition(Breaker(settings=settings))
        self.last_resort = LastResortLease(settings.probe_lease_s)
        self.probe_gate = FREE_PROBES
        self.refused_at = LONG_AGO
        self._random = random
        self._lock = Lock()

    def renew_after_fork(self) -> None:
        """Keep breaker and suspensions in a child. A running probe is the parent's; the child may send its own."""
        self._lock = Lock()
        self.last_resort.renew_after_fork()
        self.release(self.condition)

    @property
    def breaker(self) -> Breaker:
        """The breaker as it is now."""
        return self.condition.breaker

    @property
    def suspensions(self) -> Suspensions:
        """The suspensions as they are now."""
        return self.condition.suspensions

    def get_available_at(self, now: float) -> float:
        """Return the time from which it may be called, at least ``now``."""
        breaker, suspended_until = self.condition.breaker, self.condition.suspensions.longest.until
        if breaker.state is CLOSED:
            return max(suspended_until, now)
        due = breaker.get_available_at(now)
        if due <= now and self.probe_gate.is_shut(now):
            due = now + LEASE_WAIT_S
        return max(due, suspended_until)

    def admit(self, now: float) -> Condition | None:
        """Return the condition in which one call is admitted; None while it is suspended or its breaker refuses."""
        condition = self.condition
        if now < condition.suspensions.longest.until:
            return None
        if condition.breaker.state is CLOSED:
            return condition
        admitted = None if self.probe_gate.is_shut(now) else self._admit(now, condition)
        if admitted is None:
            self.refused_at = now
        return admitted

    def force(self, now: float) -> Condition | None:
        """Admit one call of last resort, an early probe. None in a stated delay or while a probe is running."""
        condition = self.condition
        return None if now < condition.suspensions.stated_until else self._admit(now, condition, early=True)

    def record_success(self, admitted: Condition) -> None:
        """Record that a call succeeded, and end the suspensions that had begun when it was admitted."""
        if self.condition.is_healthy:
            return  # a success changes nothing
        with self._lock:
            breaker, suspensions = self.condition.breaker, self.condition.suspensions
            self.condition = Condition(
                breaker.record_success(admitted.permit), suspensions.end(admitted.suspensions.generation)
            )

    def record_failure(self, admitted: Condition, now: float) -> None:
        """Record that a call failed in a way that counts."""
        with self._lock:
            self._set_breaker(self.condition.breaker.record_failure(admitted.permit, now, self._random))

    def release(self, admitted: Condition) -> None:
        """Record that a call was cancelled, or that its failure does not count."""
        if admitted.is_probe:
            with self._lock:
                self._set_breaker(self.condition.breaker.release(admitted.permit))

    def suspend(self, suspension: Suspension) -> None:
        """Begin a suspension. One that lasts longer continues."""
        with self._lock:
            self.condition = self.condition.with_suspensions(self.condition.suspensions.begin(suspension))

    def end_suspensions(self, generation: int) -> None:
        """End the suspensions up to a generation: another process has got an answer since."""
        with self._lock:
            self.condition = self.condition.with_suspensions(self.condition.suspensions.end(generation))

    def open_breaker(self, now: float, duration_s: float) -> None:
        """Open the breaker because another process has opened its own. A probe that runs changes nothing any more."""
        with self._lock:
            self._set_breaker(self.condition.breaker.open_for(now, duration_s))

    def close_breaker(self, generation: int) -> None:
        """Close a breaker of a certain generation, because another process has closed its own."""
        with self._lock:
            if self.condition.breaker.generation == generation:
                self._set_breaker(self.condition.breaker.close())

    def is_idle(self, now: float) -> bool:
        """Return whether forgetting it would lose nothing: no error, no suspension, no probe."""
        condition = self.condition
        is_over = now >= condition.suspensions.longest.until
        return is_over and condition.breaker.is_healthy and self.last_resort.is_free(now)

    def _admit(self, now: float, checked: Condition, *, early: bool = False) -> Condition | None:
        """Admit a call, in spite of the suspensions that were checked, but not of those that have begun since."""
        with self._lock:
            breaker, permit = self.condition.breaker.admit(now, early=early)
            self._set_breaker(breaker)
        return None if permit is None else checked.with_breaker(breaker)

    def _set_breaker(self, breaker: Breaker) -> None:
        self.condition = self.condition.with_breaker(breaker)


@define(eq=False)
class Admission:
    """Permission to call one target once.

    Attributes:
        provider: The condition of its provider when the call was admitted.
        target: The condition of the target when the call was admitted.
        states_before: The states of the two breakers before a probe was admitted; None unless the call is a probe.
        last_resort: The lease of a call of last resort; None for any other call.
    """

    provider: Condition
    target: Condition
    states_before: tuple[BreakerState, BreakerState] | None = None
    last_resort: float | None = None

    @property
    def is_probe(self) -> bool:
        """Whether the call is a probe."""
        return self.states_before is not None


@frozen(eq=False, repr=False)
class TargetHealth(Value):
    """The health of one target: its provider's state and its own.

    Attributes:
        provider: The state of the provider as a whole.
        target: The state of the target.
    """

    provider: HealthState
    target: HealthState

    def admit(self, now: float) -> Admission | None:
        """Return permission for one call; None while the provider or the target is unavailable."""
        provider, target = self.provider.condition, self.target.condition
        if provider.is_healthy and target.is_healthy:
            return Admission(provider, target)
        before = provider.breaker.state, target.breaker.state
        admitted_by_provider = self.provider.admit(now)
        if admitted_by_provider is None:
            return None
        admitted = self.target.admit(now)
        if admitted is None:
            self.provider.release(admitted_by_provider)
            return None
        is_probe = admitted_by_provider.is_probe or admitted.is_probe
        return Admission(admitted_by_provider, admitted, before if is_probe else None)

    def force(self, now: float) -> Admission | None:
        """Return permission for one call of last resort.

        None during a delay that the service has stated, while a probe is running, and while another call of last resort
        to the same target is running.
        """
        lease = self.target.last_resort.claim(now)
        if lease is None:
            return None
        before = self.get_breaker_states()
        provider = self.provider.force(now)
        target = self.target.force(now) if provider is not None else None
        if provider is None or target is None:
            if provider is not None:
                self.provider.release(provider)
            self.target.last_resort.end(lease)
            return None
        is_probe = provider.is_probe or target.is_probe
        return Admission(provider, target, before if is_probe else None, lease)

    def get_available_at(self, now: float) -> float:
        """Return the time from which the target may be called, at least ``now``."""
        return max(self.provider.get_available_at(now), self.target.get_available_at(now))

    def find_active_suspension(self, now: float) -> Suspension | None:
        """Return the suspension of provider or target that ends last, or None."""
        longest = find_longest((self.provider.suspensions.longest, self.target.suspensions.longest))
        return longest if now < longest.until else None

    def record_success(self, admission: Admission) -> tuple[BreakerState, BreakerState] | None:
        """Record that a call succeeded.

        Returns:
            The states of the two breakers before; None when both were healthy, so that nothing has changed.
        """
        self._end_last_resort(admission)
        if self.provider.condition.is_healthy and self.target.condition.is_healthy:
            return None
        before = self.get_breaker_states()
        self.provider.record_success(admission.provider)
        self.target.record_success(admission.target)
        return before

    def record_failure(self, admission: Admission, now: float, *, target: bool, provider: bool) -> None:
        """Record that a call failed, counting it against the target, its provider, both or neither."""
        self._end_last_resort(admission)
        for state, admitted, counts in (
            (self.provider, admission.provider, provider),
            (self.target, admission.target, target),
        ):
            if counts:
                state.record_failure(admitted, now)
            else:
                state.release(admitted)

    def release(self, admission: Admission) -> None:
        """Return the permission of a call that was cancelled."""
        self._end_last_resort(admission)
        self.provider.release(admission.provider)
        self.target.release(admission.target)

    def get_breaker_states(self) -> tuple[BreakerState, BreakerState]:
        """Return the states of the provider's breaker and of the target's."""
        return self.provider.condition.breaker.state, self.target.condition.breaker.state

    def _end_last_resort(self, admission: Admission) -> None:
        if admission.last_resort is not None:
            self.target.last_resort.end(admission.last_resort)


class Health:
    """The health of every provider and target of a resolver. Safe to use from any thread.

    Besides those that chains use, it remembers at most `MAX_UNUSED`; the oldest idle ones are forgotten first.
    """

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self._lock = Lock()
        self._conditions: dict[tuple[str, ...], HealthState] = {}  # the most recently requested are last
        self._used: WeakValueDictionary[tuple[str, ...], HealthState] = WeakValueDictionary()

    def get_target(self, provider: str, model: str | None, now: float = LONG_AGO) -> TargetHealth:
        """Return the health of a target. All callers share the state of a target, and of a provider.

        Args:
            provider: The instance's name.
            model: The model; None for the instance's own.
            now: The time, which decides what may be forgotten.
        """
        with self._lock:
            health = TargetHealth(self._get_state((provider,)), self._get_state((provider, model or "")))
            if len(self._conditions) > MAX_UNUSED:
                self._forget_idle(now)
            return health

    def get_states(self) -> dict[tuple[str, ...], HealthState]:
        """Return every known state, by provider, and by provider and model."""
        with self._lock:
            return {**dict(self._used), **self._conditions}

    def renew_after_fork(self) -> None:
        """Renew every state in a child."""
        self._lock = Lock()
        for state in {**dict(self._used), **self._conditions}.values():
            state.renew_after_fork()

    def _get_state(self, key: tuple[str, ...]) -> HealthState:
        state = self._conditions.pop(key, None) or self._used.get(key)
        if state is None:
            self._used[key] = state = HealthState(self._settings, self._random)
        self._conditions[key] = state
        return state

    def _forget_idle(self, now: float) -> None:
        """Forget the oldest idle states, at most a tenth of the limit at once."""
        idle = [key for key, state in self._conditions.items() if state.is_idle(now)]
        for key in idle[: MAX_UNUSED // 10]:
            del self._conditions[key]
