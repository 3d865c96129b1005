"""A circuit breaker as a value: each transition returns a new one, and time is an argument.

States and transitions::

    closed ──max_errors reached──▶ open ──cool-down over, next admission──▶ half-open
      ▲                             ▲                                          │
      │                             └──────────── the probe failed ────────────┤
      └───────────────────────────────────────── the probe succeeded ──────────┘

The error count of a closed breaker rises by one with each failure and falls by one with each success. An open breaker
admits nothing until its cool-down is over, and then one probe. A probe that is released leaves the breaker as it was; a
probe that never returns expires. Each change of state begins a new generation. A result whose permit is from an earlier
generation changes nothing, so late results of an outage neither close nor reopen the breaker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from kickai_providers_core.resilience.policy import Random

__all__ = ["Breaker", "BreakerSettings", "Permit"]

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN

JITTER = 0.2
"""A cool-down is up to this share shorter than nominal, at random: processes do not probe together."""


@frozen(kw_only=True, eq=False, repr=False)
class BreakerSettings(Value):
    """When a breaker opens, and for how long.

    Attributes:
        max_errors: The error count at which it opens.
        cooldown_s: Seconds that it stays open the first time.
        max_cooldown_s: The maximum cool-down, in seconds; it doubles with each failed probe.
        probe_lease_s: Seconds after which a probe that has not returned expires, and another is admitted.
    """

    max_errors: int = field(default=3, validator=Number(integer=True, minimum=1))
    cooldown_s: float = field(default=5.0, validator=Number(above=0))
    max_cooldown_s: float = field(default=20.0, validator=Number(above=0))
    probe_lease_s: float = field(default=120.0, validator=Number(above=0))


@frozen(eq=False, repr=False)
class Permit(Value):
    """Permission for one call, to be returned with its result.

    Attributes:
        generation: The breaker's generation at the admission.
        probe: Whether it is the one call that a half-open breaker admits.
    """

    generation: int
    probe: bool = False


@frozen(eq=False, repr=False)
class Breaker(Value):
    """One circuit breaker at one moment.

    Attributes:
        settings: When it opens, and for how long.
        state: What it admits.
        errors: The error count; at most ``max_errors``.
        generation: The number of state changes so far.
        failed_probes: The number of consecutive failed probes since it was last closed.
        opens_until: The time at which an open breaker admits a probe.
        lease_until: The time at which the probe of a half-open breaker expires.
    """

    settings: BreakerSettings = field(factory=BreakerSettings)
    state: BreakerState = CLOSED
    errors: int = 0
    generation: int = 0
    failed_probes: int = 0
    opens_until: float = 0.0
    lease_until: float = 0.0

    @property
    def is_healthy(self) -> bool:
        """Whether it is closed and has counted no error."""
        return self.state is CLOSED and not self.errors

    @property
    def permit(self) -> Permit:
        """The permit that a closed breaker gives."""
        return Permit(self.generation)

    def get_available_at(self, now: float) -> float:
        """Return the time from which a call may be admitted, not before now."""
        if self.state is CLOSED:
            return now
        return max(now, self.opens_until if self.state is OPEN else self.lease_until)

    def get_retry_in_s(self, now: float) -> float:
        """Return the seconds until a call may be admitted: 0 when now."""
        return self.get_available_at(now) - now

    def admit(self, now: float, *, early: bool = False) -> tuple[Breaker, Permit | None]:
        """Return the breaker after a request for one call, and the permit.

        Args:
            now: The time.
            early: Whether a probe is wanted before the cool-down is over.

        Returns:
            The breaker and a permit; None instead of a permit when the call is not allowed.
        """
        if self.state is CLOSED:
            return self, self.permit
        if now < self.get_available_at(now) and not (early and self.state is OPEN):
            return self, None
        half_open = evolve(self._change_state(HALF_OPEN), lease_until=now + self.settings.probe_lease_s)
        return half_open, Permit(half_open.generation, probe=True)

    def record_success(self, permit: Permit) -> Breaker:
        """Return the breaker after a successful call."""
        if permit.generation != self.generation:
            return self
        if permit.probe:
            return Breaker(settings=self.settings, generation=self.generation + 1)
        return self._count(self.errors - 1) if self.errors else self

    def record_failure(self, permit: Permit, now: float, random: Random) -> Breaker:
        """Return the breaker after a call that failed in a way that counts."""
        if permit.generation != self.generation:
            return self
        if permit.probe:
            return self._open(now, self.failed_probes + 1, random)
        errors = self.errors + 1
        if errors < self.settings.max_errors:
            return self._count(errors)
        return self._open(now, 0, random)

    def release(self, permit: Permit) -> Breaker:
        """Return the breaker after a call that was cancelled, or whose failure does not count."""
        if permit.generation != self.generation or not permit.probe:
            return self
        return self._change_state(OPEN)

    def _count(self, errors: int) -> Breaker:
        """Return the breaker in the same state with another error count."""
        return Breaker(
            self.settings, self.state, errors, self.generation, self.failed_probes, self.opens_until, self.lease_until
        )

    def open_for(self, now: float, duration_s: float) -> Breaker:
        """Return the breaker after another process has opened its own, which stays open for ``duration_s``."""
        return evolve(
            self._change_state(BreakerState.OPEN), errors=self.settings.max_errors, opens_until=now + duration_s
        )

    def close(self) -> Breaker:
        """Return the breaker after another process has found that the target answers."""
        return Breaker(settings=self.settings, generation=self.generation + 1)

    def _open(self, now: float, failed_probes: int, random: Random) -> Breaker:
        # The exponent is capped because a very long outage would overflow it.
        nominal = min(self.settings.max_cooldown_s, self.settings.cooldown_s * 2.0 ** min(failed_probes, 64))
        return evolve(
            self._change_state(OPEN),
            errors=self.settings.max_errors,
            failed_probes=failed_probes,
            opens_until=now + random.uniform(nominal * (1.0 - JITTER), nominal),
        )

    def _change_state(self, state: BreakerState) -> Breaker:
        """Return the breaker in another state and the next generation."""
        return evolve(self, state=state, generation=self.generation + 1)
