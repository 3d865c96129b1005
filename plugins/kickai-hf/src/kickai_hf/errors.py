"""Which error a failed call becomes: from a response of the service, or from an exception of the HTTP client. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpcore2
from attrs import frozen
from kickai_providers_core import AuthenticationError, InvalidReplyError, ProviderError
from kickai_providers_core.authoring import error_for_body, error_for_exception, error_for_status

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_hf.routes import Route

__all__ = ["ErrorMapper", "printable"]

MAX_NAME = 200
_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_UNEXPECTED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading an answer raises when it has a shape that nobody thought of."""


@frozen
class ErrorMapper:
    """Maps the failures of calls on one route. Its errors contain no prompt, token, header or body.

    Attributes:
        route: Where the calls go.
        expose: Whether errors repeat the service's own words.
    """

    route: Route
    expose: bool = False

    def from_response(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderError:
        """Return the error for a response whose status is not a success.

        Args:
            status: The HTTP status.
            headers: Of the response.
            body: As much of it as was read.
        """
        error = error_for_status(status, headers=headers, body=body, expose=self.expose, secrets=self.route.secrets)
        if isinstance(error, AuthenticationError) and not self.route.token:
            error.message = "the service requires a token, and this instance has none: set token"
        return error

    def raise_if_error(self, document: Any) -> None:
        """Raise the error that a JSON value with status 200 reports, if it reports one.

        Raises:
            ProviderError: That error.
        """
        if isinstance(document, dict) and (document.get("error") or document.get("object") == "error"):
            raise self.from_body(document)

    def from_body(self, body: object) -> ProviderError:
        """Return the error that a body, or an event of a stream, reports."""
        return error_for_body(body, expose=self.expose, secrets=self.route.secrets)

    def from_exception(self, exc: Exception, *, has_begun: bool) -> ProviderError:
        """Return the error for an exception other than a timeout.

        Args:
            exc: What was raised.
            has_begun: Whether the service had begun to answer with a success.
        """
        if isinstance(exc, ProviderError):
            return exc.with_traceback(None)
        if isinstance(exc, _UNEXPECTED):
            return InvalidReplyError("the answer cannot be read: it has an unexpected form")
        # A reset is an outage, even in the middle of an answer.
        is_cut = has_begun and not isinstance(exc, (httpcore2.NetworkError, OSError))
        return error_for_exception(exc, url=self.route.url, has_begun=is_cut)


def printable(value: object) -> str:
    """Return a service's name for something in printable ASCII, at most 200 characters; empty if it is not text.

    Names go into replies, errors and messages, and from there to terminals.
    """
    return _UNPRINTABLE.sub("", value)[:MAX_NAME] if isinstance(value, str) else ""
