"""From a failure to the error that says what happens next: one table for both clients.

Pure; the time is an argument. The shapes are those of google.rpc (google.aip.dev/193): a status, and details of
which ``ErrorInfo`` names the reason, ``RetryInfo`` a delay and ``QuotaFailure`` the quotas that were exceeded.

No error repeats the service's own words: they may hold parts of the prompt, and for a suspended key the key itself.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from attrs import field, frozen
from kickai_providers_core import retry_after_s
from kickai_providers_core.errors import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidReplyError,
    InvalidRequestError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    TimeoutPhase,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNREADABLE", "Told", "bare", "broken", "failure", "timed_out", "unreadable"]

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError, Warning)
"""What the clients raise over a body that is no JSON, or JSON of a shape that they did not expect. Their words may
quote the body."""

DURATION = re.compile(r"(\d+(?:\.\d+)?)s")
TOO_LONG = re.compile(r"token count.*exceeds the maximum number of tokens allowed(?:\D+(\d+))?", re.IGNORECASE)
KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED"})
RATE_LIMITED = 429
TRANSIENT = frozenset({408, 409, 499})
"""The 4xx that speak of the moment and not of the request: a timeout, an aborted transaction, a cancellation."""


@frozen(kw_only=True)
class Told:
    """What the service said with a status that is no success.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case.
        body: The JSON value of the body, or None when it is none.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: object = None

    @classmethod
    def of(cls, status: int, headers: Mapping[str, str], body: bytes | str) -> Told:
        """Return what was said, read from a response."""
        try:
            value = json.loads(body)
        except ValueError:
            value = None
        return cls(status=status, headers={name.lower(): text for name, text in headers.items()}, body=value)

    @property
    def error(self) -> Mapping[str, Any]:
        """The error object: some responses put it into a list of one."""
        body = self.body[0] if isinstance(self.body, list) and self.body else self.body
        error = body.get("error") if isinstance(body, dict) else None
        return error if isinstance(error, dict) else {}

    def details(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the details of one type, by the last part of its name."""
        details = self.error.get("details")
        found = details if isinstance(details, list) else []
        return [each for each in found if isinstance(each, dict) and str(each.get("@type", "")).endswith(f".{kind}")]

    @property
    def reason(self) -> str:
        """The machine's word for it: the reason of the ``ErrorInfo``, or the status's name."""
        reasons = [str(info.get("reason")) for info in self.details("ErrorInfo") if info.get("reason")]
        return (reasons or [str(self.error.get("status") or "")])[0]


def failure(told: Told, now: datetime) -> ProviderError:
    """Return the error that a status means.

    Args:
        told: What the service said.
        now: The time, with its zone: a daily quota is full again at midnight, Pacific time.
    """
    status, reason = told.status, told.reason
    known: dict[str, Any] = {"status_code": status, "retry_after_s": _delay_s(told, now)}
    word = f" ({reason})" if re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", reason) else ""
    if status == RATE_LIMITED:
        return _limited(told, known, now)
    if status in {401, 403} or reason in KEY_REASONS:
        return AuthenticationError(f"the key was refused{word}", **known)
    if told.error.get("status") == "FAILED_PRECONDITION":
        return AuthenticationError(f"this key may not use the service, for its region or its billing{word}", **known)
    if status == 402:  # noqa: PLR2004
        return QuotaExhaustedError(f"the credit is spent{word}", **known)
    if status in {404, 410}:
        return ModelNotFoundError(f"the model is not served{word}", **known)
    too_long = TOO_LONG.search(str(told.error.get("message") or ""))
    if too_long:
        limit = int(too_long[1]) if too_long[1] else None
        return ContextLengthExceededError(f"the prompt is too long{word}", limit_tokens=limit, **known)
    if 400 <= status < 500 and status not in TRANSIENT:  # noqa: PLR2004
        return InvalidRequestError(f"the service refused the request{word}", **known)
    if 300 <= status < 400:  # noqa: PLR2004
        return ProviderUnavailableError("the service redirects elsewhere, and the key goes nowhere else", **known)
    return ProviderUnavailableError(f"the service failed{word}", **known)


def _limited(told: Told, known: dict[str, Any], now: datetime) -> ProviderError:
    exceeded = [each for each in told.details("QuotaFailure") if isinstance(each.get("violations"), list)]
    quotas = [str(one.get("quotaId") or "") for each in exceeded for one in each["violations"] if isinstance(one, dict)]
    daily = [quota for quota in quotas if "PerDay" in quota]
    if not daily:
        return RateLimitedError("too many requests or tokens for the moment", **known)
    # The delay that comes with a daily quota is one for minutes: only the reset helps.
    known["retry_after_s"] = max(known["retry_after_s"] or 0.0, _until_midnight_s(now))
    return QuotaExhaustedError("the daily quota is spent", **known)


def _delay_s(told: Told, now: datetime) -> float | None:
    """Return the longest delay that the service asks for, by header or in the body, in seconds."""
    stated = [retry_after_s(told.headers.get("retry-after", ""), now_s=now.timestamp())]
    for info in told.details("RetryInfo"):
        match = DURATION.fullmatch(str(info.get("retryDelay")))
        stated.append(float(match[1]) if match else None)
    known = [delay for delay in stated if delay is not None]
    return max(known) if known else None


def _until_midnight_s(now: datetime) -> float:
    """Return the seconds until daily quotas are full again (ai.google.dev/gemini-api/docs/rate-limits)."""
    try:
        pacific: Any = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a system without a time zone database: late by the hour of summer time at most
        pacific = timezone(timedelta(hours=-8))
    local = now.astimezone(pacific)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def timed_out(phase: TimeoutPhase, exc: BaseException) -> ProviderTimeoutError:
    """Return the error for a bound that ran out."""
    words = {"connect": "no connection in time", "first_token": "no first token in time", "idle": "the stream stalled"}
    error = ProviderTimeoutError(words.get(phase, "no answer in time"), phase=phase)
    error.__cause__ = bare(exc)
    return error


def unreadable() -> InvalidReplyError:
    """Return the error for a body that the client could not read."""
    return InvalidReplyError("the answer cannot be read: it is not in the form of the Gemini API")


def broken(exc: BaseException, *, cut: bool = False) -> ProviderError:
    """Return the error for a connection that failed, or that an answer was cut off by."""
    error = (
        InvalidReplyError("the answer was cut, or is no HTTP")
        if cut
        else ProviderUnavailableError("the service cannot be reached, or hung up")
    )
    error.__cause__ = bare(exc)
    return error


def bare(exc: BaseException) -> BaseException:
    """Return an exception without the frames that it went through, nor those of the ones behind it.

    The variables in them hold the key and the prompt, and some loggers print them; class and words stay.
    """
    for behind in (exc.__cause__, exc.__context__):
        if behind is not None and behind.__traceback__ is not None:
            bare(behind)
    return exc.with_traceback(None)
