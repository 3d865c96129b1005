"""Errors as clients of the OpenAI API expect them: a status, a body with four fields, and headers."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from attrs import frozen
from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    AuthenticationError,
    ChainExhaustedError,
    ContentFilteredError,
    ContextLengthExceededError,
    DeadlineExceededError,
    KickaiError,
    ModelNotFoundError,
    ProviderError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedRequestError,
    SkipReason,
    UnknownProviderError,
)

if TYPE_CHECKING:
    from kickai_providers_core.values.trace import RequestTrace

    from kickai_gateway.http import Headers

__all__ = ["INTERNAL", "SHUTDOWN", "ApiError", "ErrorReply", "build_argument_error_reply", "build_error_reply"]

NO_RETRY: Headers = (("x-should-retry", "false"),)
"""What keeps clients from repeating what the chain has already repeated."""

PARAMS = tuple(
    (re.compile(pattern), param)
    for pattern, param in (
        (r"(messages\[\d+\]): Message\.(\w+)", r"\1.\2"),
        (r"(messages\[\d+\]): ToolCall\.", r"\1.tool_calls"),
        (r"(messages\[\d+\]): ", r"\1"),
        (r"a prompt ", "messages"),
        (r"Tool\.", "tools"),
        (r"(?:the keys of |each key of )?json_schema", "response_format.json_schema.schema"),
        (r"(?:the keys of |each key of )?([a-z_]+(?:\[[^\]]*\]|\.[a-z_]+)*) must be ", r"\1"),
    )
)
"""How the messages of invalid arguments begin, and the field of the request that each is about."""

LONGEST_MESSAGE, LONGEST_PARAM = 1_000, 200
"""The most characters of what a reply says: the path of a field may have names of the request."""

TEMPORARY = frozenset({SkipReason.SUSPENDED, SkipReason.BREAKER_OPEN, SkipReason.BUSY})
"""Reasons for which a target is skipped now, but not later."""


@frozen(kw_only=True)
class ErrorReply:
    """What the client gets instead of an answer.

    Attributes:
        status: The status.
        message: What happened; no prompt, answer or key.
        type: The kind of the error, for example ``invalid_request_error``.
        code: What exactly happened, for programs; None when the message alone says it.
        param: The field of the request that is wrong, or None.
        headers: Further headers.
    """

    status: int
    message: str
    type: str = "invalid_request_error"
    code: str | None = None
    param: str | None = None
    headers: Headers = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the body."""
        param = None if self.param is None else self.param[:LONGEST_PARAM]
        return {
            "error": {"message": self.message[:LONGEST_MESSAGE], "type": self.type, "param": param, "code": self.code}
        }


INTERNAL = ErrorReply(status=500, message="the gateway failed", type="server_error", code="internal_error")
"""For a fault of the gateway itself."""

SHUTDOWN = ErrorReply(
    status=503, message="the gateway is shutting down; ask again", type="server_error", code="shutting_down"
)
"""For a request that is cut short because the gateway ends."""


class ApiError(Exception):
    """Ends a request with an error reply.

    Attributes:
        reply: What the client gets.
    """

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.message)
        self.reply = reply


def build_argument_error_reply(error: ArgumentTypeError | ArgumentValueError) -> ErrorReply:
    """Return the reply for a request that cannot be read: 400 with the path of the field."""
    message = str(error).replace("ChatRequest.", "")
    param = next((found.expand(param) for pattern, param in PARAMS if (found := pattern.match(message))), None)
    return ErrorReply(status=400, message=message, code="invalid_value", param=param)


def build_error_reply(error: KickaiError) -> ErrorReply:
    """Return the reply for an error that a chain raised."""
    if isinstance(error, ArgumentTypeError | ArgumentValueError):
        return build_argument_error_reply(error)
    if isinstance(error, UnknownProviderError):
        return ErrorReply(status=404, message=str(error), code="model_not_found", param="model")
    if isinstance(error, DeadlineExceededError):
        headers = _build_headers(error.trace)
        return ErrorReply(
            status=504, message=str(error), type="timeout_error", code="deadline_exceeded", headers=headers
        )
    if isinstance(error, ChainExhaustedError):
        return _describe_exhausted(error)
    if isinstance(error, ProviderError):
        return _describe_attempt(error)
    return ErrorReply(status=500, message=str(error), type="server_error", code="internal_error", headers=NO_RETRY)


def _describe_attempt(error: ProviderError) -> ErrorReply:
    """Return the reply for the error of one attempt that ended the request."""
    headers, message = _build_headers(error.trace), str(error)
    if isinstance(error, ContextLengthExceededError):
        return ErrorReply(
            status=400, message=message, code="context_length_exceeded", param="messages", headers=headers
        )
    if isinstance(error, ContentFilteredError):
        return ErrorReply(status=400, message=message, code="content_filter", headers=headers)
    if isinstance(error, RejectedRequestError):
        return ErrorReply(status=400, message=message, code="request_rejected", headers=headers)
    if isinstance(error, RateLimitedError | QuotaExhaustedError):
        return _describe_limit(message, headers, error.retry_after_s, is_quota=isinstance(error, QuotaExhaustedError))
    return ErrorReply(status=502, message=message, type="server_error", code="upstream_failed", headers=headers)


def _describe_exhausted(error: ChainExhaustedError) -> ErrorReply:
    """Return 429 when every target is limited, and 503 otherwise; 502 when waiting does not help."""
    causes, skips = error.exceptions, error.skipped
    message, headers = str(error.message), _build_headers(error.trace)
    delays = [
        *(each.error.retry_after_s or each.rests_s for each in error.attempts if each.error is not None),
        *(skip.retry_in_s for skip in skips if skip.retry_in_s is not None),
    ]
    delay = min((each for each in delays if each), default=None)
    limits = (RateLimitedError, QuotaExhaustedError)
    failed = [cause for cause in causes if isinstance(cause, ProviderError)]
    if failed and all(isinstance(cause, limits) for cause in failed):
        return _describe_limit(
            message, headers, delay, is_quota=all(isinstance(cause, QuotaExhaustedError) for cause in failed)
        )
    lasting = (AuthenticationError, ModelNotFoundError)
    if failed and all(isinstance(cause, lasting) for cause in failed) and not skips:
        return ErrorReply(status=502, message=message, type="server_error", code="upstream_unusable", headers=headers)
    if not failed and any(skip.reason not in TEMPORARY for skip in skips):
        delay = delay if any(skip.reason in TEMPORARY for skip in skips) else None
    return ErrorReply(
        status=503,
        message=message,
        type="server_error",
        code="no_target_available",
        headers=(*headers, *_build_retry_after_header(delay)),
    )


def _describe_limit(message: str, headers: Headers, delay_s: float | None, *, is_quota: bool) -> ErrorReply:
    return ErrorReply(
        status=429,
        message=message,
        type="insufficient_quota" if is_quota else "rate_limit_error",
        code="insufficient_quota" if is_quota else "rate_limit_exceeded",
        headers=(*headers, *_build_retry_after_header(delay_s)),
    )


def _build_retry_after_header(delay_s: float | None) -> Headers:
    return () if not delay_s or not math.isfinite(delay_s) else (("retry-after", str(max(1, math.ceil(delay_s)))),)


def _build_headers(trace: RequestTrace) -> Headers:
    return (*NO_RETRY, ("x-kickai-attempts", str(len(trace.attempts))))
