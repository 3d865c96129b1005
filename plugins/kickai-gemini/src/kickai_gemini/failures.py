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
from kickai_providers_core import (
    AuthenticationError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
    UnusableProviderError,
)
from kickai_providers_core.authoring.failures import error_for_exception
from kickai_providers_core.authoring.retry_after import longest_retry_after
from kickai_providers_core.values.errors import SERVICE_MESSAGE_LIMIT, TimeoutPhase
from kickai_providers_core.values.plain_text import clean_line

from kickai_gemini.facts import accepts_not

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core import Secret

__all__ = ["NOT_SENDABLE", "Told", "bare", "broken", "failure", "timed_out", "unreadable"]

NOT_SENDABLE = "the request cannot be put into the client's messages"

MAX_WORDS = 10_000
KEY = re.compile(r"AIza[\w-]{20,}")
"""What a key of Google's looks like, whoever's it is."""

TOO_LONG = re.compile(r"token count.*exceeds the maximum number of tokens allowed(?:\D+(\d+))?", re.IGNORECASE)
KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED"})
WIDE_REASONS = frozenset({"SERVICE_DISABLED", "CONSUMER_SUSPENDED", "CONSUMER_INVALID", "BILLING_DISABLED"})
"""The reasons of a 403 that speak of the key and its project, whatever else is named."""

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
        except (ValueError, RecursionError):
            value = None
        return cls(status=status, headers={name.lower(): text for name, text in headers.items()}, body=value)

    @classmethod
    def in_stream(cls, response: Mapping[str, Any]) -> Told:
        """Return what was said in the middle of a stream, where the status is a part of the error."""
        code = response["error"].get("code")
        is_error = isinstance(code, int) and 400 <= code <= 599  # noqa: PLR2004  the statuses of errors
        return cls(status=code if is_error else 500, body=response)

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
    def message(self) -> str:
        """The service's own words, which may quote the prompt."""
        return str(self.error.get("message") or "")

    @property
    def words(self) -> str:
        """Its message, and the fields that it names."""
        named = [each.get("fieldViolations") for each in self.details("BadRequest")]
        fields = [one.get("field") for each in named if isinstance(each, list) for one in each if isinstance(one, dict)]
        return " ".join([self.message, *map(str, fields)])[:MAX_WORDS]

    @property
    def reason(self) -> str:
        """The machine's word for it: the reason of the ``ErrorInfo``, or the status's name."""
        reasons = [str(info.get("reason")) for info in self.details("ErrorInfo") if info.get("reason")]
        return (reasons or [str(self.error.get("status") or "")])[0]


def failure(
    told: Told, now: datetime, *, model: str = "", secrets: Sequence[Secret] = (), expose: bool = False
) -> ProviderError:
    """Return the error that a status means.

    Args:
        told: What the service said.
        now: The time, with its zone: a daily quota is full again at midnight, Pacific time.
        model: The model that was asked.
        secrets: What never appears in an error.
        expose: Whether the error repeats the service's own words.
    """
    error = _failure(told, now, model)
    if expose:
        words = told.message
        for secret in secrets:
            words = words.replace(secret.reveal(), "***") if secret else words
        error.service_message = clean_line(KEY.sub("***", words), SERVICE_MESSAGE_LIMIT)
    return error


def _failure(told: Told, now: datetime, model: str) -> ProviderError:
    status, reason = told.status, told.reason
    known: dict[str, Any] = {
        "status_code": status,
        "retry_after_s": longest_retry_after(told.headers, told.body, now_s=now.timestamp()),
    }
    word = f" ({reason})" if re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", reason) else ""
    if status == RATE_LIMITED:
        return _limited(told, known, now)
    if reason in KEY_REASONS or status == 401:  # noqa: PLR2004
        return AuthenticationError(f"the key was refused{word}", **known)
    if status == 403:  # noqa: PLR2004
        if _is_about_model(told, model):
            return ModelNotFoundError(f"this key may not use the model{word}", **known)
        return AuthenticationError(f"the key was refused{word}", **known)
    if told.error.get("status") == "FAILED_PRECONDITION":
        return AuthenticationError(f"this key may not use the service, for its region or its billing{word}", **known)
    if status == 402:  # noqa: PLR2004
        return QuotaExhaustedError(f"the credit is spent{word}", **known)
    return _refused(told, word, known) if 400 <= status < 500 else _failed(status, word, known)  # noqa: PLR2004


def _refused(told: Told, word: str, known: dict[str, Any]) -> ProviderError:
    """Return the error of any other 4xx."""
    if told.status in {404, 410}:
        return ModelNotFoundError(f"the model is not served{word}", **known)
    if told.status in TRANSIENT:
        return ProviderUnavailableError(f"the service failed{word}", **known)
    too_long = TOO_LONG.search(told.message)
    if too_long:
        limit = int(too_long[1]) if too_long[1] else None
        return ContextLengthExceededError(f"the prompt is too long{word}", limit_tokens=limit, **known)
    return UnsupportedRequestError(f"{accepts_not(told.words)}{word}", **known)


def _failed(status: int, word: str, known: dict[str, Any]) -> ProviderError:
    if 300 <= status < 400:  # noqa: PLR2004
        return ProviderUnavailableError("the service redirects elsewhere, and the key goes nowhere else", **known)
    if status < 300:  # noqa: PLR2004
        return InvalidReplyError("the service answered with a status that is no answer", **known)
    return ProviderUnavailableError(f"the service failed{word}", **known)


def _is_about_model(told: Told, model: str) -> bool:
    """Say whether a refusal is about one model, and not about the key as a whole."""
    if any(str(info.get("reason")) in WIDE_REASONS for info in told.details("ErrorInfo")):
        return False
    about = [str(info.get("resourceType", "")).lower() for info in told.details("ResourceInfo")]
    named = [str(info.get("resourceName", "")) for info in told.details("ResourceInfo")]
    return any("model" in each for each in about) or any(
        f"models/{model}" in text or (bool(model) and model in text) for text in (told.message, *named)
    )


def _limited(told: Told, known: dict[str, Any], now: datetime) -> ProviderError:
    exceeded = [each for each in told.details("QuotaFailure") if isinstance(each.get("violations"), list)]
    quotas = [str(one.get("quotaId") or "") for each in exceeded for one in each["violations"] if isinstance(one, dict)]
    daily = [quota for quota in quotas if "PerDay" in quota]
    if not daily:
        return RateLimitedError("too many requests or tokens for the moment", **known)
    # The delay that comes with a daily quota is one for minutes: only the reset helps.
    known["retry_after_s"] = max(known["retry_after_s"] or 0.0, _until_midnight_s(now))
    return QuotaExhaustedError("the daily quota is spent", **known)


def _until_midnight_s(now: datetime) -> float:
    """Return the seconds until daily quotas are full again (ai.google.dev/gemini-api/docs/rate-limits)."""
    try:
        pacific: Any = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a system without a time zone database: late by the hour of summer time at most
        pacific = timezone(timedelta(hours=-8))
    local = now.astimezone(pacific)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def timed_out(phase: TimeoutPhase, exc: BaseException | None) -> ProviderTimeoutError:
    """Return the error for a bound that ran out."""
    words = {"connect": "no connection in time", "first_token": "no first token in time", "idle": "the stream stalled"}
    error = ProviderTimeoutError(words.get(phase, "no answer in time"), phase=phase)
    error.__cause__ = None if exc is None else bare(exc)
    return error


def unreadable() -> InvalidReplyError:
    """Return the error for a body that is no JSON, or not in the form of the API."""
    return InvalidReplyError("the answer cannot be read: it is not in the form of the Gemini API")


def broken(exc: BaseException, *, cut: bool, reached: bool, url: str) -> ProviderError:
    """Return the error for a connection that failed, or that an answer was cut off by.

    Args:
        exc: What the client raised.
        cut: Whether an answer began and did not end.
        reached: Whether the connection had been made.
        url: The address of the service.
    """
    error = error_for_exception(exc, url=url)
    if type(error) is UnusableProviderError:
        return error
    if cut:
        error = InvalidReplyError("the answer was cut, or is no HTTP")
    elif reached:
        error = ProviderUnavailableError("the service hung up, or failed while it answered")
    else:
        error = ProviderUnavailableError("the service cannot be reached", reached=False)
    error.__cause__ = bare(exc)
    return error


def bare(exc: BaseException) -> BaseException:
    """Return an exception without the frames that it went through, nor those of the ones behind it.

    The variables in them hold the key and the prompt, and some loggers print them; class and words stay.
    """
    behind: list[BaseException] = [exc]
    for each in behind:  # which may be behind themselves
        each.__traceback__ = None
        behind += [one for one in (each.__cause__, each.__context__) if one is not None and not _is_in(one, behind)]
    return exc


def _is_in(exc: BaseException, found: list[BaseException]) -> bool:
    return any(exc is each for each in found)
