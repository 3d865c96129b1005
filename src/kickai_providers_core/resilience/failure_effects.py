"""What a failed call means for all other requests: marks against a health, rests; and what may be forgotten of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.health import Rest
from kickai_providers_core.values.errors import ProviderTimeoutError, ProviderUnavailableError, QuotaExhaustedError

if TYPE_CHECKING:
    from kickai_providers_core.resilience.actions import Try
    from kickai_providers_core.resilience.policy import Policy
    from kickai_providers_core.values.attempts import Attempt
    from kickai_providers_core.values.errors import ProviderError

__all__ = ["mark", "without_frames"]


def mark(step: Try, policy: Policy, error: ProviderError, now: float) -> None:
    """Let all walks know what a failure says of the target and of its provider."""
    route, rule = step.link.route, policy.rule_for(error)
    route.failed(step.leave, now, target=rule.counts, provider=rule.counts and _out_of_reach(error))
    delay_s = policy.stated_delay_s(error)
    rest_s = delay_s if delay_s is not None else rule.rest_s
    if rule.rests != "nothing" and rest_s:
        condition = route.target if rule.rests == "target" else route.provider
        stated = delay_s is not None or isinstance(error, QuotaExhaustedError)
        condition.leave_alone(Rest(now + rest_s, type(error).__name__, limited=rule.retry == "wait", stated=stated))


def _out_of_reach(error: ProviderError) -> bool:
    """Return whether the error says that no model of the provider can be reached."""
    if isinstance(error, ProviderTimeoutError):
        return error.phase == "connect"
    return isinstance(error, ProviderUnavailableError) and not error.reached


def without_frames(attempt: Attempt) -> Attempt:
    """Return an attempt of an answered request with a copy of its error that has no traceback, nor have its causes.

    Their frames hold requests, clients and keys, which a reply must not keep. The error itself stays as it is, since an
    observer may have it.
    """
    error = attempt.error
    if error is None:
        return attempt
    bare = error.copied(frames=False)
    # Causes may form a cycle, so each is copied once.
    copies: dict[int, BaseException] = {id(error): bare}
    left: list[tuple[BaseException, BaseException]] = [(error, bare)]
    while left:
        old, new = left.pop()
        for name in ("__cause__", "__context__"):
            below = getattr(old, name)
            if below is not None and id(below) not in copies:
                copies[id(below)] = copy = _copied(below)
                left.append((below, copy))
            if below is not None:
                setattr(new, name, copies[id(below)])
        new.__suppress_context__ = old.__suppress_context__  # setting a cause has set it
    return attempt.with_error(bare)


def _copied(error: BaseException) -> BaseException:
    """Return a copy of any exception; of one that cannot be copied, one that names its class."""
    try:
        copy = type(error).__new__(type(error), *error.args)
        copy.args = error.args
        copy.__dict__.update(error.__dict__)
    except Exception:  # noqa: BLE001  the class is a vendor's
        return Exception(type(error).__name__)
    return copy
