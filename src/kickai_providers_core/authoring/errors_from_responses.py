"""Errors of the core for HTTP statuses and the bodies of errors. No I/O; the time is an argument.

The words of a service may repeat the prompt. They help to choose the error, but its message consists of our own words,
a parameter of the protocol and one number. ``expose_service_messages`` attaches the service's words as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.service_error_words import (
    find_context_window,
    find_errors,
    find_refused_parameter,
    find_words,
)
from kickai_providers_core.authoring.service_names import printable_name
from kickai_providers_core.authoring.stated_delays import longest_retry_after
from kickai_providers_core.authoring.strict_json import parse_error_body
from kickai_providers_core.values.errors import (
    AuthenticationError,
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidReplyError,
    ModelNotFoundError,
    ProviderError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    UnsupportedRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["error_for_body", "error_for_status", "request_id_in"]

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationError,
    402: QuotaExhaustedError,
    403: AuthenticationError,
    404: ModelNotFoundError,
    405: ModelNotFoundError,
    408: ProviderTimeoutError,
    409: ProviderUnavailableError,
    410: ModelNotFoundError,
    424: ProviderUnavailableError,
    425: ProviderUnavailableError,
    429: RateLimitedError,
    451: ContentFilteredError,
    499: ProviderUnavailableError,
}
_ABOUT_REQUEST = frozenset({ContextLengthExceededError, ContentFilteredError, ModelNotFoundError})
_DURING_GENERATION = frozenset({ContextLengthExceededError, ContentFilteredError, UnsupportedRequestError})
_MAY_MEAN: dict[int, frozenset[type[ProviderError]]] = {
    400: _ABOUT_REQUEST | {AuthenticationError},
    403: _ABOUT_REQUEST | {QuotaExhaustedError},
    413: _ABOUT_REQUEST,
    422: _ABOUT_REQUEST,
    424: _DURING_GENERATION,
    429: frozenset({QuotaExhaustedError}),
    500: _DURING_GENERATION,
    501: _DURING_GENERATION,
}
"""What the words may decide, for each status that is ambiguous."""

_MESSAGES: dict[type[ProviderError], str] = {
    AuthenticationError: "the service does not accept the key",
    QuotaExhaustedError: "the credit or the quota is used up",
    ModelNotFoundError: "the model is not served here, or not for this key",
    ProviderTimeoutError: "the service did not get the whole request in time",
    ProviderUnavailableError: "the service is not available",
    ContextLengthExceededError: "the prompt and the answer do not fit the model's context window",
    RateLimitedError: "the service accepts no more requests for the moment",
    ContentFilteredError: "the service refused the prompt because of its content",
    UnsupportedRequestError: "the service does not accept this request",
    InvalidReplyError: "the service ended its answer early",
}
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "x-amzn-trace-id", "x-amz-cf-id")


def error_for_status(
    status: int,
    *,
    headers: Mapping[str, str] | None = None,
    body: object = None,
    expose: bool = False,
    secrets: Iterable[str] = (),
    request_id: str | None = None,
    now_s: float | None = None,
) -> ProviderError:
    """Return the error for a status other than success.

    The words of the body decide only where the status is ambiguous: a 403 about one model is a `ModelNotFoundError`,
    a daily 429 a `QuotaExhaustedError`. A 400, 413 or 422 that is not explained is an `UnsupportedRequestError`; its
    message names the refused parameter and the limit when the service does. The header ``x-should-retry``, by which
    OpenAI's API and others allow or forbid a retry, sets ``may_retry``.

    Args:
        status: The HTTP status.
        headers: Of the response; names in any case.
        body: Its JSON value, or its text or bytes, as much as was read; None when there is none.
        expose: Whether the error carries the service's own words (``settings.expose_service_messages``).
        secrets: Texts to remove from those words: the key, and every other secret that was sent.
        request_id: The service's name for the request; read from the usual headers when None.
        now_s: Seconds since 1970, for dates; None for now.
    """
    value = parse_error_body(body)
    named = {str(name).lower(): str(text) for name, text in (headers or {}).items()}
    may_retry = {"true": True, "false": False}.get(named.get("x-should-retry", "").strip().lower())
    words = " ".join((named.get("x-error-code", ""), *find_words(value)))  # the header is the Hugging Face Hub's
    kind = _choose_error(status, words)
    if may_retry and kind is UnsupportedRequestError:
        kind = ProviderUnavailableError  # what will work later is not refused
    return _build(
        kind,
        words,
        status_code=status,
        may_retry=may_retry,
        request_id=request_id or request_id_in(named),
        retry_after_s=longest_retry_after(named, value, now_s=now_s),
        service_message=_remove_secrets(_find_sentence(value), secrets) if expose else "",
    )


def request_id_in(headers: Mapping[str, str]) -> str | None:
    """Return the service's name for a request from the usual headers; None when there is none.

    Args:
        headers: Of the response; names in lower case, or in any case when the mapping ignores it.
    """
    names = (printable_name(headers.get(header)) for header in _REQUEST_ID_HEADERS)
    return next(filter(None, names), None)


def error_for_body(
    body: object, *, expose: bool = False, secrets: Iterable[str] = (), request_id: str | None = None
) -> ProviderError:
    """Return the error that a body reports although the HTTP status is a success, as within a stream.

    The status in the body decides when there is one (``"code": 429``), otherwise the words, and otherwise it is a
    `ProviderUnavailableError`.

    Args:
        body: Its JSON value, or its text or bytes.
        expose: As for `error_for_status`.
        secrets: As for `error_for_status`.
        request_id: The service's name for the request.
    """
    value = parse_error_body(body)
    words = " ".join(find_words(value))
    status = next(_find_statuses(value), None)
    kind = _choose_error(status, words) if status else next(iter(find_errors(words)), ProviderUnavailableError)
    return _build(
        kind,
        words,
        status_code=status,
        request_id=request_id,
        retry_after_s=longest_retry_after(None, value),
        service_message=_remove_secrets(_find_sentence(value), secrets) if expose else "",
    )


def _build(kind: type[ProviderError], words: str, *, status_code: int | None, **fields: Any) -> ProviderError:
    message = _MESSAGES[kind]
    if kind is UnsupportedRequestError:
        message += find_refused_parameter(words)
    elif kind is ContextLengthExceededError:
        fields["limit_tokens"] = find_context_window(words)
    elif kind is ContentFilteredError:
        fields["reason"] = "content_filter"
    elif 300 <= (status_code or 0) < 400:  # noqa: PLR2004  HTTP's redirects
        message = "the service redirects to another address, and redirects are not followed"
    return kind(message, status_code=status_code, **fields)


def _find_statuses(value: object) -> Iterator[int]:
    """Yield what may be an HTTP status in the JSON value of an error."""
    if not isinstance(value, dict):
        return
    for name in ("status", "status_code", "http_status", "code"):
        code = value.get(name)
        if isinstance(code, str) and code.isascii() and code.isdigit():
            code = int(code[:4])
        if isinstance(code, int) and 400 <= code < 600:  # noqa: PLR2004  HTTP's errors
            yield code
    yield from _find_statuses(value.get("error"))


def _choose_error(status: int, words: str) -> type[ProviderError]:
    possible = _MAY_MEAN.get(status, frozenset())
    meant = next((kind for kind in find_errors(words) if kind in possible), None)
    if meant is not None:
        return meant
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return UnsupportedRequestError if 400 <= status < 500 else ProviderUnavailableError  # noqa: PLR2004


def _find_sentence(value: object) -> str:
    """Return the message of the service, or all of its words."""
    error = value[0] if isinstance(value, list) and value else value
    for _ in range(2):
        if isinstance(error, dict):
            error = next((error[name] for name in ("error", "message", "detail", "msg") if error.get(name)), error)
    return error if isinstance(error, str) else " ".join(find_words(value))


def _remove_secrets(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
