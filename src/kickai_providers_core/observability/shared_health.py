"""Shares suspensions and open breakers with the other processes that use the same store.

The store's thread compares the health of this process with the store's marks, and changes whichever is behind. No
request waits for it.

Only what a service has said or done is shared: a stated delay, a rate limit, a used-up quota, and the breaker of a
target that was reached. A rejected key and an unreachable network may be this process's own problem.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from attrs import define, evolve, field, frozen

from kickai_providers_core.plugin_api.service_identity import identify_service
from kickai_providers_core.resilience.probe_leases import FREE_PROBES, ProbeGate
from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.stores.api import HealthMark
from kickai_providers_core.values.breaker_state import BreakerState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core.plugin_api.instance import Instance
    from kickai_providers_core.resilience.health import HealthState
    from kickai_providers_core.stores.api import Store

__all__ = ["SharedHealth"]

SHARED_REASONS = frozenset({"RateLimitedError", "QuotaExhaustedError", "ProviderUnavailableError"})
"""The errors whose suspensions are shared. The last one only with a stated delay."""

RATE_LIMITED = "RateLimitedError"

GATE_S = 2.0
"""Seconds after which probes need no lease when the store has not been read."""

GRACE_S = 60.0
"""Seconds that the mark of an open breaker lasts beyond its cool-down, so that its end is seen as a success."""

SKIPPED_LATELY_S = 1.0
"""A process wants to probe a target that it has skipped within the last second."""

LONGEST_LEASE_S = 30.0
"""The longest lease of a probe, in seconds."""

TOLERANCE_S = 0.5
"""A difference in seconds that does not matter."""


@define
class _Known:
    """What this process and the store know of each other about one target or provider.

    Attributes:
        suspension: The generation of the local suspensions that the store has, or that come from it.
        breaker: The generation of the local breaker that the store has, or that comes from it.
        marks: The generation of the store's mark of each kind that this process has seen.
        has_lease: Whether this process has the lease of a probe.
    """

    suspension: int = 0
    breaker: int = 0
    marks: dict[str, int] = field(factory=dict)
    has_lease: bool = False


@frozen
class _Exchange:
    """What this process and the store exchange about one target or provider.

    Attributes:
        store: The store.
        key: The identity of the target or provider.
        state: Its health in this process.
        known: What both sides know.
        now: The time.
        holder: The name of this process.
    """

    store: Store
    key: str
    state: HealthState
    known: _Known
    now: float
    holder: str

    def share_suspension(self, mark: HealthMark | None) -> None:
        """Bring the suspensions and the store's mark up to date."""
        state, known = self.state, self.known
        local, seen = state.suspensions.longest, known.marks.get("suspension", 0)
        left_s = local.until - self.now
        if mark is None:
            if seen:  # a sibling has got an answer, or the time is over
                state.end_suspensions(known.suspension)
                known.marks["suspension"] = 0
        elif mark.generation != seen:
            known.marks["suspension"] = mark.generation
            if mark.left_s > left_s + TOLERANCE_S:
                is_rate_limit = mark.reason == RATE_LIMITED
                state.suspend(Suspension(self.now + mark.left_s, mark.reason, is_rate_limit, mark.stated))
                known.suspension = state.suspensions.generation
                return
        elif known.suspension and not state.suspensions.active and mark.left_s > TOLERANCE_S:
            self.store.health.lift(self.key, mark.generation)  # a call that was admitted since has succeeded
            known.marks["suspension"] = 0
        if local.generation > known.suspension and left_s > 0 and _is_shared(local):
            self._publish("suspension", local.reason, left_s, stated=local.stated)
            known.suspension = local.generation

    def share_breaker(self, mark: HealthMark | None, *, was_reached: bool) -> None:
        """Bring the breaker and the store's mark up to date.

        Args:
            mark: The store's mark, or None.
            was_reached: Whether the target was reached when the breaker opened.
        """
        state, known, breaker = self.state, self.known, self.state.breaker
        seen = known.marks.get("breaker", 0)
        if mark is None:
            if seen:  # the probe of a sibling has succeeded
                state.close_breaker(known.breaker)
                known.marks["breaker"] = 0
        elif mark.generation != seen:
            known.marks["breaker"] = mark.generation
            left_s = max(0.0, mark.left_s - GRACE_S)
            is_behind = breaker.state is BreakerState.CLOSED or breaker.opens_until < self.now + left_s - TOLERANCE_S
            if is_behind and breaker.state is not BreakerState.HALF_OPEN:
                state.open_breaker(self.now, left_s)
                known.breaker = state.breaker.generation
                return
        elif known.breaker and breaker.state is BreakerState.CLOSED:
            self.store.health.lift(self.key, mark.generation)
            known.marks["breaker"] = 0
        is_new = breaker.state is BreakerState.OPEN and breaker.generation > known.breaker
        if is_new and breaker.opens_until > self.now and was_reached:
            self._publish("breaker", "its circuit breaker is open", breaker.opens_until - self.now + GRACE_S)
            known.breaker = breaker.generation

    def lease_probe(self, timeout_s: float) -> None:
        """Claim the lease of a probe ahead of need, and return it when it is not needed.

        Args:
            timeout_s: Seconds that an attempt at the target may take.
        """
        state, known, breaker, now = self.state, self.known, self.state.breaker, self.now
        name, lease_until = f"probe/{self.key}", state.probe_gate.lease_until
        is_over = breaker.state is BreakerState.CLOSED or breaker.opens_until > now or now >= lease_until
        if known.has_lease and is_over and breaker.state is not BreakerState.HALF_OPEN:
            self.store.leases.release(name, self.holder)
            known.has_lease, lease_until = False, FREE_PROBES.lease_until
        is_due = breaker.state is BreakerState.OPEN and breaker.opens_until <= now
        if is_due and not known.has_lease and now - state.refused_at <= SKIPPED_LATELY_S:
            lease = self.store.leases.claim(name, self.holder, min(timeout_s + 1.0, LONGEST_LEASE_S))
            if lease is not None:
                known.has_lease, lease_until = True, now + lease.left_s
        state.probe_gate = ProbeGate(required_until=now + GATE_S, lease_until=lease_until)

    def _publish(self, kind: str, reason: str, left_s: float, *, stated: bool = False) -> None:
        mark = HealthMark(key=self.key, kind=kind, reason=reason, left_s=left_s, stated=stated)
        self.store.health.publish([mark])
        # A sibling may lift the mark before this process reads it the next time.
        marks = (each for each in self.store.health.read() if (each.key, each.kind) == (self.key, kind))
        self.known.marks[kind] = next((each.generation for each in marks), 0)


class SharedHealth:
    """Compares the health of a process with the marks of a store. Used by the store's thread alone.

    Args:
        states: Returns the health of every target and provider, by instance and model.
        find: Returns the instance of a name, or None.
        clock: Returns the monotonic time in seconds.
        namespace: Separates the applications that share a store.
    """

    def __init__(
        self,
        states: Callable[[], Mapping[tuple[str, ...], HealthState]],
        find: Callable[[str], Instance | None],
        clock: Callable[[], float],
        namespace: str = "",
    ) -> None:
        self._states = states
        self._find = find
        self._clock = clock
        self._namespace = namespace
        self._holder = uuid4().hex
        self._known: dict[tuple[str, ...], _Known] = {}
        self._identities: dict[tuple[str, ...], str] = {}

    def renew_after_fork(self) -> None:
        """Become a process of its own: leases are the parent's."""
        self._holder = uuid4().hex
        for known in self._known.values():
            known.has_lease = False
        for state in self._states().values():
            state.probe_gate = evolve(state.probe_gate, lease_until=FREE_PROBES.lease_until)

    def run(self, store: Store) -> None:
        """Exchange what has changed.

        Raises:
            StoreError: The store failed. Until it works, each process probes for itself.
        """
        states = dict(self._states())
        marks = {(mark.key, mark.kind): mark for mark in store.health.read()}
        now = self._clock()  # after reading, so that no imported delay ends early
        for name, state in states.items():
            instance = self._find(name[0])
            if instance is None:
                continue
            key = self._identify(name, instance)
            known = self._known.setdefault(name, _Known())
            exchange = _Exchange(store, key, state, known, now, self._holder)
            exchange.share_suspension(marks.get((key, "suspension")))
            if len(name) > 1:  # the breaker of a provider as a whole counts what could not be reached from here
                provider = states.get(name[:1])
                was_reached = provider is None or provider.breaker.is_healthy
                exchange.share_breaker(marks.get((key, "breaker")), was_reached=was_reached)
                exchange.lease_probe(instance.settings.timeout_s)
        self._known = {name: known for name, known in self._known.items() if name in states}

    def _identify(self, name: tuple[str, ...], instance: Instance) -> str:
        if name not in self._identities:
            model = name[1] if len(name) > 1 else None
            self._identities[name] = identify_service(instance, model, self._namespace)
        return self._identities[name]


def _is_shared(suspension: Suspension) -> bool:
    if suspension.reason not in SHARED_REASONS:
        return False
    return suspension.stated or suspension.reason != "ProviderUnavailableError"
