"""The rows of docs/fault-matrix.md: each fault of a service, and the error that the plugin raises for it.

``python tests/test_fault_matrix.py`` writes the document. The bodies of the vendors' errors follow their documentation
and reports of users.
"""

from __future__ import annotations

import json
from typing import Any

from kickai_providers_core.testing import FaultRow
from kickai_providers_core.testing.chat_completions import StreamBytes, chat_fault_rows
from kickai_providers_core.testing.fault_matrix import STREAMS
from kickai_providers_core.testing.faults import Status, WrongShape
from kickai_providers_core.values import errors as e


def _said(status: int, name: str, error: type[e.ProviderError], body: Any, **more: Any) -> FaultRow:
    fault = Status(status, "", more.pop("headers", {}), json.dumps(body).encode())
    return FaultRow(name=name, fault=fault, error=error, status_code=status, **more)


def _error(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def _extra(field: str) -> dict[str, Any]:
    detail = [{"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted"}]
    return {"object": "error", "message": {"detail": detail}, "type": "invalid_request_error", "code": None}


NO_MAX_TOKENS = _error(
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
    type="invalid_request_error",
    param="max_tokens",
    code="unsupported_parameter",
)
FILTERED = _error(
    "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
    code="content_filter",
    innererror={"code": "ResponsibleAIPolicyViolation"},
)
TOO_LONG = _error("Please reduce the length of the messages or completion.", type="invalid_request_error")
VLLM = {"object": "error", "message": "The model `m` does not exist.", "type": "NotFoundError", "code": 404}
GROQ_LIMIT = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "7.66s", "retry-after": "2"}
MODERATED = _error("Your chosen model requires moderation and your input was flagged", code=403, metadata={})
LATE_ERROR = b"data: " + json.dumps(_error("Provider returned error", code=502)).encode() + b"\n\n"
LATE_LIMIT = b"data: " + json.dumps({"error": {"code": 429, "message": "slow"}, "choices": []}).encode() + b"\n\n"

VENDORS = (
    _said(
        400,
        "OpenAI: a reasoning model refuses max_tokens",
        e.UnsupportedRequestError,
        NO_MAX_TOKENS,
        message="the service does not accept this request: max_tokens",
    ),
    _said(400, "Azure, GitHub Models: content management policy", e.ContentFilteredError, FILTERED),
    _said(
        401, "OpenAI: wrong key", e.AuthenticationError, _error("Incorrect API key provided", code="invalid_api_key")
    ),
    _said(404, "OpenAI: unknown model", e.ModelNotFoundError, _error("The model `x` does not exist")),
    _said(404, "vLLM: unknown model", e.ModelNotFoundError, VLLM),
    _said(
        429,
        "OpenAI: no credit",
        e.QuotaExhaustedError,
        _error("You exceeded your current quota", type="insufficient_quota", code="insufficient_quota"),
        headers={"x-should-retry": "false"},
        fields={"may_retry": False},
    ),
    _said(
        429,
        "OpenAI: tokens per minute",
        e.RateLimitedError,
        _error("Rate limit reached for m on tokens per min (TPM). Please try again in 1.5s.", type="tokens"),
        retry_after_s=1.5,
    ),
    _said(
        429,
        "Groq: the reset of the headers is longer",
        e.RateLimitedError,
        _error("Rate limit reached", code="rate_limit_exceeded"),
        headers=GROQ_LIMIT,
        retry_after_s=7.66,
    ),
    _said(
        400,
        "Groq: too long",
        e.ContextLengthExceededError,
        TOO_LONG,
    ),
    _said(422, "Mistral: an unknown field", e.UnsupportedRequestError, _extra("stream_options")),
    _said(402, "DeepSeek: no balance", e.QuotaExhaustedError, _error("Insufficient Balance")),
    _said(402, "OpenRouter: no credits", e.QuotaExhaustedError, _error("Insufficient credits", code=402)),
    _said(403, "OpenRouter: moderation", e.ContentFilteredError, MODERATED),
    _said(408, "a request that came too slowly", e.ProviderTimeoutError, _error("timeout"), phase="total"),
    _said(
        503,
        "a retry that the service forbids",
        e.ProviderUnavailableError,
        _error("overloaded"),
        headers={"x-should-retry": "false"},
        fields={"may_retry": False},
    ),
    _said(
        409,
        "a retry that the service asks for",
        e.ProviderUnavailableError,
        _error("conflict"),
        headers={"x-should-retry": "true", "retry-after-ms": "1500"},
        retry_after_s=1.5,
        fields={"may_retry": True},
    ),
    FaultRow(
        name="OpenRouter: 200 with an error of the vendor",
        fault=WrongShape(_error("Provider returned error", code=502)),
        error=e.ProviderUnavailableError,
        status_code=502,
    ),
    FaultRow(
        name="OpenRouter: an error in the stream",
        fault=StreamBytes(LATE_ERROR),
        error=e.ProviderUnavailableError,
        modes=STREAMS,
        status_code=502,
    ),
    FaultRow(
        name="a limit that is reached in the stream",
        fault=StreamBytes(LATE_LIMIT),
        error=e.RateLimitedError,
        modes=STREAMS,
        status_code=429,
    ),
)
SECTIONS = {**chat_fault_rows(), "Vendors": VENDORS}
