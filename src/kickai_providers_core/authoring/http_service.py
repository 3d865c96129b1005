"""Requests to one service, over connections that keep the limits of each attempt in time and size.

Vendors' clients often share one connection pool in a process, retry by themselves, or read the address from the
environment. Here one call is one request to one address.
"""

from __future__ import annotations

import asyncio
import platform
import time
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.endpoint_checks import connection_problems
from kickai_providers_core.authoring.errors_from_exceptions import error_for_exception
from kickai_providers_core.authoring.errors_from_responses import error_for_status
from kickai_providers_core.authoring.http_attempt import HttpMessage, convert_url
from kickai_providers_core.authoring.http_transport import http_transport
from kickai_providers_core.authoring.strict_json import loads
from kickai_providers_core.values.errors import (
    AuthenticationError,
    InvalidReplyError,
    ProviderError,
    UnusableProviderError,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from kickai_providers_core.authoring.endpoint import Endpoint
    from kickai_providers_core.authoring.http_response_body import HttpBody
    from kickai_providers_core.authoring.http_transport import Client, HttpAttempt, HttpTransport
    from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts
    from kickai_providers_core.plugin_api.settings import ProviderSettings

__all__ = ["HttpService"]

MAX_CONNECTIONS = 100
"""Connections at once where ``max_concurrency`` sets no limit, as in the clients of several vendors."""

ERROR_BODY_S = 1.0
"""How long to wait for the body of an error: the status says most of it."""

REST_S = 0.05
"""How long to wait for the end of a stream's HTTP message, so that its connection can be used again."""

PROBE_S = 0.02
"""How long to watch the connection of a first stream without TLS. llama.cpp closes it without announcing it; a request
that meets a closing connection would be lost."""

FRAMING = frozenset({"accept-encoding", "content-length", "transfer-encoding"})
"""Headers that say how a body is sent, or may be sent. An endpoint cannot set them."""

_UNEXPECTED = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What reading raises for an answer of an unforeseen form."""


class HttpService:
    """Requests to one endpoint. Safe to share between threads and event loops until it is closed.

    Args:
        endpoint: Where the requests go.
        settings: The instance's settings: ``max_concurrency`` limits the connections, for blocking calls together and
            for each event loop, and ``expose_service_messages`` lets errors repeat the service's own words.
        user_agent: The first part of the header ``user-agent``: ``kickai-example/1.0``.
        client: The HTTP library, which must be installed.
        transport: The connections; new ones by default.

    Attributes:
        endpoint: As given.
        transport_errors: How a connection fails: the exceptions of the HTTP library.

    Raises:
        UnusableProviderError: A proxy or certificate variable of this machine cannot be used.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        settings: ProviderSettings,
        *,
        user_agent: str,
        client: Client = "httpx2",
        transport: HttpTransport | None = None,
    ) -> None:
        problem = next(connection_problems(endpoint.url), None)
        if problem is not None:
            raise UnusableProviderError(str(problem))
        self.endpoint = endpoint
        self._keeps_connections = True if endpoint.is_secure else None  # after a stream; None until one has ended
        self._expose = settings.expose_service_messages
        self._transport = transport or http_transport(
            endpoint.url, client=client, max_connections=settings.max_concurrency or MAX_CONNECTIONS
        )
        self._httpx = self._transport.httpx
        url = self._httpx.URL(endpoint.url)
        self._url = convert_url(self._transport.httpcore, url)  # parsing it takes longer than the rest of a request
        self.transport_errors: tuple[type[Exception], ...] = (self._httpx.TransportError, TimeoutError)
        agent = f"{user_agent}; python/{platform.python_version()}"
        self._headers = {"host": url.netloc.decode("ascii"), "accept": "*/*", "user-agent": agent}

    def attempt(self, timeouts: AttemptTimeouts, max_answer_bytes: int) -> HttpAttempt:
        """Return the transport of one attempt, with its limits."""
        return self._transport.attempt(timeouts, max_answer_bytes=max_answer_bytes)

    def get(self, path: str) -> HttpMessage:
        """Return a request for a path below the endpoint's address."""
        url = convert_url(self._transport.httpcore, self._httpx.URL(f"{self.endpoint.url}{path}"))
        return HttpMessage(method="GET", url=url, headers=self._encode_headers({}))

    def post(self, body: bytes) -> HttpMessage:
        """Return a request with a JSON body, to the endpoint's address."""
        headers = self._encode_headers({"content-type": "application/json"})
        headers.append((b"content-length", b"%d" % len(body)))
        return HttpMessage(method="POST", url=self._url, headers=headers, body=body)

    def _encode_headers(self, own: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
        """Return the headers of a request; those of the endpoint replace others."""
        headers = {**self._headers, **own, **self.endpoint.reveal_headers()}
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items() if name not in FRAMING]

    def get_json(self, path: str, timeouts: AttemptTimeouts, max_answer_bytes: int) -> Any:
        """Return the JSON value at a path below the endpoint's address.

        Raises:
            ProviderError: There is none, it is too large, or it is not read in time.
        """
        attempt = self.attempt(timeouts, max_answer_bytes)
        try:
            with closing(self.send(self.get(path), attempt)) as body:
                return loads(b"".join(body))
        except Exception as exc:  # noqa: BLE001 - every exception is mapped in one place
            error = self.error_for(exc, attempt)
        raise error  # outside of the handler, since the exception's frames contain the request

    def send(self, message: HttpMessage, attempt: HttpAttempt) -> HttpBody:
        """Send a request; return the body of the response, an iterator of bytes, once its headers have come.

        The caller closes it.

        Raises:
            ProviderError: The status is not a success.
        """
        body = attempt.send(message)
        if attempt.has_begun:
            return body
        attempt.timeouts.shorten(ERROR_BODY_S)
        parts = []
        with suppress(*self.transport_errors, InvalidReplyError), closing(body):
            for part in body:
                parts.append(part)  # noqa: PERF402 - those before a failure count
        raise self.error_for_response(attempt, b"".join(parts))

    async def asend(self, message: HttpMessage, attempt: HttpAttempt) -> HttpBody:
        """Send a request on the running loop, as `send` does; return an asynchronous iterator."""
        body = await attempt.asend(message)
        if attempt.has_begun:
            return body
        attempt.timeouts.shorten(ERROR_BODY_S)
        parts = []
        with suppress(*self.transport_errors, InvalidReplyError):
            async with aclosing(body):
                async for part in body:
                    parts.append(part)  # noqa: PERF401
        raise self.error_for_response(attempt, b"".join(parts))

    def read_rest(self, parts: Iterator[bytes], attempt: HttpAttempt) -> None:
        """Read the end of a stream's HTTP message, so that its connection can be used again."""
        if self._keeps_connections is False:
            return
        attempt.timeouts.shorten(REST_S)
        with suppress(*self.transport_errors, InvalidReplyError):
            for _ in parts:
                pass
        if self._keeps_connections is None:
            time.sleep(PROBE_S)
            self._keeps_connections = attempt.can_reuse_connection

    async def aread_rest(self, parts: AsyncIterator[bytes], attempt: HttpAttempt) -> None:
        """Read the end of a stream's HTTP message on the running loop, as `read_rest` does."""
        if self._keeps_connections is False:
            return
        attempt.timeouts.shorten(REST_S)
        with suppress(*self.transport_errors, InvalidReplyError):
            async for _ in parts:
                pass
        if self._keeps_connections is None:
            await asyncio.sleep(PROBE_S)
            self._keeps_connections = attempt.can_reuse_connection

    def error_for(self, exc: Exception, attempt: HttpAttempt) -> ProviderError:
        """Return the error for an exception that an attempt raised; it contains no prompt, key or answer.

        Args:
            exc: What was raised.
            attempt: It knows which time limit expired and whether the service had begun to answer.
        """
        if isinstance(exc, ProviderError):
            return exc.with_traceback(None)
        failure = attempt.failure or exc
        if isinstance(failure, (self._transport.httpcore.TimeoutException, TimeoutError)):
            return attempt.timeouts.error()
        if isinstance(failure, _UNEXPECTED):
            return InvalidReplyError("the answer cannot be read: it has an unexpected form")
        if not attempt.has_begun and not self.endpoint.is_secure and self._keeps_connections:
            self._keeps_connections = None  # the server may be another one now
        # A reset is an outage, even in the middle of an answer.
        is_cut = attempt.has_begun and not isinstance(failure, self._transport.httpcore.NetworkError)
        return error_for_exception(failure, url=self.endpoint.url, has_begun=is_cut)

    def error_for_response(self, attempt: HttpAttempt, body: bytes) -> ProviderError:
        """Return the error for a response whose status is not a success.

        Args:
            attempt: It knows the status and the headers.
            body: As much of the body as was read.
        """
        endpoint = self.endpoint
        error = error_for_status(
            attempt.status or 0, headers=attempt.headers, body=body, expose=self._expose, secrets=endpoint.secrets
        )
        if isinstance(error, AuthenticationError) and not endpoint.key:
            return AuthenticationError(
                f"the service requires a key, and this instance has none: set {endpoint.key_setting}",
                status_code=error.status_code,
                request_id=error.request_id,
                service_message=error.service_message,
            )
        return error

    def close(self) -> None:
        """Close all connections, from a thread without a running loop."""
        self._transport.close()

    async def aclose(self) -> None:
        """Close all connections, the running loop's first."""
        await self._transport.aclose()
