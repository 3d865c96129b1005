"""A report on the health of each target and provider, for a health endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable

if TYPE_CHECKING:
    from kickai_providers_core.resilience.health import Health, HealthState
    from kickai_providers_core.values.breaker_state import BreakerState

__all__ = ["HealthReport", "HealthStateReport", "report_health"]


@frozen(kw_only=True, eq=False, repr=False)
class HealthStateReport(Value, Jsonable):
    """The health of one target, or of one provider as a whole.

    Attributes:
        provider: The instance's name.
        model: The model; None for the instance's own, and for the provider as a whole.
        available: Whether its health allows a call now.
        breaker: The state of its circuit breaker.
        errors: The breaker's error count, from 0.
        suspended_s: Seconds until its suspension ends, from 0; 0 when it is not suspended.
        reason: The class of the error that suspended it; empty when it is not suspended.
        available_in_s: Seconds until it may be called, from 0.
    """

    provider: str
    model: str | None
    available: bool
    breaker: BreakerState
    errors: int
    suspended_s: float
    reason: str
    available_in_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "provider": self.provider,
            "model": self.model,
            "available": self.available,
            "breaker": self.breaker.value,
            "errors": self.errors,
            "suspended_s": round(self.suspended_s, 3),
            "reason": self.reason,
            "available_in_s": round(self.available_in_s, 3),
        }


@frozen(kw_only=True, eq=False, repr=False)
class HealthReport(Value, Jsonable):
    """The health of a resolver's targets and providers at one time. It holds no key, prompt or answer.

    Targets and providers that no chain has used are not in it.

    Attributes:
        providers: Each provider as a whole, by name.
        targets: Each target, by provider and model.
    """

    providers: tuple[HealthStateReport, ...]
    targets: tuple[HealthStateReport, ...]

    @property
    def healthy(self) -> bool:
        """Whether at least one target is available, or none is known yet."""
        down = {report.provider for report in self.providers if not report.available}
        return not self.targets or any(each.available and each.provider not in down for each in self.targets)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {
            "healthy": self.healthy,
            "providers": [report.as_dict() for report in self.providers],
            "targets": [report.as_dict() for report in self.targets],
        }


def report_health(health: Health, now: float) -> HealthReport:
    """Return the report for a given time."""
    providers, targets = [], []
    for key, state in sorted(health.get_states().items()):
        if len(key) == 1:
            providers.append(_build_state_report(key[0], None, state, now))
        else:
            targets.append(_build_state_report(key[0], key[1] or None, state, now))
    return HealthReport(providers=tuple(providers), targets=tuple(targets))


def _build_state_report(provider: str, model: str | None, state: HealthState, now: float) -> HealthStateReport:
    breaker, suspension = state.breaker, state.suspensions.longest
    due = max(breaker.get_available_at(now), suspension.until)
    is_suspended = suspension.until > now
    return HealthStateReport(
        provider=provider,
        model=model,
        available=due <= now,
        breaker=breaker.state,
        errors=breaker.errors,
        suspended_s=max(0.0, suspension.until - now) if is_suspended else 0.0,
        reason=suspension.reason if is_suspended else "",
        available_in_s=max(0.0, due - now),
    )
