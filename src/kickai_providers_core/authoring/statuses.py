"""From an HTTP status and the body of an error to the error that says what happens next. Pure; the time is an argument.

What a service says may repeat the prompt, so its words decide but are not repeated: messages hold words of a closed
vocabulary and one number. They are handed on only when they are asked for (``expose_service_messages``).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.retry_after import longest_retry_after
from kickai_providers_core.authoring.text import printable_name
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

__all__ = ["error_for_body", "error_for_status", "refused_parameter", "request_id_in", "service_words"]

_WORDS_IN = (
    "error",
    "errors",
    "message",
    "msg",
    "detail",
    "details",
    "type",
    "error_type",
    "code",
    "reason",
    "status",
    "param",
)
"""Where services put their words; whatever else a body holds may be the prompt."""

PARAMETERS = (
    "max_completion_tokens",
    "max_output_tokens",
    "max_new_tokens",
    "max_tokens",
    "num_predict",
    "maxOutputTokens",
    "temperature",
    "top_p",
    "topP",
    "top_k",
    "topK",
    "stop_sequences",
    "stopSequences",
    "stop",
    "seed",
    "tool_choice",
    "tools",
    "response_format",
    "json_schema",
    "frequency_penalty",
    "presence_penalty",
    "parallel_tool_calls",
    "stream_options",
    "stream",
    "logprobs",
    "image_url",
    "tool_call_id",
    "grammar",
    "messages",
    "model",
    "n",
)
"""The protocols' own names, which a message may repeat."""

_PARAMETER = re.compile(rf"(?<![\w.])({'|'.join(PARAMETERS[:-1])})(?![\w])|[`'\"](n)[`'\"]")
_LIMIT = re.compile(
    r"(?:at most|at least|no more than|up to|less than(?: or equal to)?|greater than(?: or equal to)?"
    r"|must be (?:<=|<|>=|>)|maximum(?: (?:value|allowed))?(?: (?:of|is))?|limit(?:ed)?(?: (?:of|is|to))?"
    r"|cannot exceed|exceeds)\s*:?\s*"
    r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\b",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:maximum context length is|must be <=|must have less than|available context size \("
    r"|tokens allowed \(|(?:size|length|window) \()\s*([0-9]{1,9})",
    re.IGNORECASE,
)

# What services say, the most telling first.
_SAID: tuple[tuple[str, type[ProviderError]], ...] = (
    (
        (
            r"context_length_exceeded|maximum context length|exceed_context_size|available context size"
            r"|context (?:length|window|size)|(?:prompt|input) is too long|inputs?` (?:tokens|must have less)"
            r"|input token count|reduce the length of (?:the|your) (?:messages|prompt)"
        ),
        ContextLengthExceededError,
    ),
    (r"content[ _](?:filter|policy|management)|responsibleai|content_moderation", ContentFilteredError),
    (r"invalid[_ ]api[_ ]key|api_key_invalid|api key not valid|incorrect api key", AuthenticationError),
    (
        (
            r"model_not_supported|model_not_found|model_decommissioned"
            r"|is not a chat model|not supported by any provider"
            r"|the model [^ ]{1,200} does not exist"  # a name may contain a dot
            r"|model[^.]{0,80}(?:does not exist|not found|is not available|deprecated)"
            r"|(?:no|not have) (?:access|permission)[^.]{0,30} model|access to model|gated ?repo"
            r"|model_(?:access_denied|terms_required)"
            r"|(?:access|permission|permitted|allowed|entitled|authorized|enabled)\b.{0,60}\bmodel\b"
            r"|\bmodel\b.{0,200}\b(?:not (?:allowed|permitted|available|enabled)|no access|access denied|restricted)"
        ),
        ModelNotFoundError,
    ),
    # llama.cpp, for tools without a template and for the tool calls of a conversation; Ollama's OpenAI endpoint
    (
        r"requires --jinja|does not support tools|failed to parse tool call arguments",
        UnsupportedRequestError,
    ),
    (r"incomplete_generation", InvalidReplyError),  # TGI, within a stream
    (
        r"insufficient_quota|monthly included credits|exceeded your current quota|usage limit|billing",
        QuotaExhaustedError,
    ),
    (r"\bper[ -]?day\b|\bdaily\b|\((?:tpd|rpd)\)", QuotaExhaustedError),
    (r"rate[ _-]?limit|too many requests|\boverloaded\b", RateLimitedError),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _SAID)

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
"""Statuses that leave a choice to the words."""

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
    InvalidReplyError: "the service broke off its answer",
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
    """Return the error that a status other than success means.

    The words of the body decide only where the status leaves a choice: a 403 about one model is a `ModelNotFoundError`,
    a daily 429 a `QuotaExhaustedError`. A 400, 413 or 422 that is not explained is an `UnsupportedRequestError`; its
    message names the refused parameter and the limit when the service does.

    Args:
        status: The HTTP status.
        headers: Of the response; names in any case.
        body: Its JSON value, or its text or bytes, as much as was read; None when there is none.
        expose: Whether the error carries the service's own words (``settings.expose_service_messages``).
        secrets: What is removed from them: the key, and every other secret that was sent.
        request_id: The service's name for the request; read from the usual headers when None.
        now_s: Seconds since 1970, for dates; None for now.
    """
    value = _parsed(body)
    named = {str(name).lower(): str(text) for name, text in (headers or {}).items()}
    words = " ".join((named.get("x-error-code", ""), *service_words(value)))  # the header is the Hugging Face Hub's
    return _build(
        _kind(status, words),
        words,
        status_code=status,
        request_id=request_id or request_id_in(named),
        retry_after_s=longest_retry_after(named, value, now_s=now_s),
        service_message=_without(_sentence(value), secrets) if expose else "",
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
    value = _parsed(body)
    words = " ".join(service_words(value))
    status = next(_statuses_in(value), None)
    kind = _kind(status, words) if status else next(iter(_kinds_of(words)), ProviderUnavailableError)
    return _build(
        kind,
        words,
        status_code=status,
        request_id=request_id,
        retry_after_s=longest_retry_after(None, value),
        service_message=_without(_sentence(value), secrets) if expose else "",
    )


def _build(kind: type[ProviderError], words: str, *, status_code: int | None, **fields: Any) -> ProviderError:
    message = _MESSAGES[kind]
    if kind is UnsupportedRequestError:
        message += refused_parameter(words)
    elif kind is ContextLengthExceededError:
        found = _WINDOW.search(words)
        fields["limit_tokens"] = int(found[1]) if found else None
    elif kind is ContentFilteredError:
        fields["reason"] = "content_filter"
    elif 300 <= (status_code or 0) < 400:  # noqa: PLR2004  HTTP's redirects
        message = "the service redirects to another address, and redirects are not followed"
    return kind(message, status_code=status_code, **fields)


def _statuses_in(value: object) -> Iterator[int]:
    """Yield what may be an HTTP status in the JSON value of an error."""
    if not isinstance(value, dict):
        return
    for name in ("status", "status_code", "http_status", "code"):
        code = value.get(name)
        if isinstance(code, str) and code.isascii() and code.isdigit():
            code = int(code[:4])
        if isinstance(code, int) and 400 <= code < 600:  # noqa: PLR2004  HTTP's errors
            yield code
    yield from _statuses_in(value.get("error"))


def refused_parameter(words: str) -> str:
    """Return which parameter a service refuses and its limit, as ``: max_tokens, limit 4096``; empty when unknown.

    Both come from closed sets: the protocols' own names, and a number after a phrase such as "at most".
    """
    parameter = _PARAMETER.search(words)
    if parameter is None:
        return ""
    limit = _LIMIT.search(words)
    return f": {parameter[1] or parameter[2]}" + (f", limit {limit[1]}" if limit else "")


def service_words(body: object, depth: int = 4) -> Iterator[str]:
    """Yield the texts in the JSON value of an error's body that are the service's own."""
    if isinstance(body, str):
        yield body
    elif isinstance(body, list) and depth:
        for item in body:
            yield from service_words(item, depth - 1)
    elif isinstance(body, dict) and depth:
        for name in _WORDS_IN:
            if name in body:
                yield from service_words(body[name], depth - 1)


def _kind(status: int, words: str) -> type[ProviderError]:
    possible = _MAY_MEAN.get(status, frozenset())
    meant = next((kind for kind in _kinds_of(words) if kind in possible), None)
    if meant is not None:
        return meant
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return UnsupportedRequestError if 400 <= status < 500 else ProviderUnavailableError  # noqa: PLR2004


def _kinds_of(words: str) -> Iterator[type[ProviderError]]:
    """Yield the errors that a service's words may mean, the most telling first."""
    return (kind for pattern, kind in _PATTERNS if pattern.search(words))


def _sentence(value: object) -> str:
    """Return what the service says to a reader: its message, or all of its words."""
    error = value[0] if isinstance(value, list) and value else value
    for _ in range(2):
        if isinstance(error, dict):
            error = next((error[name] for name in ("error", "message", "detail", "msg") if error.get(name)), error)
    return error if isinstance(error, str) else " ".join(service_words(value))


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def _parsed(body: object) -> object:
    if isinstance(body, (bytes, bytearray)):
        body = bytes(body).decode("utf-8", "replace")
    if isinstance(body, str):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return body
    return body
