"""The policy: what follows from each class of errors, as a table, and the functions that read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from attrs import evolve, field, fields, frozen

from kickai_providers_core.resilience.retry_budget import DEFAULT_FLOOR, DEFAULT_SHARE
from kickai_providers_core.values import errors
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.validation import Boolean, InstanceOf, Number, OneOf

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.values.base_errors import AttemptError

__all__ = ["Policy", "Random", "Rule", "choose_backoff_s"]

RetryRule = Literal["never", "backoff", "last", "wait"]
FallBackRule = Literal["always", "never", "larger_window"]
Scope = Literal["nothing", "target", "provider"]


class Random(Protocol):
    """The part of `random.Random` that jitter uses."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number in [a, b]."""


@frozen(kw_only=True, eq=False, repr=False)
class Rule(Value):
    """What follows from one class of errors.

    Attributes:
        retry: Whether the same target is called again. ``backoff``: before any other, after a delay with full jitter.
            ``last``: when no other target is left. ``wait``: when no other target can answer sooner and the stated
            delay ends before the deadline. ``never``.
        fall_back: Whether the next target is called: ``always``, ``never``, or only one with a ``larger_window``.
        rests: What is suspended for all requests: ``nothing``, the ``target``, or the whole ``provider``.
        rest_s: Seconds of the suspension when the service stated no delay, from 0; None for no suspension.
        counts: Whether the failure counts against the target's circuit breaker.
    """

    retry: RetryRule = field(default="never", validator=OneOf(("never", "backoff", "last", "wait")))
    fall_back: FallBackRule = field(default="always", validator=OneOf(("always", "never", "larger_window")))
    rests: Scope = field(default="nothing", validator=OneOf(("nothing", "target", "provider")))
    rest_s: float | None = field(default=None, validator=Number(minimum=0, optional=True))
    counts: bool = field(default=False, validator=Boolean())


def _bind_row(**columns: object) -> Callable[[], Rule]:
    return lambda: Rule(**columns)  # type: ignore[arg-type]


@frozen(kw_only=True, eq=False, repr=False)
class Policy(Value):
    """The table ``[policy]``: one `Rule` for each class of errors, and these numbers.

    Attributes:
        backoff_initial_s: The maximum of the first backoff, in seconds; it doubles with each retry.
        backoff_max_s: The maximum of any backoff, in seconds.
        min_attempt_s: The time that must be left before the deadline to start an attempt, in seconds.
        max_suspension_s: The longest delay that a service may state, in seconds, above 0; a longer one is cut to it.
        last_resort: Whether the target that is available first is called when all targets are suspended. A target whose
            service has stated a delay, or whose quota is used up, is never called.
        retry_share: Retries of all requests together for each request of the last minute, from 0; 0.2 means that
            retries add at most 20 % to the load.
        retry_floor: Retries a minute that are allowed with any traffic, from 0.
    """

    rate_limited: Rule = field(factory=_bind_row(retry="wait", rests="target", rest_s=30.0), validator=InstanceOf(Rule))
    quota_exhausted: Rule = field(factory=_bind_row(rests="provider", rest_s=3600.0), validator=InstanceOf(Rule))
    timeout: Rule = field(factory=_bind_row(retry="last", counts=True), validator=InstanceOf(Rule))
    unavailable: Rule = field(factory=_bind_row(retry="backoff", counts=True), validator=InstanceOf(Rule))
    invalid_reply: Rule = field(factory=_bind_row(retry="backoff", counts=True), validator=InstanceOf(Rule))
    authentication: Rule = field(factory=_bind_row(rests="provider", rest_s=3600.0), validator=InstanceOf(Rule))
    model_not_found: Rule = field(factory=_bind_row(rests="target", rest_s=3600.0), validator=InstanceOf(Rule))
    unusable: Rule = field(factory=_bind_row(), validator=InstanceOf(Rule))
    unsupported: Rule = field(factory=_bind_row(), validator=InstanceOf(Rule))
    invalid_request: Rule = field(factory=_bind_row(fall_back="never"), validator=InstanceOf(Rule))
    context_length: Rule = field(factory=_bind_row(fall_back="larger_window"), validator=InstanceOf(Rule))
    content_filtered: Rule = field(factory=_bind_row(fall_back="never"), validator=InstanceOf(Rule))
    backoff_initial_s: float = field(default=0.25, validator=Number(above=0))
    backoff_max_s: float = field(default=4.0, validator=Number(above=0))
    min_attempt_s: float = field(default=0.05, validator=Number(minimum=0))
    max_suspension_s: float = field(default=86_400.0, validator=Number(above=0))
    last_resort: bool = field(default=True, validator=Boolean())
    retry_share: float = field(default=DEFAULT_SHARE, validator=Number(minimum=0))
    retry_floor: int = field(default=DEFAULT_FLOOR, validator=Number(integer=True, minimum=0))

    def rule_for(self, error: AttemptError) -> Rule:
        """Return the rule of an error: of its own class, or of its nearest base class in the table."""
        if isinstance(error, errors.InvalidReplyError) and error.due_to_request:
            return self.unsupported  # other requests would be answered, and this one would fail again
        for kind in type(error).__mro__:
            row = _ROWS.get(kind)
            if row is not None:
                return _obey(error, getattr(self, row))
        return _obey(error, self.unavailable)

    def stated_delay_s(self, error: AttemptError) -> float | None:
        """Return the delay that an error states, from 0 to ``max_suspension_s``; None for none, and for nonsense."""
        stated = error.retry_after_s
        return min(stated, self.max_suspension_s) if stated is not None and stated >= 0 else None


def _obey(error: AttemptError, rule: Rule) -> Rule:
    """Return a rule without retries when the service says that a retry would fail, too."""
    return evolve(rule, retry="never") if error.may_retry is False and rule.retry != "never" else rule


_ROWS: dict[type, str] = {
    errors.RateLimitedError: "rate_limited",
    errors.QuotaExhaustedError: "quota_exhausted",
    errors.ProviderTimeoutError: "timeout",
    errors.ProviderUnavailableError: "unavailable",
    errors.InvalidReplyError: "invalid_reply",
    errors.AuthenticationError: "authentication",
    errors.ModelNotFoundError: "model_not_found",
    errors.UnsupportedRequestError: "unsupported",
    errors.InvalidRequestError: "invalid_request",
    errors.ContextLengthExceededError: "context_length",
    errors.ContentFilteredError: "content_filtered",
    # A plugin should raise a leaf class. For a branch, the mildest leaf below it applies.
    errors.TransientError: "unavailable",
    errors.UnusableProviderError: "unusable",
    errors.RejectedRequestError: "invalid_request",
}

ROWS = tuple(attribute.name for attribute in fields(Policy) if attribute.name in _ROWS.values())
"""The names of the rules, in the order of the table."""


def choose_backoff_s(policy: Policy, failures: int, random: Random) -> float:
    """Return the seconds to wait before the next attempt at a target that failed ``failures`` times in this request.

    Full jitter: uniform between zero and a maximum that doubles, as in Marc Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(policy.backoff_max_s, policy.backoff_initial_s * 2.0 ** (failures - 1))
    return random.uniform(0.0, ceiling)
