"""Health: the circuit breaker and the suspensions of each target and each provider.

All requests of a resolver share it. The transitions are pure (`breaker`, `suspensions`); here they become atomic. All
methods are safe to call from any thread.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from attrs import frozen

from kickai_providers_core.resilience.breaker import CLOSED, HALF_OPEN, Breaker, Permit
from kickai_providers_core.resilience.suspensions import Suspensions

if TYPE_CHECKING:
    from kickai_providers_core.resilience.breaker import BreakerSettings
    from kickai_providers_core.resilience.policy import Random
    from kickai_providers_core.resilience.suspensions import Suspension
    from kickai_providers_core.values.breaker_state import BreakerState

__all__ = ["FREE_PROBES", "Admission", "Health", "HealthState", "ProbeGate", "TargetHealth"]

LONG_AGO = float("-inf")

MAX_UNUSED = 1_000
"""The number of targets and providers that are remembered although no chain uses them."""

LEASE_WAIT_S = 0.25
"""Seconds after which a process that needs a lease for a probe may have got it."""


@frozen
class ProbeGate:
    """Whether a probe needs a lease, since only one of several processes probes a target.

    Attributes:
        required_until: The time until which it does; it passes by itself when the leases' store fails.
        lease_until: The time until which this process has the lease.
    """

    required_until: float = LONG_AGO
    lease_until: float = LONG_AGO

    def is_shut(self, now: float) -> bool:
        """Return whether no probe is allowed now."""
        return self.lease_until <= now < self.required_until


FREE_PROBES = ProbeGate()
"""The gate of a target whose health is not shared."""


class HealthState:
    """The circuit breaker and the suspensions of one target, or of one provider as a whole.

    Attributes:
        breaker: The breaker as it is now.
        suspensions: The suspensions as they are now.
        probe_gate: Whether a probe needs a lease.
        refused_at: When a call was last refused.
    """

    __slots__ = (
        *("__weakref__", "_last_resort_until", "_lock", "_random"),
        *("breaker", "probe_gate", "refused_at", "suspensions"),
    )

    def __init__(self, settings: BreakerSettings, random: Random) -> None:
        self.breaker = Breaker(settings=settings)
        self.suspensions = Suspensions()
        self.probe_gate = FREE_PROBES
        self.refused_at = LONG_AGO
        self._last_resort_until = LONG_AGO
        self._random = random
        self._lock = Lock()

    def renew_after_fork(self) -> None:
        """Keep breaker and suspensions in a child. A running probe is the parent's; the child may send its own."""
        self._lock = Lock()
        self._last_resort_until = LONG_AGO
        breaker = self.breaker
        if breaker.state is HALF_OPEN:
            self.breaker = breaker.release(Permit(breaker.generation, probe=True))

    @property
    def is_healthy(self) -> bool:
        """Whether its breaker is closed without errors, and it is not suspended: a success changes nothing."""
        breaker = self.breaker
        return breaker.state is CLOSED and not breaker.errors and not self.suspensions.active

    def available_at(self, now: float) -> float:
        """Return the time from which it may be called, at least ``now``."""
        due = self.breaker.available_at(now)
        if due <= now and self.breaker.state is not CLOSED and self.probe_gate.is_shut(now):
            due = now + LEASE_WAIT_S
        return max(due, self.suspensions.longest.until)

    def admit(self, now: float) -> Permit | None:
        """Return permission for one call; None while it is suspended or its breaker refuses."""
        suspensions = self.suspensions  # read once: the permit must not name a suspension that was not checked
        if now < suspensions.longest.until:
            return None
        breaker = self.breaker
        if breaker.state is CLOSED:
            return Permit(breaker.generation, suspension=suspensions.generation)
        permit = None if self.probe_gate.is_shut(now) else self._admit(now, suspensions.generation)
        if permit is None:
            self.refused_at = now
        return permit

    def force(self, now: float) -> Permit | None:
        """Return permission for one call of last resort, an early probe. None in a stated delay or during a probe."""
        suspensions = self.suspensions
        if now < suspensions.stated_until:
            return None
        return self._admit(now, suspensions.generation, early=True)

    def claim_last_resort(self, now: float) -> float | None:
        """Claim the lease for a call of last resort and return its expiry time; None while another call holds it."""
        with self._lock:
            if now < self._last_resort_until:
                return None
            self._last_resort_until = now + self.breaker.settings.probe_lease_s
            return self._last_resort_until

    def end_last_resort(self, lease: float) -> None:
        """End the lease of a call of last resort, unless another call holds a newer one."""
        with self._lock:
            if lease == self._last_resort_until:
                self._last_resort_until = LONG_AGO

    def record_success(self, permit: Permit) -> None:
        """Record that a call succeeded, and end the suspensions that had begun when it was admitted."""
        if self.is_healthy:
            return  # a success changes nothing
        with self._lock:
            self.breaker = self.breaker.record_success(permit)
            self.suspensions = self.suspensions.end(permit.suspension)

    def record_failure(self, permit: Permit, now: float) -> None:
        """Record that a call failed in a way that counts."""
        with self._lock:
            self.breaker = self.breaker.record_failure(permit, now, self._random)

    def release(self, permit: Permit) -> None:
        """Return the permit of a call that was cancelled, or whose failure does not count."""
        if permit.probe:
            with self._lock:
                self.breaker = self.breaker.release(permit)

    def suspend(self, suspension: Suspension) -> None:
        """Begin a suspension. One that lasts longer continues."""
        with self._lock:
            self.suspensions = self.suspensions.begin(suspension)

    def end_suspensions(self, generation: int) -> None:
        """End the suspensions up to a generation: another process has got an answer since."""
        with self._lock:
            self.suspensions = self.suspensions.end(generation)

    def open_breaker(self, now: float, duration_s: float) -> None:
        """Open the breaker because another process has opened its own. A running probe is no longer one."""
        with self._lock:
            self.breaker = self.breaker.open_for(now, duration_s)

    def close_breaker(self, generation: int) -> None:
        """Close a breaker of a certain generation, because another process has closed its own."""
        with self._lock:
            if self.breaker.generation == generation:
                self.breaker = self.breaker.close()

    def is_idle(self, now: float) -> bool:
        """Return whether forgetting it would lose nothing: no error, no suspension, no probe."""
        is_over = now >= self.suspensions.longest.until
        return is_over and self.breaker.is_healthy and now >= self._last_resort_until

    def _admit(self, now: float, suspension: int, *, early: bool = False) -> Permit | None:
        with self._lock:
            self.breaker, permit = self.breaker.admit(now, early=early)
        return permit and Permit(permit.generation, permit.probe, suspension)


@frozen(slots=False)
class Admission:
    """Permission to call one target once.

    Attributes:
        provider_permit: The permit of its provider.
        target_permit: The permit of the target.
        states_before: The states of the two breakers before a probe was admitted; None unless the call is a probe.
        last_resort: The lease of a call of last resort; None for any other call.
    """

    provider_permit: Permit
    target_permit: Permit
    states_before: tuple[BreakerState, BreakerState] | None = None
    last_resort: float | None = None

    @property
    def is_probe(self) -> bool:
        """Whether the call is a probe."""
        return self.states_before is not None


@frozen
class TargetHealth:
    """The health of one target: its provider's state and its own.

    Attributes:
        provider: The state of the provider as a whole.
        target: The state of the target.
    """

    provider: HealthState
    target: HealthState

    def admit(self, now: float) -> Admission | None:
        """Return permission for one call; None while the provider or the target is unavailable."""
        provider, target = self.provider, self.target
        before = provider.breaker.state, target.breaker.state
        provider_permit = provider.admit(now)
        if provider_permit is None:
            return None
        target_permit = target.admit(now)
        if target_permit is None:
            provider.release(provider_permit)
            return None
        is_probe = provider_permit.probe or target_permit.probe
        return Admission(provider_permit, target_permit, before if is_probe else None)

    def force(self, now: float) -> Admission | None:
        """Return permission for one call of last resort.

        None during a delay that the service has stated, while a probe is running, and while another call of last resort
        to the same target is running.
        """
        lease = self.target.claim_last_resort(now)
        if lease is None:
            return None
        before = self.breaker_states()
        provider_permit = self.provider.force(now)
        target_permit = self.target.force(now) if provider_permit is not None else None
        if provider_permit is None or target_permit is None:
            if provider_permit is not None:
                self.provider.release(provider_permit)
            self.target.end_last_resort(lease)
            return None
        is_probe = provider_permit.probe or target_permit.probe
        return Admission(provider_permit, target_permit, before if is_probe else None, lease)

    def available_at(self, now: float) -> float:
        """Return the time from which the target may be called, at least ``now``."""
        return max(self.provider.available_at(now), self.target.available_at(now))

    def active_suspension(self, now: float) -> Suspension | None:
        """Return the suspension of provider or target that ends last, or None."""
        longest = max(self.provider.suspensions.longest, self.target.suspensions.longest, key=lambda each: each.until)
        return longest if now < longest.until else None

    def record_success(self, admission: Admission) -> tuple[BreakerState, BreakerState] | None:
        """Record that a call succeeded.

        Returns:
            The states of the two breakers before; None when both were healthy, so that nothing has changed.
        """
        self._end_last_resort(admission)
        if self.provider.is_healthy and self.target.is_healthy:
            return None
        before = self.breaker_states()
        self.provider.record_success(admission.provider_permit)
        self.target.record_success(admission.target_permit)
        return before

    def record_failure(self, admission: Admission, now: float, *, target: bool, provider: bool) -> None:
        """Record that a call failed, counting it against the target, its provider, both or neither."""
        self._end_last_resort(admission)
        for state, permit, counts in (
            (self.provider, admission.provider_permit, provider),
            (self.target, admission.target_permit, target),
        ):
            if counts:
                state.record_failure(permit, now)
            else:
                state.release(permit)

    def release(self, admission: Admission) -> None:
        """Return the permission of a call that was cancelled."""
        self._end_last_resort(admission)
        self.provider.release(admission.provider_permit)
        self.target.release(admission.target_permit)

    def breaker_states(self) -> tuple[BreakerState, BreakerState]:
        """Return the states of the provider's breaker and of the target's."""
        return self.provider.breaker.state, self.target.breaker.state

    def _end_last_resort(self, admission: Admission) -> None:
        if admission.last_resort is not None:
            self.target.end_last_resort(admission.last_resort)


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

    def for_target(self, provider: str, model: str | None, now: float = LONG_AGO) -> TargetHealth:
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

    def states(self) -> dict[tuple[str, ...], HealthState]:
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
