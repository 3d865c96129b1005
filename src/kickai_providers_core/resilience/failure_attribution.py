"""What a failed attempt means for later requests: breaker counts and suspensions. And errors without frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.suspensions import Suspension
from kickai_providers_core.values.errors import ProviderTimeoutError, ProviderUnavailableError, QuotaExhaustedError
from kickai_providers_core.values.trusted import evolve_trusted

if TYPE_CHECKING:
    from kickai_providers_core.resilience.actions import Call
    from kickai_providers_core.resilience.policy import Rule
    from kickai_providers_core.values.attempts import Attempt
    from kickai_providers_core.values.errors import ProviderError

__all__ = ["apply_failure", "strip_frames"]


def apply_failure(call: Call, rule: Rule, error: ProviderError, stated_s: float | None, now: float) -> None:
    """Count a failure against the health of the target and its provider, and suspend what the policy says.

    Args:
        call: The attempt that failed.
        rule: The policy's rule for the error.
        error: What the attempt raised.
        stated_s: The delay in seconds that the error states and the policy accepts; None for none.
        now: The time.
    """
    health = call.candidate.health
    is_unreachable = rule.counts and _is_unreachable(error)
    health.record_failure(call.admission, now, target=rule.counts, provider=is_unreachable)
    suspension_s = stated_s if stated_s is not None else rule.rest_s
    if rule.rests == "nothing" or not suspension_s:
        return
    state = health.target if rule.rests == "target" else health.provider
    stated = stated_s is not None or isinstance(error, QuotaExhaustedError)
    state.suspend(Suspension(now + suspension_s, type(error).__name__, rule.retry == "wait", stated))


def _is_unreachable(error: ProviderError) -> bool:
    """Return whether the error means that no model of the provider can be reached."""
    if isinstance(error, ProviderTimeoutError):
        return error.phase == "connect"
    return isinstance(error, ProviderUnavailableError) and not error.reached


def strip_frames(attempt: Attempt) -> Attempt:
    """Return an attempt whose error, copied with all its causes, has no traceback.

    A traceback's frames hold requests, clients and keys, which a reply must not keep alive. The original error is
    unchanged: an observer may hold it.
    """
    error = attempt.error
    if error is None:
        return attempt
    bare = error.copy(frames=False)
    if error.__cause__ is not None or error.__context__ is not None:
        _copy_causes(error, bare)
    return evolve_trusted(attempt, error=bare)


def _copy_causes(error: BaseException, bare: BaseException) -> None:
    """Give a copy of an error copies of its causes, and of theirs, without frames."""
    # Causes may form a cycle, so each is copied once.
    copies: dict[int, BaseException] = {id(error): bare}
    pending: list[tuple[BaseException, BaseException]] = [(error, bare)]
    while pending:
        old, new = pending.pop()
        for name in ("__cause__", "__context__"):
            cause = getattr(old, name)
            if cause is not None and id(cause) not in copies:
                copies[id(cause)] = copy = _copy(cause)
                pending.append((cause, copy))
            if cause is not None:
                setattr(new, name, copies[id(cause)])
        new.__suppress_context__ = old.__suppress_context__  # setting a cause has changed it


def _copy(error: BaseException) -> BaseException:
    """Return a copy of any exception; for one that cannot be copied, one that names its class."""
    try:
        copy = type(error).__new__(type(error), *error.args)
        copy.args = error.args
        copy.__dict__.update(error.__dict__)
    except Exception:  # noqa: BLE001  the class may be a vendor's
        return Exception(type(error).__name__)
    return copy
