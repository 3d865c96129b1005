"""One attempt over the connections of `kickai_providers_core.authoring.http_transport`, as an httpx transport."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Self

from attrs import field, frozen

from kickai_providers_core.authoring.bounded_network import RequestTimeout
from kickai_providers_core.authoring.errors_from_exceptions import error_for_exception
from kickai_providers_core.authoring.http_response_body import HttpBody
from kickai_providers_core.authoring.size_limits import MAX_ERROR_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import ModuleType

    from kickai_providers_core.authoring.per_loop import PerLoop
    from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts
    from kickai_providers_core.values.errors import ProviderError

__all__ = ["Connections", "HttpAttempt", "HttpMessage", "convert_url", "get_active_attempt"]

_DECODED_HEADERS = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
"""Headers of an answer that no longer hold once it is decompressed."""

_active: ContextVar[HttpAttempt | None] = ContextVar("kickai_http_attempt", default=None)


@frozen(kw_only=True)
class HttpMessage:
    """One request, ready to be sent. Hidden from the repr: the key and the prompt.

    Attributes:
        method: The method.
        url: The address, as a value of httpcore.
        headers: The headers, without ``accept-encoding``.
        body: The body, or an iterable of its parts as httpcore takes it.
    """

    method: str
    url: Any
    headers: list[tuple[bytes, bytes]] = field(repr=False)
    body: Any = field(default=b"", repr=False)

    @classmethod
    def from_request(cls, httpcore: ModuleType, request: Any) -> Self:
        """Return the message for a request of httpx."""
        headers = [pair for pair in request.headers.raw if pair[0].lower() != b"accept-encoding"]
        return cls(method=request.method, url=convert_url(httpcore, request.url), headers=headers, body=request.stream)


@frozen
class Connections:
    """The connections to one service.

    Attributes:
        url: Its address.
        httpx: The module ``httpx`` or ``httpx2``.
        httpcore: The module below it.
        pool: The connections of blocking calls.
        async_pools: Those of each event loop.
        body_class: The library's class for the body of a response.
    """

    url: str
    httpx: ModuleType
    httpcore: ModuleType
    pool: Any
    async_pools: PerLoop[Any]
    body_class: Any = field(init=False)

    @body_class.default
    def _body_class(self) -> Any:
        return type("HttpBody", (HttpBody, self.httpx.SyncByteStream, self.httpx.AsyncByteStream), {})

    def exchange(self, message: HttpMessage, timeouts: AttemptTimeouts) -> Any:
        """Send a request, and return httpcore's response."""
        response = self.pool.handle_request(self._build(message, timeouts))
        if _is_foreign(response):
            response.close()
            raise self._build_foreign_answer_error()
        return response

    async def aexchange(self, message: HttpMessage, timeouts: AttemptTimeouts) -> Any:
        """Send a request on the running loop, and return httpcore's response."""
        pool = await self.async_pools.current()
        response = await pool.handle_async_request(self._build(message, timeouts))
        if _is_foreign(response):
            await response.stream.aclose()
            raise self._build_foreign_answer_error()
        return response

    def _build(self, message: HttpMessage, timeouts: AttemptTimeouts) -> Any:
        """Return httpcore's request."""
        bound = RequestTimeout(timeouts, is_secure=message.url.scheme == b"https")
        return self.httpcore.Request(
            message.method,
            message.url,
            headers=[*message.headers, (b"accept-encoding", b"gzip, deflate")],  # what `Decompressor` knows
            content=message.body,
            extensions={"timeout": {"connect": bound, "read": bound, "write": bound, "pool": timeouts.remaining_s()}},
        )

    def _build_foreign_answer_error(self) -> Exception:
        error: Exception = self.httpcore.RemoteProtocolError("an answer came before the request was sent")
        return error


class HttpAttempt:
    """An httpx transport for one attempt: ``httpx.Client(transport=attempt.transport)``, or an asynchronous client.

    It raises what the library's own transport raises, and `InvalidReplyError` for an answer that is too large or cannot
    be decompressed; `error_for` turns all of it into errors of the core. Closing a client that uses it leaves the
    connections open for other attempts. Not safe to share between attempts.

    Attributes:
        timeouts: The limits of the attempt.
        status: The status of the answer; None until its head has come.
        headers: Its headers; names in lower case.
        failure: What the network raised, since some clients do not pass it on; None when nothing.
    """

    def __init__(self, connections: Connections, timeouts: AttemptTimeouts, max_answer_bytes: int) -> None:
        self._connections = connections
        self._max_answer_bytes = max_answer_bytes
        self.timeouts = timeouts
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        self.failure: Exception | None = None
        self._network: Any = None

    @property
    def transport(self) -> Any:
        """This object, for type checkers: they do not know that it has the methods of the library's transports."""
        return self

    @property
    def has_begun(self) -> bool:
        """Whether the head of an answer with a success status has come."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004  HTTP's successes

    @property
    def can_reuse_connection(self) -> bool:
        """Whether the server has left the connection open, so far."""
        return self._network is not None and not self._network.get_extra_info("is_readable")

    @contextmanager
    def activate(self) -> Iterator[None]:
        """Let the requests that a long-lived client sends in this block belong to this attempt.

        Put it around one step of a stream, and never around a ``yield``.
        """
        token = _active.set(self)
        try:
            yield
        finally:
            _active.reset(token)

    def error_for(self, exc: Exception) -> ProviderError:
        """Return the error for what the client raised, by `error_for_exception`; timeouts have their phase."""
        return error_for_exception(
            self.failure or exc,
            url=self._connections.url,
            phase=self.timeouts.phase,
            has_begun=self.has_begun,
        )

    def handle_request(self, request: Any) -> Any:
        """Send a request of the library; return its response as soon as the head is there."""
        connections = self._connections
        with self.raise_as_httpx():
            response = connections.exchange(HttpMessage.from_request(connections.httpcore, request), self.timeouts)
        return self._wrap(response)

    async def handle_async_request(self, request: Any) -> Any:
        """Send a request of the library on the running loop, as `handle_request` does."""
        connections = self._connections
        with self.raise_as_httpx():
            response = await connections.aexchange(
                HttpMessage.from_request(connections.httpcore, request), self.timeouts
            )
        return self._wrap(response)

    def send(self, message: HttpMessage) -> HttpBody:
        """Send a request without the library's values; return the body of the response as soon as the head is there."""
        with self.raise_as_httpx():
            response = self._connections.exchange(message, self.timeouts)
        return self._read(response)

    async def asend(self, message: HttpMessage) -> HttpBody:
        """Send a request on the running loop, as `send` does."""
        with self.raise_as_httpx():
            response = await self._connections.aexchange(message, self.timeouts)
        return self._read(response)

    @contextmanager
    def raise_as_httpx(self) -> Iterator[None]:
        """Raise the exceptions of httpcore as the ones of httpx, which clients know; each has the same name there."""
        try:
            yield
        except Exception as exc:
            self.raise_if_network(exc)
            raise

    def raise_if_network(self, exc: BaseException) -> None:
        """Raise the exception of httpx for one of httpcore, and note it; do nothing for another one."""
        core, httpx = self._connections.httpcore, self._connections.httpx
        network_errors = (core.NetworkError, core.ProtocolError, core.UnsupportedProtocol, core.ProxyError)
        if isinstance(exc, (core.TimeoutException, *network_errors)):
            self.failure = exc
            raise getattr(httpx, type(exc).__name__)(str(exc)) from exc

    def _wrap(self, response: Any) -> Any:
        """Return a response of httpcore as the library has it."""
        connections, body = self._connections, self._read(response, self._connections.body_class)
        headers = [pair for pair in response.headers if pair[0].lower() not in _DECODED_HEADERS]
        found = connections.httpx.Response(response.status, headers=headers, stream=body)
        self.headers = found.headers
        return found

    def _read(self, response: Any, body_class: type[HttpBody] = HttpBody) -> HttpBody:
        """Note the head of a response of httpcore, and return its body."""
        self.status, self._network = response.status, response.extensions.get("network_stream")
        self.headers = _join_headers(response.headers)
        limit_bytes = self._max_answer_bytes if self.has_begun else MAX_ERROR_BYTES
        encoding = self.headers.get("content-encoding", "")
        return body_class(self._connections.httpcore, response.stream, self, encoding, limit_bytes)

    def close(self) -> None:
        """Do nothing: the connections serve other attempts."""

    async def aclose(self) -> None:
        """Do nothing: the connections serve other attempts."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...


def get_active_attempt() -> HttpAttempt:
    """Return the attempt whose `HttpAttempt.activate` block this code runs in.

    Raises:
        RuntimeError: There is none.
    """
    attempt = _active.get()
    if attempt is None:
        raise RuntimeError("a request was sent outside of the activate() block of an attempt")
    return attempt


def convert_url(httpcore: ModuleType, url: Any) -> Any:
    """Return an address of httpx as httpcore has it."""
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _is_foreign(response: Any) -> bool:
    """Return whether an answer was there before its request was sent: it belongs to another one."""
    return not getattr(response.extensions.get("network_stream"), "has_read", True)


def _join_headers(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return headers with names in lower case, and the values of each name in one text (RFC 9110, section 5.3)."""
    headers: dict[str, str] = {}
    for name_bytes, value in pairs:
        name, text = name_bytes.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]}, {text}" if name in headers else text
    return headers
