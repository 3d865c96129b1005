"""The error that a failed call becomes, from a response or from an exception of the HTTP client. Pure.

No error contains a prompt, a token, a header or an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore2
from kickai_providers_core import AuthenticationError, InvalidReplyError, ProviderError
from kickai_providers_core.authoring import error_for_exception, error_for_status

if TYPE_CHECKING:
    from kickai_providers_core.authoring import HttpAttempt

    from kickai_hf.endpoints import Endpoint

__all__ = ["error_for_failure", "error_for_response"]

_UNEXPECTED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading raises for an answer of an unforeseen form."""


def error_for_failure(exc: Exception, attempt: HttpAttempt, endpoint: Endpoint) -> ProviderError:
    """Return the error for an exception that an attempt raised.

    Args:
        exc: What was raised.
        attempt: The attempt; it knows which time limit expired and whether the service had begun to answer.
        endpoint: Where the request went.
    """
    if isinstance(exc, ProviderError):
        return exc.with_traceback(None)
    failure = attempt.failure or exc
    if isinstance(failure, (httpcore2.TimeoutException, TimeoutError)):
        return attempt.timeouts.error()
    if isinstance(failure, _UNEXPECTED):
        return InvalidReplyError("the answer cannot be read: it has an unexpected form")
    # A reset is an outage, even in the middle of an answer.
    is_cut = attempt.has_begun and not isinstance(failure, httpcore2.NetworkError)
    return error_for_exception(failure, url=endpoint.url, has_begun=is_cut)


def error_for_response(attempt: HttpAttempt, body: bytes, endpoint: Endpoint, *, expose: bool) -> ProviderError:
    """Return the error for a response whose status is not a success.

    Args:
        attempt: The attempt, with the status and the headers.
        body: As much of the body as was read.
        endpoint: Where the request went.
        expose: Whether the error repeats the service's own words, without secrets.
    """
    error = error_for_status(
        attempt.status or 0, headers=attempt.headers, body=body, expose=expose, secrets=endpoint.secrets
    )
    if isinstance(error, AuthenticationError) and not endpoint.token:
        return AuthenticationError(
            "the service requires a token, and this instance has none: set token",
            status_code=error.status_code,
            request_id=error.request_id,
            service_message=error.service_message,
        )
    return error
