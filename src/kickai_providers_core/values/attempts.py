"""What happened at each target of one request: an attempt or a skip."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import DETAIL_LIMIT
from kickai_providers_core.values.validation import Boolean, InstanceOf, Number, Text, require_text

if TYPE_CHECKING:
    from kickai_providers_core.values.base_errors import AttemptError

__all__ = ["Attempt", "Outcome", "Skip", "SkipReason"]


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"


class SkipReason(StrEnum):
    """Why a target was not called."""

    NOT_INSTALLED = "not_installed"
    NOT_CONFIGURED = "not_configured"
    SUSPENDED = "suspended"
    RESTING = "suspended"  # the name of the first releases
    BREAKER_OPEN = "breaker_open"
    BUSY = "busy"
    DAILY_LIMIT = "daily_limit"
    INCAPABLE = "incapable"
    WINDOW_TOO_SMALL = "window_too_small"


NOT_NEGATIVE = Number(minimum=0)


@frozen(slots=False, eq=False, repr=False)
class Attempt(Value, Jsonable):
    """One call of one target.

    Attributes:
        position: The target's position in the chain, from 0.
        provider: The instance's name.
        model: The requested model; None for the instance's own.
        number: 1 for the first attempt at this target in this request, 2 for its first retry, and so on.
        started_s: Seconds from the start of the request to the start of the attempt.
        latency_s: Seconds that the attempt took.
        outcome: How it ended.
        error: The `ProviderError` that it raised; None unless the outcome is ``error``.
        rests_s: Seconds for which its target or the whole provider is suspended after it; 0 for none.
        retry_withheld: Whether the target would have been retried if the retry budget had not been used up.
    """

    position: int = field(validator=Number(integer=True, minimum=0))
    provider: str = field(validator=Text())
    model: str | None = field(validator=Text(optional=True))
    number: int = field(validator=Number(integer=True, minimum=1))
    started_s: float = field(validator=NOT_NEGATIVE)
    latency_s: float = field(validator=NOT_NEGATIVE)
    outcome: Outcome = field(validator=InstanceOf(Outcome))
    error: AttemptError | None = field(default=None, validator=InstanceOf(Exception, optional=True))
    rests_s: float = field(default=0.0, validator=NOT_NEGATIVE)
    retry_withheld: bool = field(default=False, validator=Boolean())

    @property
    def target(self) -> str:
        """The target as written in a chain."""
        return f"{self.provider}:{self.model}" if self.model else self.provider

    def __str__(self) -> str:
        if self.error is None:
            text = "answered" if self.outcome is Outcome.SUCCESS else "was cancelled"
            return f"{self.target} {text} in {self.latency_s:.1f} s"
        return f"{self.target}: {type(self.error).__name__}: {self.error.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return the attempt as JSON: names, numbers and the error's message."""
        return {
            "position": self.position,
            "provider": self.provider,
            "model": self.model,
            "number": self.number,
            "started_s": round(self.started_s, 6),
            "latency_s": round(self.latency_s, 6),
            "outcome": self.outcome.value,
            "error": type(self.error).__name__ if self.error else None,
            "message": self.error.message if self.error else None,
            "status_code": self.error.status_code if self.error else None,
            "rests_s": round(self.rests_s, 3),
            "retry_withheld": self.retry_withheld,
        }


def _convert_detail(value: str) -> str:
    return clean_line(require_text("Skip.detail", value, empty=True), DETAIL_LIMIT)


@frozen(slots=False, eq=False, repr=False)
class Skip(Value, Jsonable):
    """One target that was not called.

    Attributes:
        position: The target's position in the chain, from 0.
        provider: The instance's name.
        model: The model that would have been requested; None for the instance's own.
        reason: Why it was skipped.
        detail: The reason for a reader: what is missing, or why the target is suspended.
        at_s: Seconds from the start of the request.
        retry_in_s: Seconds until the target is available again; None if waiting does not help.
    """

    position: int = field(validator=Number(integer=True, minimum=0))
    provider: str = field(validator=Text())
    model: str | None = field(validator=Text(optional=True))
    reason: SkipReason = field(validator=InstanceOf(SkipReason))
    detail: str = field(default="", converter=_convert_detail)
    at_s: float = field(default=0.0, validator=NOT_NEGATIVE)
    retry_in_s: float | None = field(default=None, validator=Number(minimum=0, optional=True))

    @property
    def target(self) -> str:
        """The target as written in a chain."""
        return f"{self.provider}:{self.model}" if self.model else self.provider

    def __str__(self) -> str:
        text = self.reason.value.replace("_", " ")
        return f"{self.target}: {text} ({self.detail})" if self.detail else f"{self.target}: {text}"

    def as_dict(self) -> dict[str, Any]:
        """Return the skip as JSON."""
        return {
            "position": self.position,
            "provider": self.provider,
            "model": self.model,
            "reason": self.reason.value,
            "detail": self.detail,
            "at_s": round(self.at_s, 6),
            "retry_in_s": None if self.retry_in_s is None else round(self.retry_in_s, 3),
        }
