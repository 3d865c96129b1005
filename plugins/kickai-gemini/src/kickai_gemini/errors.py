"""What a refusal by the service means. Pure; the time is an argument.

The shapes are those of google.rpc (google.aip.dev/193): a status, and details, of which ``ErrorInfo`` names the reason,
``RetryInfo`` a delay and ``QuotaFailure`` the exceeded quotas. No error repeats the service's own words unless the
settings ask for it: they may hold parts of the prompt, and for a suspended key the key itself.
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
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)
from kickai_providers_core.authoring import error_for_status

from kickai_gemini.refused_parameters import describe_refused_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core import Secret

__all__ = ["Refusal", "build_unreadable_error", "error_for_refusal"]

MAX_WORDS = 10_000
KEY = re.compile(r"AIza[\w-]{20,}")
"""What Google's keys look like."""

KEY_REFUSED = "the service does not accept the key"
KEY_REASONS = frozenset({"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "API_KEY_HTTP_REFERRER_BLOCKED"})
PROJECT_REASONS = frozenset({"SERVICE_DISABLED", "CONSUMER_SUSPENDED", "CONSUMER_INVALID", "BILLING_DISABLED"})
"""The reasons of a 403 that concern the key and its project, whatever else is named."""


@frozen(kw_only=True)
class Refusal:
    """What the service says with an error status.

    Attributes:
        status: The HTTP status.
        headers: Names in lower case.
        body: The JSON value of the body, or None when it is not JSON.
    """

    status: int
    headers: Mapping[str, str] = field(factory=dict)
    body: object = None

    @classmethod
    def from_response(cls, status: int, headers: Mapping[str, str], body: bytes | str) -> Refusal:
        """Return what an HTTP response says."""
        try:
            value = json.loads(body)
        except (ValueError, RecursionError):
            value = None
        return cls(status=status, headers={name.lower(): text for name, text in headers.items()}, body=value)

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> Refusal:
        """Return what an error within a stream says; its status is a part of it."""
        code = event["error"].get("code")
        is_error = isinstance(code, int) and 400 <= code <= 599  # noqa: PLR2004  the statuses of errors
        return cls(status=code if is_error else 500, body=event)

    @property
    def error(self) -> Mapping[str, Any]:
        """The error object, which some responses put into a list."""
        body = self.body[0] if isinstance(self.body, list) and self.body else self.body
        error = body.get("error") if isinstance(body, dict) else None
        return error if isinstance(error, dict) else {}

    def list_details(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the details of one type, by the last part of its name."""
        details = self.error.get("details")
        found = details if isinstance(details, list) else []
        return [each for each in found if isinstance(each, dict) and str(each.get("@type", "")).endswith(f".{kind}")]

    def list_entries(self, kind: str, name: str) -> list[Mapping[str, Any]]:
        """Return the objects in the lists of that name in the details of one type."""
        lists = [each.get(name) for each in self.list_details(kind)]
        return [one for each in lists if isinstance(each, list) for one in each if isinstance(one, dict)]

    @property
    def message(self) -> str:
        """The service's own words, which may quote the prompt."""
        return str(self.error.get("message") or "")

    @property
    def reason(self) -> str:
        """The reason of the ``ErrorInfo``, or the status's name."""
        reasons = [str(info.get("reason")) for info in self.list_details("ErrorInfo") if info.get("reason")]
        return (reasons or [str(self.error.get("status") or "")])[0]


def error_for_refusal(
    refusal: Refusal, now: datetime, *, model: str = "", secrets: Sequence[Secret] = (), expose: bool = False
) -> ProviderError:
    """Return the error that a refusal means.

    Args:
        refusal: What the service says.
        now: The time, with its zone: a daily quota is full again at midnight, Pacific time.
        model: The model of the request.
        secrets: What never appears in an error.
        expose: Whether the error repeats the service's own words.
    """
    hidden = [secret.reveal() for secret in secrets if secret]
    general = error_for_status(
        refusal.status,
        headers=refusal.headers,
        body=refusal.body,
        expose=expose,
        secrets=[*hidden, *KEY.findall(refusal.message)],
        now_s=now.timestamp(),
    )
    kind, message = _explain(refusal, general, model)
    reason = f" ({refusal.reason})" if re.fullmatch(r"[A-Z][A-Z0-9_]{1,63}", refusal.reason) else ""
    fields: dict[str, Any] = {
        "status_code": refusal.status,
        "request_id": general.request_id,
        "retry_after_s": general.retry_after_s,
        "service_message": general.service_message,
    }
    if kind is QuotaExhaustedError and refusal.status == 429:  # noqa: PLR2004
        # The delay that comes with a daily quota is one for minutes: only the reset helps.
        fields["retry_after_s"] = max(general.retry_after_s or 0.0, _compute_seconds_until_midnight(now))
    if kind is type(general) and hasattr(general, "limit_tokens"):
        fields["limit_tokens"] = general.limit_tokens
    return kind(message + reason, **fields)


def _explain(refusal: Refusal, general: ProviderError, model: str) -> tuple[type[ProviderError], str]:
    """Return the class of the error and its message, where Google's details say more than the status."""
    status = refusal.status
    if status == 429:  # noqa: PLR2004
        if any("PerDay" in str(each.get("quotaId")) for each in refusal.list_entries("QuotaFailure", "violations")):
            return QuotaExhaustedError, "the daily quota is used up"
        return RateLimitedError, "too many requests or tokens at the moment"
    if refusal.reason in KEY_REASONS or status == 401:  # noqa: PLR2004
        return AuthenticationError, KEY_REFUSED
    if status == 403:  # noqa: PLR2004
        if _is_about_model(refusal, model):
            return ModelNotFoundError, "the key may not use the model"
        return AuthenticationError, KEY_REFUSED
    if refusal.error.get("status") == "FAILED_PRECONDITION":
        return AuthenticationError, "the key may not use the service, because of its region or its billing"
    if status < 300:  # noqa: PLR2004
        return InvalidReplyError, "the service sent a status without an answer"
    if status == 408:  # noqa: PLR2004  the service's own timeout, not one of this request's
        return ProviderUnavailableError, "the service is not available"
    if type(general) is UnsupportedRequestError:
        fields = " ".join(str(each.get("field")) for each in refusal.list_entries("BadRequest", "fieldViolations"))
        words = f"{refusal.message} {fields}"[:MAX_WORDS]
        return UnsupportedRequestError, f"the service does not accept this request{describe_refused_parameters(words)}"
    return type(general), general.message


def _is_about_model(refusal: Refusal, model: str) -> bool:
    """Return whether a refusal is about one model, and not about the key as a whole."""
    if any(str(info.get("reason")) in PROJECT_REASONS for info in refusal.list_details("ErrorInfo")):
        return False
    resources = refusal.list_details("ResourceInfo")
    if any("model" in str(each.get("resourceType", "")).lower() for each in resources):
        return True
    names = [refusal.message, *(str(each.get("resourceName", "")) for each in resources)]
    return bool(model) and any(model in each for each in names)


def _compute_seconds_until_midnight(now: datetime) -> float:
    """Return the seconds until daily quotas are full again (ai.google.dev/gemini-api/docs/rate-limits)."""
    try:
        pacific: Any = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a system without a time zone database: in summer an hour late
        pacific = timezone(timedelta(hours=-8))
    local = now.astimezone(pacific)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(UTC) - now.astimezone(UTC)).total_seconds()


def build_unreadable_error() -> InvalidReplyError:
    """Return the error for a body that is not in the form of the API."""
    return InvalidReplyError("the answer cannot be read: it is not in the form of the Gemini API")
