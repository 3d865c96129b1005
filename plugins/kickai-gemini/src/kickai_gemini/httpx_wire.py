"""The wire for ``google-genai``: its HTTP library, httpx2, without the client itself.

Importing the client takes a second of CPU time and building its models another one, all for an address, three headers
and a copy of the JSON. So the plugin sends the JSON itself, and `google.genai` is never imported.

Importing this module imports httpx2: only `kickai_gemini.client` does, when a provider is created.
"""

from __future__ import annotations

import select
from importlib import import_module
from typing import TYPE_CHECKING, Any

import anyio
import httpcore2
import httpx2
from kickai_providers_core.authoring import PerLoop, dump_bytes

from kickai_gemini.attempt import current_attempt
from kickai_gemini.network import create_tls_context, proxy_to
from kickai_gemini.sockets import dial
from kickai_gemini.wire import API_VERSION, Answer, AsyncAnswer

if TYPE_CHECKING:
    import ssl

    from kickai_gemini.mapping import GeminiRequest
    from kickai_gemini.settings import GeminiSettings

__all__ = ["HttpxWire"]

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=60.0)
"""No limit on connections: the core decides how many calls run at once."""


class HttpxWire:
    """Sends requests over httpx2. Safe to share between threads and event loops."""

    is_current = True

    def __init__(self, settings: GeminiSettings) -> None:
        self._url = f"{settings.base_url.rstrip('/')}/{API_VERSION}"
        self._key = settings.api_key
        context = create_tls_context(settings.base_url)
        usual: dict[str, Any] = {
            "verify": context,
            "trust_env": False,
            "limits": LIMITS,
            "proxy": proxy_to(settings.base_url),
        }
        self._transport = httpx2.HTTPTransport(**usual)
        # The pool takes a backend as an argument, but the transport, which makes the pool, has no way to pass one.
        self._transport._pool._network_backend = _Backend()  # noqa: SLF001

        def create() -> httpx2.AsyncHTTPTransport:
            transport = httpx2.AsyncHTTPTransport(**usual)
            transport._pool._network_backend = _AsyncBackend()  # noqa: SLF001  as above
            return transport

        self._transports = PerLoop(create, httpx2.AsyncHTTPTransport.aclose)
        # anyio imports these on first use. A process that is forked meanwhile would wait for the import for ever; the
        # core lets a fork wait while a provider is created, not while one is called.
        import_module("anyio._backends._asyncio")
        _ = anyio.connect_tcp

    def send(self, request: GeminiRequest, *, is_stream: bool) -> Answer:
        """Send a request and return its response."""
        return self._send(self._build(request, is_stream=is_stream))

    def send_list(self) -> Answer:
        """Request the list of models and return the response."""
        return self._send(httpx2.Request("GET", f"{self._url}/models?pageSize=1000", headers=self._headers()))

    async def asend(self, request: GeminiRequest, *, is_stream: bool) -> AsyncAnswer:
        """Send a request and return its response."""
        transport = await self._transports.current()
        response = await transport.handle_async_request(self._build(request, is_stream=is_stream))
        stream: Any = response.stream
        pieces = aiter(stream)

        async def read() -> bytes:
            data: bytes = await anext(pieces, b"")
            return data

        async def close() -> None:
            await pieces.aclose()
            await stream.aclose()

        return AsyncAnswer(response.status_code, dict(response.headers), read, close)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()
        self._transports.close()

    async def aclose(self) -> None:
        """Close all connections."""
        self._transport.close()
        await self._transports.aclose()

    def _build(self, request: GeminiRequest, *, is_stream: bool) -> httpx2.Request:
        method = "streamGenerateContent?alt=sse" if is_stream else "generateContent"
        headers = self._headers() | {"content-type": "application/json"}
        url = f"{self._url}/{request.resource}:{method}"
        return httpx2.Request("POST", url, headers=headers, content=dump_bytes(request.body))

    def _headers(self) -> dict[str, str]:
        # The body is decompressed by `kickai_gemini.body`, which knows no other encodings.
        return {
            "x-goog-api-key": self._key.reveal(),
            "accept-encoding": "gzip, deflate",
            "user-agent": "kickai-gemini",
        }

    def _send(self, request: httpx2.Request) -> Answer:
        response = self._transport.handle_request(request)
        stream: Any = response.stream
        pieces = iter(stream)
        return Answer(response.status_code, dict(response.headers), lambda: next(pieces, b""), stream.close)


class _Backend(httpcore2.NetworkBackend):
    """Connects bounded sockets; the timeouts that httpcore passes on are not used."""

    def connect_tcp(self, host: str, port: int, *_args: Any, **_kwargs: Any) -> httpcore2.NetworkStream:
        return _Stream(dial(host, port))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, sock: Any) -> None:
        self._socket = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        data: bytes = self._socket.recv(max_bytes)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        try:
            self._socket.sendall(buffer)
        except OSError as exc:  # httpcore reads the response of a service that stops reading early
            raise httpcore2.WriteError(exc) from exc

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        return _Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection with something to read was closed by the service
            return self._socket.fileno() < 0 or bool(select.select([self._socket], [], [], 0)[0])
        return {"socket": self._socket, "ssl_object": getattr(self._socket, "_sslobj", None)}.get(info)


class _AsyncBackend(httpcore2.AnyIOBackend):
    """Connects streams that say when the service is reached; asyncio limits the time of the whole call."""

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        return _AsyncStream(await super().connect_tcp(*args, **kwargs))


class _AsyncStream(httpcore2.AsyncNetworkStream):
    def __init__(self, inner: httpcore2.AsyncNetworkStream, *, is_tls: bool = False) -> None:
        self._inner = inner
        self._is_tls = is_tls

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data: bytes = await self._inner.read(max_bytes, timeout)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        attempt = current_attempt()
        if attempt is not None:
            attempt.note_sending(is_tls=self._is_tls)
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        try:
            return _AsyncStream(await self._inner.start_tls(*args, **kwargs), is_tls=True)
        except BaseException:  # httpcore leaves the connection open when it is cancelled here
            await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
