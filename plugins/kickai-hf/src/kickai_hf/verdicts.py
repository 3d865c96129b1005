"""What a service means when it says no: from a status, headers and a body to an error of the core. Pure.

No error made here holds a prompt, a key, an address, or a body. Nothing here imports the vendor's client.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.retry_after import longest_retry_after
from kickai_providers_core.values import errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["from_document", "from_event", "from_response", "printable", "raise_for_error_in", "request_id"]

Kind = type[errors.ProviderError]

REQUEST_ID_HEADERS = ("x-request-id", "x-amzn-trace-id", "x-amz-cf-id")
"""In the order of the vendor's client."""

_PARAMETERS = (
    "max_tokens",
    "max_completion_tokens",
    "max_new_tokens",
    "temperature",
    "top_p",
    "seed",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "json_schema",
    "stream_options",
    "image_url",
    "tool_call_id",
    "grammar",
)
"""Names of the protocol, which errors may repeat."""

_LIMIT = re.compile(
    r"(?:at most|up to|less than or equal to|must be (?:<=?|below|less than)|maximum (?:value )?(?:is|of)|no more than|"
    r"cannot exceed|must not exceed|limited to|(?:<=|\u2264))\s*(\d{1,9}(?:\.\d{1,3})?)\b",
    re.IGNORECASE,
)

_KEY = re.compile(r"\b(?:hf_|sk-|gsk_|Bearer )[\w.*-]{4,}|\b[A-Za-z0-9_-]{32,}")
"""What may be a key, or a part of one, in a service's words."""

MAX_NAME = 200
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")

_WORDS_IN = frozenset({"error", "errors", "message", "msg", "detail", "type", "error_type", "code", "reason"})
"""Where services put their words; whatever else a body holds may be the prompt, echoed."""

# What services say, the most telling first; the comments name who says it.
_SAID: tuple[tuple[str, Kind], ...] = (
    (r"context_length_exceeded|maximum context length", errors.ContextLengthExceededError),  # OpenAI's API, vLLM
    (r"exceed_context_size_error|available context size", errors.ContextLengthExceededError),  # llama.cpp
    (r"`inputs` tokens \+ `max_new_tokens` must|`inputs` must have less", errors.ContextLengthExceededError),  # TGI
    (r"context (length|window)|(prompt|input) is too long", errors.ContextLengthExceededError),
    (r"reduce the length of (the|your) (messages|prompt)", errors.ContextLengthExceededError),  # Groq, Cerebras
    (r"content[ _](filter|policy|management)|responsibleai|content_moderation", errors.ContentFilteredError),
    (r"model_not_supported|not supported by any provider", errors.ModelNotFoundError),  # the router
    (r"model_not_found|model_decommissioned|is not a chat model", errors.ModelNotFoundError),  # OpenAI's API, Groq
    (r"the model [^ ]* does not exist", errors.ModelNotFoundError),  # vLLM
    (r"gatedrepo|gated repo|access to model .* is restricted", errors.ModelNotFoundError),  # the Hub
    (r"(access|permission|permitted|allowed|entitled|authorized|enabled)\b.{0,60}\bmodel\b", errors.ModelNotFoundError),
    (
        r"\bmodel\b.{0,200}\b(not (allowed|permitted|available|enabled)|no access|access denied|restricted)",
        errors.ModelNotFoundError,
    ),
    (r"failed to parse tool call arguments", errors.UnsupportedRequestError),  # llama.cpp, for a history's calls
    (r"requires --jinja|does not support tools", errors.UnsupportedRequestError),  # llama.cpp, Ollama's endpoint
    (r"incomplete_generation", errors.InvalidReplyError),  # TGI
    (r"insufficient_quota|monthly included credits", errors.QuotaExhaustedError),  # OpenAI's API, Hugging Face
    (r"\bper[ -]day\b|\bdaily\b|\((tpd|rpd)\)", errors.QuotaExhaustedError),  # Groq and others
    (r"rate[ _-]?limit|too many requests|\boverloaded\b", errors.RateLimitedError),
    (r"invalid_api_key|invalid (username|credentials|token|api key)", errors.AuthenticationError),
)
_PATTERNS = tuple((re.compile(pattern, re.IGNORECASE), kind) for pattern, kind in _SAID)

_CONTEXT_LIMIT = re.compile(
    r"(?:maximum context length is|must be <=|must have less than|available context size \()\s*(\d+)", re.IGNORECASE
)

_BY_STATUS: dict[int, Kind] = {
    401: errors.AuthenticationError,
    402: errors.QuotaExhaustedError,
    403: errors.AuthenticationError,
    404: errors.ModelNotFoundError,
    405: errors.ModelNotFoundError,  # there is something at the address, but no model
    408: errors.ProviderTimeoutError,
    409: errors.ProviderUnavailableError,
    410: errors.ModelNotFoundError,
    424: errors.ProviderUnavailableError,  # TGI: "Request failed during generation"
    425: errors.ProviderUnavailableError,
    429: errors.RateLimitedError,
    451: errors.ContentFilteredError,
}

_REFUSALS = frozenset({errors.ContextLengthExceededError, errors.ContentFilteredError, errors.ModelNotFoundError})
_DUE_TO_REQUEST = frozenset(
    {errors.ContextLengthExceededError, errors.ContentFilteredError, errors.UnsupportedRequestError}
)
_MAY_MEAN: dict[int, frozenset[Kind]] = {
    400: _REFUSALS,
    403: _REFUSALS | {errors.QuotaExhaustedError},
    413: _REFUSALS,
    422: _REFUSALS,
    429: frozenset({errors.QuotaExhaustedError}),
    424: _DUE_TO_REQUEST,
    500: _DUE_TO_REQUEST,
    501: _DUE_TO_REQUEST,
}
"""Statuses that leave a choice to the words. A 401 is a 401 whatever is said with it."""

_TOLD: dict[Kind, str] = {
    errors.UnsupportedRequestError: "the service does not accept this request",
    errors.AuthenticationError: "the service does not accept the token",
    errors.QuotaExhaustedError: "the credit, or the quota of the day, is used up",
    errors.ModelNotFoundError: "the model is not served here",
    errors.ProviderTimeoutError: "the service did not get the whole request in time",
    errors.ProviderUnavailableError: "the service is not available",
    errors.InvalidReplyError: "the service broke off its answer",
    errors.ContextLengthExceededError: "the prompt and the answer do not fit the model's context window",
    errors.RateLimitedError: "the service takes no more requests for the moment",
    errors.ContentFilteredError: "the service refused the prompt because of its content",
}


def from_response(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    anonymous: bool = False,
    expose: bool = False,
    now_s: float | None = None,
) -> errors.ProviderError:
    """Return the error that a response with a status other than success stands for.

    Args:
        status: The HTTP status.
        headers: Case-insensitive, or with names in lower case.
        body: As much of it as was read; need not be whole.
        anonymous: Whether the request was made without a token.
        expose: Whether the error may repeat the service's own words.
        now_s: Seconds since 1970; the time on the clock by default.
    """
    document = _parsed(body)
    words = " ".join((headers.get("x-error-code", ""), *_words(document)))
    kind = _kind(status, words)
    told = _TOLD[kind]
    if kind is errors.AuthenticationError and anonymous:
        told = "the service wants a token, and this instance's settings name none: set token"
    if 300 <= status < 400:  # noqa: PLR2004 - HTTP's redirects
        told = "the service sends us elsewhere: redirects are not followed, as the token was not meant for there"
    return _error(
        kind,
        told,
        words,
        status_code=status,
        request_id=request_id(headers),
        service_message=_message(document) if expose else "",
        retry_after_s=longest_retry_after(headers, document, now_s=now_s),
    )


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the service's name for a request, or None."""
    return next((found for name in REQUEST_ID_HEADERS if (found := printable(headers.get(name)))), None)


def printable(value: object) -> str:
    """Return a service's name for something in printable ASCII, at most `MAX_NAME` characters; empty when it is none.

    Names go into replies, errors and explanations, and from there to terminals.
    """
    return _UNPRINTABLE.sub("", value)[:MAX_NAME] if isinstance(value, str) else ""


def from_event(data: str) -> errors.ProviderError:
    """Return the error that a stream's ``error`` event reports."""
    try:
        return from_document(json.loads(data))
    except (ValueError, RecursionError):
        return from_document(data)


def raise_for_error_in(document: Any) -> None:
    """Raise when what came with status 200 tells of an error.

    Raises:
        ProviderError: What it tells of.
    """
    if isinstance(document, dict) and (document.get("error") or document.get("object") == "error"):
        raise from_document(document)


def from_document(document: Any, otherwise: Kind = errors.ProviderUnavailableError) -> errors.ProviderError:
    """Return the error that the service tells of without an HTTP status.

    Args:
        document: The JSON value.
        otherwise: What it means when neither its words nor its code say it.
    """
    words = " ".join(_words(document))
    status = next(_codes(document), None)
    kind = _kind(status, words) if status else _said(words) or otherwise
    delay = longest_retry_after(None, document)
    return _error(kind, _TOLD[kind], words, status_code=status, retry_after_s=delay)


def _kind(status: int, words: str) -> Kind:
    said = _said(words)
    if said is not None and said in _MAY_MEAN.get(status, ()):
        return said
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return errors.UnsupportedRequestError if 400 <= status < 500 else errors.ProviderUnavailableError  # noqa: PLR2004


def _said(words: str) -> Kind | None:
    return next((kind for pattern, kind in _PATTERNS if pattern.search(words)), None)


def _error(kind: Kind, told: str, words: str, **fields: Any) -> errors.ProviderError:
    if kind is errors.ContextLengthExceededError:
        limit = _CONTEXT_LIMIT.search(words)
        fields["limit_tokens"] = int(limit.group(1)) if limit else None
    elif kind is errors.ContentFilteredError:
        fields["reason"] = "content_filter"
    elif kind is errors.UnsupportedRequestError:
        facts = _facts(words)
        told = f"{told}: {facts}" if facts else told
    return kind(told, **fields)


def _facts(words: str) -> str:
    """Return which parameter is refused, and its limit: words of the protocol and a number, and nothing else."""
    names = [name for name in _PARAMETERS if re.search(rf"(?<![\w-]){name}(?![\w-])", words)]
    limit = _LIMIT.search(words)
    return ", ".join([*names[:2], *([f"limit {limit[1]}"] if limit else [])])


def _message(document: Any) -> str:
    """Return the service's own words, without what looks like a key."""
    if isinstance(document, dict):
        found = document.get("error", document)
        found = found.get("message", found.get("detail", "")) if isinstance(found, dict) else found
        document = found or document.get("message", "") or document.get("detail", "")
    text = document if isinstance(document, str) else " ".join(_words(document))
    return _KEY.sub("[removed]", text)


def _parsed(body: bytes) -> Any:
    """Return the JSON value of a body, or its text when it is none."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body.decode(errors="replace")


def _words(document: Any, depth: int = 4) -> Iterator[str]:
    """Yield the texts in a body that are the service's own."""
    if isinstance(document, str):
        yield document
    elif isinstance(document, list) and depth:
        for item in document:
            yield from _words(item, depth - 1)
    elif isinstance(document, dict) and depth:
        for name, value in document.items():
            if name in _WORDS_IN:
                yield from _words(value, depth - 1)


def _codes(document: Any) -> Iterator[int]:
    """Yield what may be an HTTP status in a body."""
    if isinstance(document, dict):
        for name in ("status", "status_code", "http_status", "code"):
            value = document.get(name)
            if isinstance(value, str) and value.isascii() and value.isdigit():
                value = int(value[:4])
            if isinstance(value, int) and 400 <= value < 600:  # noqa: PLR2004 - HTTP's errors
                yield value
        yield from _codes(document.get("error"))
