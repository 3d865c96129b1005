"""The errors of an Ollama server, and of the way to it. Pure.

What a server says decides the error, and is not repeated in its message: it may quote the prompt.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import ollama
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
    authoring,
)

if TYPE_CHECKING:
    from kickai_providers_core.authoring import HttpAttempt

    from kickai_ollama.address import Address
    from kickai_ollama.settings import OllamaSettings

__all__ = ["error_for_exception", "error_for_refusal", "says_missing"]

UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What the client raises for an answer in another form; pydantic's errors are among them."""

MEMORY = re.compile(
    r"more system memory|out of (device )?memory|out_of_device_memory|outofmemory|malloc failed|failed to allocate"
    r"|allocation failed|not enough memory|insufficient memory",
    re.IGNORECASE,
)
"""What ``server/sched.go`` and ``llm/status.go`` of Ollama say of memory."""

SIZES = re.compile(r"\((\d+(?:\.\d+)? [KMGT]?i?B)\).*\((\d+(?:\.\d+)? [KMGT]?i?B)\)")

MISSING = re.compile(r"model.*not found|try pulling|model is required|invalid model name|file does not exist")
"""What the chat and pull handlers of Ollama say of a model that the server does not have."""

LACKING = re.compile(r"does not support (tools|thinking|chat|images|vision)")
BUSY = re.compile(r"server busy|maximum pending requests")
ONE_MODEL = re.compile(r"\bmodel\b|subscription", re.IGNORECASE)
NO_ACCESS = re.compile(r"unauthorized|forbidden", re.IGNORECASE)

INDEPENDENT_OF_WORDS = (AuthenticationError, QuotaExhaustedError, RateLimitedError, ContextLengthExceededError)
"""Errors that what the server says about the model does not change."""


def error_for_refusal(attempt: HttpAttempt, body: object, *, settings: OllamaSettings, model: str) -> ProviderError:
    """Return the error that a server reports.

    Args:
        attempt: The attempt, with the status and the headers.
        body: The body of the answer, or a value of a stream.
        settings: The instance.
        model: The model that was requested.
    """
    secrets = [settings.api_key.reveal()] if settings.api_key else []
    if attempt.has_begun:
        error = authoring.error_for_body(body, expose=True, secrets=secrets)
    else:
        error = authoring.error_for_status(
            attempt.status or 0, headers=attempt.headers, body=body, expose=True, secrets=secrets
        )
    kind, message = _explain(error, settings, model)
    fields: dict[str, Any] = {
        "status_code": error.status_code,
        "request_id": error.request_id,
        "retry_after_s": error.retry_after_s,
        "service_message": error.service_message if settings.expose_service_messages else "",
    }
    if isinstance(error, ContextLengthExceededError):
        fields["limit_tokens"] = error.limit_tokens
    return kind(message, **fields)


def says_missing(body: object) -> bool:
    """Return whether a body says that the server does not have the model."""
    return MISSING.search(authoring.error_for_body(body, expose=True).service_message) is not None


def error_for_exception(exc: Exception, attempt: HttpAttempt, settings: OllamaSettings) -> ProviderError:
    """Return the error for what the ollama client raised, with advice for someone who runs a server."""
    if isinstance(exc, ProviderError):
        return exc
    if isinstance(exc, ollama.RequestError):
        return UnsupportedRequestError("the ollama client refused the request")
    if attempt.failure is None and attempt.has_begun and isinstance(exc, UNREADABLE):
        return InvalidReplyError("the answer cannot be read: it does not follow Ollama's protocol")
    error = authoring.error_for_exception(
        attempt.failure or exc,
        url=settings.address.url,
        phase=attempt.timeouts.phase,
        has_begun=attempt.has_begun,
        environ={},
    )
    advised = _add_advice(error, settings.address)
    advised.__cause__ = error.__cause__
    advised.request_id = attempt.headers.get("x-request-id")
    return advised


def _add_advice(error: ProviderError, address: Address) -> ProviderError:
    if isinstance(error, ProviderTimeoutError) and error.phase == "first_token":
        return ProviderTimeoutError(f"{error.message}: the model may still be loading", phase=error.phase)
    if isinstance(error, ProviderTimeoutError) and error.phase == "connect":
        return ProviderTimeoutError(f"{error.message}: {_advise_to_start(address)}", phase=error.phase)
    if isinstance(error, ProviderUnavailableError) and not error.reached:
        return ProviderUnavailableError(f"{error.message}: {_advise_to_start(address)}", reached=False)
    return error


def _advise_to_start(address: Address) -> str:
    if address.is_this_machine:
        return "start the server with `ollama serve`"
    return "start the server there with `OLLAMA_HOST=0.0.0.0 ollama serve`, or correct host"


def _explain(error: ProviderError, settings: OllamaSettings, model: str) -> tuple[type[ProviderError], str]:
    """Return the class and the message of an error: the general error, or one about the model by Ollama's words."""
    words, status = error.service_message, error.status_code or 0
    if 300 <= status < 400:  # noqa: PLR2004  HTTP's redirects
        return ProviderUnavailableError, f"{error.message}: set host to the new address"
    if status == 403 and ONE_MODEL.search(words):  # noqa: PLR2004
        return ModelNotFoundError, f"the server does not serve {model} to this account"
    if not isinstance(error, INDEPENDENT_OF_WORDS):
        about_model = _explain_model(words, model)
        if about_model is not None:
            return about_model
    if isinstance(error, AuthenticationError) or (not status and NO_ACCESS.search(words)):
        return AuthenticationError, f"the server refuses access: {_advise_to_sign_in(settings)}"
    if isinstance(error, ContextLengthExceededError):
        return ContextLengthExceededError, f"the prompt does not fit the context window of {model} on this server"
    if isinstance(error, ModelNotFoundError):
        return ModelNotFoundError, f"there is no /api/chat at {settings.address.url}: is it an Ollama server?"
    if type(error) is ProviderUnavailableError:
        return ProviderUnavailableError, "the server failed: see its log"
    return type(error), error.message


def _explain_model(words: str, model: str) -> tuple[type[ProviderError], str] | None:
    """Return what is wrong with the model on this server; None when the words do not say."""
    if MEMORY.search(words):
        sizes = SIZES.search(words)
        needs = f" (it needs {sizes[1]}, available are {sizes[2]})" if sizes else ""
        advice = "use a smaller model or a smaller context_window"
        return ProviderUnavailableError, f"the server is out of memory for {model}{needs}: {advice}"
    lacking = LACKING.search(words)
    if lacking:
        return UnsupportedRequestError, f"{model} does not support {lacking[1]}"
    if MISSING.search(words):
        return ModelNotFoundError, f"{model} is not pulled: get it with `ollama pull {model}`"
    if BUSY.search(words):
        return ProviderUnavailableError, "the server's queue is full"
    return None


def _advise_to_sign_in(settings: OllamaSettings) -> str:
    if settings.api_key and settings.sendable_key is None:
        return "api_key is not sent over plain HTTP; use https://"
    return "check api_key, or sign in there with `ollama signin`"
