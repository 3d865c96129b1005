"""The condition of a target or provider, as a value: its circuit breaker and its suspensions at one moment."""

from __future__ import annotations

from attrs import field, frozen

from kickai_providers_core.resilience.breaker import HALF_OPEN, Breaker, Permit
from kickai_providers_core.resilience.suspensions import Suspensions
from kickai_providers_core.values.base_value import Value

__all__ = ["Condition"]


@frozen(eq=False, repr=False)
class Condition(Value):
    """The circuit breaker and the suspensions of a target or a provider at one moment.

    A call keeps the condition in which it was admitted. Its result changes nothing that has begun since.

    Attributes:
        breaker: The breaker.
        suspensions: The suspensions.
        is_healthy: Whether the breaker is closed without errors, and there is no suspension: calls are admitted, and a
            success changes nothing.
    """

    breaker: Breaker
    suspensions: Suspensions = field(factory=Suspensions)
    is_healthy: bool = field(init=False)

    @is_healthy.default
    def _has_no_trouble(self) -> bool:
        return self.breaker.is_healthy and not self.suspensions.active

    @property
    def is_probe(self) -> bool:
        """Whether a call that was admitted in this condition is a probe."""
        return self.breaker.state is HALF_OPEN

    @property
    def permit(self) -> Permit:
        """What the breaker gave to a call that was admitted in this condition."""
        return Permit(self.breaker.generation, self.is_probe)

    def with_breaker(self, breaker: Breaker) -> Condition:
        """Return the condition with another breaker."""
        return Condition(breaker, self.suspensions)

    def with_suspensions(self, suspensions: Suspensions) -> Condition:
        """Return the condition with other suspensions."""
        return Condition(self.breaker, suspensions)
