"""What a failed call means for all other requests: marks against a health, rests; and what may be forgotten of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.errors import ProviderTimeoutError, ProviderUnavailableError
from kickai_providers_core.health import Rest

if TYPE_CHECKING:
    from kickai_providers_core.errors import ProviderError
    from kickai_providers_core.policy import Rule
    from kickai_providers_core.steps import Try

__all__ = ["let_go", "mark"]


def mark(step: Try, rule: Rule, error: ProviderError, now: float) -> None:
    """Let all walks know what a failure says of the target and of its provider."""
    route = step.link.route
    route.failed(step.leave, now, target=rule.counts, provider=rule.counts and _out_of_reach(error))
    rest_s = error.retry_after_s if error.retry_after_s is not None else rule.rest_s
    if rule.rests != "nothing" and rest_s:
        condition = route.target if rule.rests == "target" else route.provider
        condition.leave_alone(Rest(now + rest_s, type(error).__name__, limited=rule.retry == "wait"))


def _out_of_reach(error: ProviderError) -> bool:
    """Return whether the error says that no model of the provider can be reached."""
    if isinstance(error, ProviderTimeoutError):
        return error.phase == "connect"
    return isinstance(error, ProviderUnavailableError) and not error.reached


def let_go(error: BaseException | None) -> None:
    """Drop the frames that an error of an answered request holds on to: they hold requests, clients and keys."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
