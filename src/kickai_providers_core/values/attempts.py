"""What became of each target of one request: the records that a reply and an error carry.

They are shared and not to be changed. Like events they are not frozen, since every request makes some.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import define, field, setters

from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.validation import Flag, Kind, Number, Text, require_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.values.errors import ProviderError

__all__ = ["Attempt", "Outcome", "Skip", "SkipReason", "in_order"]


class Outcome(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    ERROR = "error"
    CANCELLED = "cancelled"


class SkipReason(StrEnum):
    """Why a target was not tried."""

    NOT_INSTALLED = "not_installed"
    NOT_CONFIGURED = "not_configured"
    RESTING = "resting"
    BREAKER_OPEN = "breaker_open"
    BUSY = "busy"
    INCAPABLE = "incapable"
    WINDOW_TOO_SMALL = "window_too_small"


AMOUNT = Number(least=0)

DETAIL_LIMIT = 1000
"""The most characters of a skip's detail, which a plugin may have written."""


@define(unsafe_hash=True, on_setattr=setters.NO_OP)
class Attempt(Jsonable):
    """One call of one target.

    Attributes:
        position: The target's place in the chain, from 0.
        provider: The instance's name.
        model: The model asked for, or None for the instance's own.
        number: 1 for the first try of this target in this request, 2 for its first retry, and so on.
        started_s: Seconds from the start of the request.
        latency_s: Seconds the call took.
        outcome: How it ended.
        error: What it raised; None exactly when the outcome is not ``error``.
        rests_s: Seconds for which its target, or the whole provider, is left alone after it; 0 for none.
        retry_withheld: Whether the target would have been tried again, had the budget for retries not been spent.
    """

    position: int = field(validator=Number(whole=True, least=0))
    provider: str = field(validator=Text())
    model: str | None = field(validator=Text(optional=True))
    number: int = field(validator=Number(whole=True, least=1))
    started_s: float = field(validator=AMOUNT)
    latency_s: float = field(validator=AMOUNT)
    outcome: Outcome = field(validator=Kind(Outcome))
    error: ProviderError | None = field(default=None, validator=Kind(Exception, optional=True))
    rests_s: float = field(default=0.0, validator=AMOUNT)
    retry_withheld: bool = field(default=False, validator=Flag())

    @classmethod
    def record(  # noqa: PLR0917  by position, since every request comes by here
        cls,
        position: int,
        provider: str,
        model: str | None,
        number: int,
        started_s: float,
        latency_s: float,
        outcome: Outcome,
        error: ProviderError | None,
        rests_s: float,
    ) -> Attempt:
        """Return an attempt of values that the core made itself, and which need no check."""
        attempt = cls.__new__(cls)
        attempt.position, attempt.provider, attempt.model, attempt.number = position, provider, model, number
        attempt.started_s, attempt.latency_s, attempt.outcome = started_s, latency_s, outcome
        attempt.error, attempt.rests_s, attempt.retry_withheld = error, rests_s, False
        return attempt

    def with_error(self, error: ProviderError) -> Attempt:
        """Return the attempt with another error."""
        attempt = self.record(
            self.position,
            self.provider,
            self.model,
            self.number,
            self.started_s,
            self.latency_s,
            self.outcome,
            error,
            self.rests_s,
        )
        attempt.retry_withheld = self.retry_withheld
        return attempt

    @property
    def target(self) -> str:
        """The target as it is written in a chain."""
        return f"{self.provider}:{self.model}" if self.model else self.provider

    def __str__(self) -> str:
        if self.error is None:
            told = "answered" if self.outcome is Outcome.SUCCESS else "was cancelled"
            return f"{self.target} {told} in {self.latency_s:.1f} s"
        return f"{self.target}: {type(self.error).__name__}: {self.error.message}"

    def as_dict(self) -> dict[str, Any]:
        """Return the record for machines, safe to print: names, numbers and the error's own words."""
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


def _detail(value: str) -> str:
    return clean_line(require_text("Skip.detail", value, empty=True), DETAIL_LIMIT)


@define(unsafe_hash=True, on_setattr=setters.NO_OP)
class Skip(Jsonable):
    """One target that was not called.

    Attributes:
        position: The target's place in the chain, from 0.
        provider: The instance's name.
        model: The model it would have been asked for, or None for the instance's own.
        reason: Why it was passed over.
        detail: The same for a reader: what is missing, or what it rests from.
        at_s: Seconds from the start of the request.
        retry_in_s: Seconds until the target may be tried again, or None when time alone will not help.
    """

    position: int = field(validator=Number(whole=True, least=0))
    provider: str = field(validator=Text())
    model: str | None = field(validator=Text(optional=True))
    reason: SkipReason = field(validator=Kind(SkipReason))
    detail: str = field(default="", converter=_detail)
    at_s: float = field(default=0.0, validator=AMOUNT)
    retry_in_s: float | None = field(default=None, validator=Number(least=0, optional=True))

    @classmethod
    def record(  # noqa: PLR0917  as `Attempt.record`
        cls,
        position: int,
        provider: str,
        model: str | None,
        reason: SkipReason,
        detail: str,
        at_s: float,
        retry_in_s: float | None,
    ) -> Skip:
        """Return a skip of values that the core made itself, and which need no check, but for a plugin's words."""
        skip = cls.__new__(cls)
        skip.position, skip.provider, skip.model = position, provider, model
        skip.reason, skip.detail = reason, clean_line(detail, DETAIL_LIMIT)
        skip.at_s, skip.retry_in_s = at_s, retry_in_s
        return skip

    @property
    def target(self) -> str:
        """The target as it is written in a chain."""
        return f"{self.provider}:{self.model}" if self.model else self.provider

    def __str__(self) -> str:
        told = self.reason.value.replace("_", " ")
        return f"{self.target}: {told} ({self.detail})" if self.detail else f"{self.target}: {told}"

    def as_dict(self) -> dict[str, Any]:
        """Return the record for machines."""
        return {
            "position": self.position,
            "provider": self.provider,
            "model": self.model,
            "reason": self.reason.value,
            "detail": self.detail,
            "at_s": round(self.at_s, 6),
            "retry_in_s": None if self.retry_in_s is None else round(self.retry_in_s, 3),
        }


def in_order(attempts: Iterable[Attempt], skipped: Iterable[Skip]) -> list[Attempt | Skip]:
    """Return a request's attempts and skips in the order in which they happened."""
    steps: list[Attempt | Skip] = [*attempts, *skipped]
    return sorted(steps, key=lambda s: (s.started_s if isinstance(s, Attempt) else s.at_s, s.position))
