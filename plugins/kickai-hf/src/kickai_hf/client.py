"""The HTTP client of one endpoint: its requests and the bodies of its responses.

It posts the documented protocols on connections of its own, which `kickai_providers_core.authoring` limits in time and
size. The vendor's ``InferenceClient`` shares one connection pool among all its users in a process.
"""

from __future__ import annotations

import platform
from contextlib import aclosing, closing, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub import constants
from kickai_providers_core import InvalidReplyError, UnusableProviderError
from kickai_providers_core.authoring import http_transport

from kickai_hf.checks import find_network_problems
from kickai_hf.errors import error_for_response

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from kickai_providers_core.authoring import AttemptTimeouts, HttpAttempt, HttpTransport

    from kickai_hf.endpoints import Endpoint

__all__ = ["TRANSPORT_ERRORS", "HttpClient", "is_json"]

TRANSPORT_ERRORS = (httpx2.TransportError, TimeoutError)
"""How a connection fails."""

ERROR_BODY_S = 1.0
"""How long to wait for the body of an error: the status says most of it."""

REST_S = 0.05
"""How long to wait for the end of a stream's HTTP message, so that its connection can be used again. Only with TLS,
where connections are expensive: llama.cpp closes the connection after a stream without announcing it."""


class HttpClient:
    """Requests to one endpoint. Safe to share between threads and event loops until it is closed.

    Args:
        endpoint: Where the requests go.
        max_connections: Connections at once, for blocking calls together and for each event loop.
        expose: Whether errors repeat the service's own words.
        transport: The connections; new ones by default.

    Attributes:
        endpoint: As given.
        is_secure: Whether requests go through TLS.

    Raises:
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_connections: int,
        expose: bool = False,
        transport: HttpTransport | None = None,
    ) -> None:
        problem = next(find_network_problems(endpoint.url), None)
        if problem is not None:
            raise UnusableProviderError(str(problem))
        self.endpoint = endpoint
        self.is_secure = endpoint.url.lower().startswith("https:")
        self._expose = expose
        self._transport = transport or http_transport(endpoint.url, client="httpx2", max_connections=max_connections)
        agent = f"kickai-hf/{version('kickai-hf')}; hf_hub/{version('huggingface_hub')}"
        self._headers = {"accept": "*/*", "user-agent": f"{agent}; python/{platform.python_version()}"}

    def attempt(self, timeouts: AttemptTimeouts, max_answer_bytes: int) -> HttpAttempt:
        """Return the transport of one attempt, with its limits."""
        return self._transport.attempt(timeouts, max_answer_bytes=max_answer_bytes)

    def get(self, path: str) -> httpx2.Request:
        """Return a request for a path below the endpoint's address."""
        return httpx2.Request("GET", f"{self.endpoint.url}{path}", headers=self._all_headers())

    def post(self, body: bytes) -> httpx2.Request:
        """Return a request with a JSON body.

        Raises:
            UnusableProviderError: The vendor's offline mode forbids requests to Hugging Face.
        """
        if self.endpoint.is_router and constants.HF_HUB_OFFLINE:
            raise UnusableProviderError(
                "HF_HUB_OFFLINE is set, which forbids requests to Hugging Face: unset it, or set base_url"
            )
        headers = {**self._all_headers(), "content-type": "application/json"}
        return httpx2.Request("POST", self.endpoint.url, headers=headers, content=body)

    def _all_headers(self) -> dict[str, str]:
        """Return the headers; only a request contains revealed secrets."""
        endpoint = self.endpoint
        headers = {**self._headers, **{name.lower(): value.reveal() for name, value in endpoint.headers.items()}}
        if endpoint.token:
            headers["authorization"] = f"Bearer {endpoint.token.reveal()}"
        return headers

    def send(self, request: httpx2.Request, attempt: HttpAttempt) -> httpx2.SyncByteStream:
        """Send a request; return the body of the response once its headers have come. The caller closes it.

        Raises:
            ProviderError: The status is not a success.
        """
        body: httpx2.SyncByteStream = attempt.handle_request(request).stream
        if attempt.has_begun:
            return body
        attempt.timeouts.shorten(ERROR_BODY_S)
        parts = []
        with suppress(*TRANSPORT_ERRORS, InvalidReplyError), closing(body):
            for part in body:
                parts.append(part)  # noqa: PERF402 - those before a failure count
        raise error_for_response(attempt, b"".join(parts), self.endpoint, expose=self._expose)

    async def asend(self, request: httpx2.Request, attempt: HttpAttempt) -> httpx2.AsyncByteStream:
        """Send a request on the running loop, as `send` does."""
        body: httpx2.AsyncByteStream = (await attempt.handle_async_request(request)).stream
        if attempt.has_begun:
            return body
        attempt.timeouts.shorten(ERROR_BODY_S)
        parts = []
        with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
            async with aclosing(body):
                async for part in body:
                    parts.append(part)  # noqa: PERF401
        raise error_for_response(attempt, b"".join(parts), self.endpoint, expose=self._expose)

    def read_rest(self, parts: Iterator[bytes], attempt: HttpAttempt) -> None:
        """Read the end of a stream's HTTP message, so that its connection can be used again."""
        if self.is_secure:
            attempt.timeouts.shorten(REST_S)
            with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
                for _ in parts:
                    pass

    async def aread_rest(self, parts: AsyncIterator[bytes], attempt: HttpAttempt) -> None:
        """Read the end of a stream's HTTP message on the running loop, as `read_rest` does."""
        if self.is_secure:
            attempt.timeouts.shorten(REST_S)
            with suppress(*TRANSPORT_ERRORS, InvalidReplyError):
                async for _ in parts:
                    pass

    def close(self) -> None:
        """Close all connections, from a thread without a running loop."""
        self._transport.close()

    async def aclose(self) -> None:
        """Close all connections, the running loop's first."""
        await self._transport.aclose()


def is_json(attempt: HttpAttempt) -> bool:
    """Return whether the response of an attempt is one JSON document."""
    kind = attempt.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
