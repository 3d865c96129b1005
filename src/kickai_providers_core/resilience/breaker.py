"""A circuit breaker as a value: every transition returns a new one, and the time is an argument.

States and transitions::

    closed ──max_errors reached──▶ open ──cool-down over, next admission──▶ half-open
      ▲                             ▲                                          │
      │                             └──────────── the probe failed ────────────┤
      └───────────────────────────────────────── the probe succeeded ──────────┘

The error count of a closed breaker goes up by one on a failure and down by one on a success. An open breaker
admits nothing until its cool-down is over, and then one probe; a probe that is given back leaves the breaker as
if it had not been asked for, and one that never comes back is given up after a while. The state is counted in
generations: a result whose permit was given out in an earlier generation changes nothing, so that the stragglers of
an outage neither close nor reopen anything.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.values.validation import Number

if TYPE_CHECKING:
    from kickai_providers_core.resilience.policy import Random

__all__ = ["Breaker", "BreakerSettings", "Permit", "State"]

JITTER = 0.2
"""A cool-down is drawn from this share below its nominal length up to it: many processes do not probe in step."""


class State(StrEnum):
    """What a breaker lets through: everything, nothing, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@frozen(kw_only=True)
class BreakerSettings:
    """When a breaker opens, and for how long.

    Attributes:
        max_errors: The error count at which it opens.
        cooldown_s: How long it stays open the first time.
        max_cooldown_s: The ceiling of the cool-down, which doubles with each failed probe.
        probe_lease_s: After this time a probe that has not come back is given up, and another is admitted.
    """

    max_errors: int = field(default=3, validator=Number(whole=True, least=1))
    cooldown_s: float = field(default=5.0, validator=Number(above=0))
    max_cooldown_s: float = field(default=20.0, validator=Number(above=0))
    probe_lease_s: float = field(default=120.0, validator=Number(above=0))


@frozen
class Permit:
    """Leave for one call, to be handed back with its result.

    Attributes:
        generation: The breaker's generation when it was given.
        probe: Whether it is the one call that a half-open breaker admits.
        suspension: How many suspensions of the same target or provider had begun when it was given. The breaker does
            not look at it.
    """

    generation: int
    probe: bool = False
    suspension: int = 0


@frozen(slots=False)
class Breaker:
    """One circuit breaker at one moment.

    Attributes:
        settings: When it opens, and for how long.
        state: What it lets through.
        errors: The error count; at most ``max_errors``.
        generation: How many state changes there have been.
        failed_probes: How many probes in a row have failed since it was last closed.
        opens_until: The time at which an open breaker admits a probe.
        lease_until: The time at which a half-open breaker gives its probe up.
        permit: The leave that a closed breaker gives; no matter while it is not closed.
    """

    settings: BreakerSettings = field(factory=BreakerSettings)
    state: State = State.CLOSED
    errors: int = 0
    generation: int = 0
    failed_probes: int = 0
    opens_until: float = 0.0
    lease_until: float = 0.0
    permit: Permit = field(eq=False, repr=False)

    @permit.default
    def _permit_of_its_generation(self) -> Permit:
        return Permit(self.generation)

    def due_at(self, now: float) -> float:
        """Return the time from which a call may be admitted, not before now."""
        if self.state is State.CLOSED:
            return now
        return max(now, self.opens_until if self.state is State.OPEN else self.lease_until)

    def retry_in_s(self, now: float) -> float:
        """Return the seconds until a call may be admitted: 0 when now."""
        return self.due_at(now) - now

    def admit(self, now: float, *, early: bool = False) -> tuple[Breaker, Permit | None]:
        """Ask for leave to call.

        Args:
            now: The time.
            early: Ask for the probe before the cool-down is over.

        Returns:
            The breaker after the question, and a permit, or None when nothing may be called.
        """
        if self.state is State.CLOSED:
            return self, self.permit
        if now < self.due_at(now) and not (early and self.state is State.OPEN):
            return self, None
        half_open = evolve(self._turned(State.HALF_OPEN), lease_until=now + self.settings.probe_lease_s)
        return half_open, Permit(half_open.generation, probe=True)

    def succeeded(self, permit: Permit) -> Breaker:
        """Return the breaker after a call that worked."""
        if permit.generation != self.generation:
            return self
        if permit.probe:
            return Breaker(settings=self.settings, generation=self.generation + 1)
        return self._counting(self.errors - 1) if self.errors else self

    def failed(self, permit: Permit, now: float, random: Random) -> Breaker:
        """Return the breaker after a call that failed in a way that counts."""
        if permit.generation != self.generation:
            return self
        if permit.probe:
            return self._opened(now, self.failed_probes + 1, random)
        errors = self.errors + 1
        if errors < self.settings.max_errors:
            return self._counting(errors)
        return self._opened(now, 0, random)

    def given_back(self, permit: Permit) -> Breaker:
        """Return the breaker after a call that was cancelled, or whose failure says nothing of the target's health."""
        if permit.generation != self.generation or not permit.probe:
            return self
        return self._turned(State.OPEN)

    def _opened(self, now: float, failed_probes: int, random: Random) -> Breaker:
        # The exponent is capped so that a very long outage cannot overflow; the ceiling is reached long before.
        nominal = min(self.settings.max_cooldown_s, self.settings.cooldown_s * 2.0 ** min(failed_probes, 64))
        return evolve(
            self._turned(State.OPEN),
            errors=self.settings.max_errors,
            failed_probes=failed_probes,
            opens_until=now + random.uniform(nominal * (1.0 - JITTER), nominal),
        )

    def _counting(self, errors: int) -> Breaker:
        """Return a closed breaker with another error count, in the same generation."""
        return Breaker(self.settings, State.CLOSED, errors, self.generation, permit=self.permit)

    def _turned(self, state: State) -> Breaker:
        """Return a breaker that is not closed, in another generation."""
        return evolve(self, state=state, generation=self.generation + 1)
