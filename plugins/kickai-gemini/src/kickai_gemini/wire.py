"""The HTTP requests of the Gemini API, over httpx2.

Importing this module imports httpx2: only `kickai_gemini.client` does, when a provider is created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpcore2
import httpx2
from kickai_providers_core import ProviderError
from kickai_providers_core.authoring import AttemptTimeouts, error_for_exception, http_transport, without_frames

from kickai_gemini.network import create_tls_context
from kickai_gemini.response_body import MAX_RESPONSE_BYTES, MAX_STREAM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.authoring import HttpAttempt

    from kickai_gemini.requests import GeminiRequest
    from kickai_gemini.settings import GeminiSettings

__all__ = ["GeminiWire"]

API_VERSION = "v1beta"
"""The version of the API that has everything used here, and the names ``gemini-flash-latest`` and its like."""

KEEP_ALIVE_S = 60.0
"""Seconds that an idle connection is kept; a new one costs a TLS handshake."""


class GeminiWire:
    """Builds the HTTP requests of one instance, and owns its connections. Safe to share between threads and loops.

    Args:
        settings: The instance's settings.
        encode: Returns the body of a request.
    """

    def __init__(self, settings: GeminiSettings, encode: Callable[[GeminiRequest], bytes]) -> None:
        self._settings = settings
        self._encode = encode
        self._url = f"{settings.base_url.rstrip('/')}/{API_VERSION}"
        self.transport = http_transport(
            settings.base_url,
            client="httpx2",
            keep_alive_s=KEEP_ALIVE_S,
            tls_context=create_tls_context(settings.base_url),
        )

    def start_attempt(self, timeout_s: float, *, is_stream: bool) -> HttpAttempt:
        """Return an attempt that begins now."""
        timeouts = AttemptTimeouts.from_settings(self._settings, timeout_s, is_stream=is_stream)
        limit_bytes = MAX_STREAM_BYTES if is_stream else MAX_RESPONSE_BYTES
        return self.transport.attempt(timeouts, max_answer_bytes=limit_bytes)

    def build(self, request: GeminiRequest, *, is_stream: bool) -> httpx2.Request:
        """Return the HTTP request for an answer.

        Raises:
            UnsupportedRequestError: The client that the instance uses cannot send it.
        """
        method = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
        headers = {**self._build_headers(), "content-type": "application/json"}
        url = f"{self._url}/{request.resource}:{method}"
        return httpx2.Request("POST", url, headers=headers, content=self._encode(request))

    def build_list(self) -> httpx2.Request:
        """Return the HTTP request for the list of models."""
        return httpx2.Request("GET", f"{self._url}/models?pageSize=1000", headers=self._build_headers())

    def error_for(self, exc: Exception, attempt: HttpAttempt) -> ProviderError:
        """Return the error for what a step of an attempt raised. Its frames, which hold the key, are removed."""
        failure = attempt.failure or exc
        if isinstance(exc, ProviderError):
            return without_frames(exc)
        if isinstance(failure, httpcore2.TimeoutException):
            return attempt.timeouts.error()
        # A connection that is reset is an outage, also within an answer.
        is_cut = attempt.has_begun and not isinstance(failure, httpcore2.NetworkError)
        return error_for_exception(failure, url=self._settings.base_url, has_begun=is_cut)

    def _build_headers(self) -> dict[str, str]:
        return {"x-goog-api-key": self._settings.api_key.reveal(), "user-agent": "kickai-gemini"}
