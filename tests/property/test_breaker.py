"""The breaker against a table, on a virtual clock."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from simulator import Fixed

from kickai_providers_core.resilience.breaker import Breaker, BreakerSettings, Permit
from kickai_providers_core.values.breaker_state import BreakerState

COOLDOWN_S, CEILING_S, LEASE_S, MAX_ERRORS = 5.0, 20.0, 120.0, 3


class BreakerMachine(RuleBasedStateMachine):
    """Promise 6: in any order of calls, results, cancellations and time, the breaker does what a plain table says."""

    permits = Bundle("permits")

    def __init__(self) -> None:
        super().__init__()
        settings = BreakerSettings(
            max_errors=MAX_ERRORS, cooldown_s=COOLDOWN_S, max_cooldown_s=CEILING_S, probe_lease_s=LEASE_S
        )
        self.breaker = Breaker(settings=settings)
        self.now = 0.0
        self.state, self.errors, self.due, self.streak = "closed", 0, 0.0, 0
        self.opened = 0.0  # when the open state that a probe interrupted would have ended
        self.probe: Permit | None = None
        self.fresh: set[int] = {0}  # the generations whose ordinary results still count

    def opens(self, streak: int) -> None:
        """Create the breaker."""
        self.state, self.streak, self.probe, self.fresh = "open", streak, None, set()
        self.due = self.now + min(CEILING_S, COOLDOWN_S * 2**streak)

    @rule(seconds=st.integers(0, 150))
    def time_passes(self, seconds: int) -> None:
        """Let the time pass."""
        self.now += seconds

    @rule(target=permits, early=st.booleans())
    def ask(self, early: bool) -> Permit | None:
        """Request a permit."""
        self.breaker, permit = self.breaker.admit(self.now, early=early)
        if self.state == "closed":
            assert permit is not None
            assert not permit.probe
        elif self.now >= self.due or (early and self.state == "open"):
            assert permit is not None
            assert permit.probe
            self.opened = self.opened if self.state == "half_open" else self.due
            self.state, self.probe, self.due = "half_open", permit, self.now + LEASE_S
        else:
            assert permit is None
        return permit

    @rule(permit=consumes(permits))
    def succeed(self, permit: Permit | None) -> None:
        """Report a success."""
        if permit is None:
            return
        self.breaker = self.breaker.record_success(permit)
        if permit == self.probe:
            self.state, self.errors, self.streak, self.probe = "closed", 0, 0, None
            self.fresh = {self.breaker.generation}
        elif self.state == "closed" and permit.generation in self.fresh:
            self.errors = max(0, self.errors - 1)

    @rule(permit=consumes(permits))
    def fail(self, permit: Permit | None) -> None:
        """Report a failure."""
        if permit is None:
            return
        self.breaker = self.breaker.record_failure(permit, self.now, Fixed(1.0))
        if permit == self.probe:
            self.opens(self.streak + 1)
        elif self.state == "closed" and permit.generation in self.fresh:
            self.errors += 1
            if self.errors == MAX_ERRORS:
                self.opens(0)

    @rule(permit=consumes(permits))
    def cancel(self, permit: Permit | None) -> None:
        """Release a permit."""
        if permit is None:
            return
        self.breaker = self.breaker.release(permit)
        if permit == self.probe:
            self.state, self.probe, self.due = "open", None, self.opened

    @invariant()
    def agrees(self) -> None:
        """The breaker and the table are in the same state, and no state lasts for ever."""
        assert self.breaker.state == BreakerState(self.state)
        if self.state == "closed":
            assert self.breaker.errors == self.errors
            assert self.breaker.get_retry_in_s(self.now) == 0.0
        else:
            assert 0.0 <= self.breaker.get_retry_in_s(self.now) <= LEASE_S


TestBreaker = BreakerMachine.TestCase
