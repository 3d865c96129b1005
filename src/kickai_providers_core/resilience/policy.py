"""What an error means for the walk: the disposition table, as data, and the few functions that read it.

Pure: no clock, no randomness but the one passed in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from attrs import field, fields, frozen

from kickai_providers_core.values import errors
from kickai_providers_core.values.validation import Flag, Kind, Number, OneOf

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Policy", "Random", "Rule", "backoff_s"]

RetryRule = Literal["never", "backoff", "last", "wait"]
FallBackRule = Literal["always", "never", "larger_window"]
Scope = Literal["nothing", "target", "provider"]


class Random(Protocol):
    """The part of `random.Random` that jitter needs."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number in [a, b]."""


@frozen(kw_only=True)
class Rule:
    """One row of the table: what follows from one class of errors.

    Attributes:
        retry: Whether the same target is tried again. ``backoff``: at once, after a full-jitter backoff.
            ``last``: only when no other target is left. ``wait``: only when no other target can answer sooner and
            the stated delay fits the deadline. ``never``.
        fall_back: Whether the next target is tried: ``always``, ``never``, or only one with a ``larger_window``.
        rests: What is left alone afterwards, for all requests: ``nothing``, the ``target``, or the whole ``provider``.
        rest_s: For how long, when the service did not state a delay.
        counts: Whether the failure counts against the target's breaker.
    """

    retry: RetryRule = field(default="never", validator=OneOf(("never", "backoff", "last", "wait")))
    fall_back: FallBackRule = field(default="always", validator=OneOf(("always", "never", "larger_window")))
    rests: Scope = field(default="nothing", validator=OneOf(("nothing", "target", "provider")))
    rest_s: float | None = field(default=None, validator=Number(least=0, optional=True))
    counts: bool = field(default=False, validator=Flag())


def _row(**columns: object) -> Callable[[], Rule]:
    return lambda: Rule(**columns)  # type: ignore[arg-type]


@frozen(kw_only=True)
class Policy:
    """The whole table, and a few numbers beside it. Each attribute that is not listed here is the row of one error.

    Attributes:
        backoff_initial_s: The ceiling of the first backoff; it doubles with each further try.
        backoff_max_s: The ceiling of any backoff.
        min_attempt_s: With less time than this before the deadline, no attempt is started: it could not finish.
        max_suspension_s: The longest delay that a service may state, above 0; a longer one is cut to it.
        last_resort: Whether, when every target rests, the one that is due first is tried all the same. Never one whose
            service has stated a delay or whose quota is used up.
        retry_share: How many retries all requests together may make, for each request of the last minute, from 0:
            0.2 means that retries add at most 20 % to the load.
        retry_floor: How many retries in a minute are allowed however little traffic there is, from 0.
    """

    rate_limited: Rule = field(factory=_row(retry="wait", rests="target", rest_s=30.0), validator=Kind(Rule))
    quota_exhausted: Rule = field(factory=_row(rests="provider", rest_s=3600.0), validator=Kind(Rule))
    timeout: Rule = field(factory=_row(retry="last", counts=True), validator=Kind(Rule))
    unavailable: Rule = field(factory=_row(retry="backoff", counts=True), validator=Kind(Rule))
    invalid_reply: Rule = field(factory=_row(retry="backoff", counts=True), validator=Kind(Rule))
    authentication: Rule = field(factory=_row(rests="provider", rest_s=3600.0), validator=Kind(Rule))
    model_not_found: Rule = field(factory=_row(rests="target", rest_s=3600.0), validator=Kind(Rule))
    unusable: Rule = field(factory=_row(), validator=Kind(Rule))
    unsupported: Rule = field(factory=_row(), validator=Kind(Rule))
    invalid_request: Rule = field(factory=_row(fall_back="never"), validator=Kind(Rule))
    context_length: Rule = field(factory=_row(fall_back="larger_window"), validator=Kind(Rule))
    content_filtered: Rule = field(factory=_row(fall_back="never"), validator=Kind(Rule))
    backoff_initial_s: float = field(default=0.25, validator=Number(above=0))
    backoff_max_s: float = field(default=4.0, validator=Number(above=0))
    min_attempt_s: float = field(default=0.05, validator=Number(least=0))
    max_suspension_s: float = field(default=86_400.0, validator=Number(above=0))
    last_resort: bool = field(default=True, validator=Flag())
    retry_share: float = field(default=0.2, validator=Number(least=0))
    retry_floor: int = field(default=10, validator=Number(whole=True, least=0))

    def rule_for(self, error: errors.ProviderError) -> Rule:
        """Return the row of an error: that of its own class, or of the nearest class above it in the table."""
        if isinstance(error, errors.InvalidReplyError) and error.due_to_request:
            return self.unsupported  # the target would answer others well, and this request no better the next time
        for kind in type(error).__mro__:
            row = _ROWS.get(kind)
            if row is not None:
                return getattr(self, row)  # type: ignore[no-any-return]
        return self.unavailable

    def stated_delay_s(self, error: errors.ProviderError) -> float | None:
        """Return the delay that an error states, from 0 to ``max_suspension_s``; None for none, and for nonsense."""
        stated = error.retry_after_s
        return min(stated, self.max_suspension_s) if stated is not None and stated >= 0 else None


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
    # A plugin should raise a leaf; where it raises a branch, the mildest leaf below it speaks.
    errors.TransientError: "unavailable",
    errors.UnusableProviderError: "unusable",
    errors.RejectedRequestError: "invalid_request",
}

ROWS = tuple(attribute.name for attribute in fields(Policy) if attribute.name in _ROWS.values())
"""The names of the table's rows, in its order."""


def backoff_s(policy: Policy, failures: int, random: Random) -> float:
    """Return how long to wait before the next try of a target that failed ``failures`` times in this request.

    Full jitter: uniform between zero and a ceiling that doubles, as in Marc Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015.
    """
    ceiling = min(policy.backoff_max_s, policy.backoff_initial_s * 2.0 ** (failures - 1))
    return random.uniform(0.0, ceiling)
