"""httpx2 transports for ``google-genai``: bounded in time, with the key on the wire and nowhere else.

A transport keeps the response that it receives for the plugin, which reads it within bounds, and gives the client an
empty one. Imported with that client only; it brings httpx2.
"""

from __future__ import annotations

import asyncio
import select
from contextlib import contextmanager, suppress
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

import httpcore2
import httpx2
from attrs import frozen

from kickai_gemini.bounded import current, dial

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Iterator

    from kickai_providers_core import Secret

    from kickai_gemini.bounded import Allowance

__all__ = ["BoundedTransport", "LoopTransport"]

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=60.0)
"""No cap on connections: how many calls run at once is the core's decision."""


class BoundedTransport(httpx2.HTTPTransport):
    """Sync connections that hold the time of the allowance that governs the call."""

    def __init__(self, key: Secret, context: ssl.SSLContext, proxy: str | None) -> None:
        super().__init__(verify=context, trust_env=False, limits=LIMITS, proxy=proxy)
        # The pool takes a backend as an argument, but the base class, which makes the pool, has no way to pass one.
        self._pool._network_backend = _Backend()  # noqa: SLF001
        self._key = key
        self._is_disconnected = False

    @contextmanager
    def disconnected(self) -> Iterator[None]:
        """Send nothing while the block runs, and give the client empty responses; not for several threads at once."""
        self._is_disconnected = True
        try:
            yield
        finally:
            self._is_disconnected = False

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request with the key, and keep the response for the plugin."""
        if self._is_disconnected:
            return httpx2.Response(200)
        with _signed(request, self._key):
            _allowance().response = super().handle_request(request)
        return httpx2.Response(200)


class LoopTransport(httpx2.AsyncBaseTransport):
    """Async connections, in one pool for each event loop: a connection cannot be used on another loop than its own.

    A loop that has ended cannot close connections either. But `asyncio.run` closes a loop's asynchronous generators
    before it ends the loop, so each pool is held by one of these, which closes it.
    """

    def __init__(self, key: Secret, context: ssl.SSLContext, proxy: str | None) -> None:
        self._key = key
        self._make = partial(httpx2.AsyncHTTPTransport, verify=context, trust_env=False, limits=LIMITS, proxy=proxy)
        self._held: dict[asyncio.AbstractEventLoop, _Held] = {}
        self._lock = Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request with the key through the running loop's pool, and keep the response for the plugin."""
        pool = await self._pool()
        with _signed(request, self._key):
            _allowance().response = await pool.handle_async_request(request)
        return httpx2.Response(200)

    async def _pool(self) -> httpx2.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None:
            holder = self._hold(loop)
            held = _Held(await anext(holder), holder)  # does not suspend, so that no other task comes between
            with self._lock:
                self._held[loop] = held
        return held.pool

    async def _hold(self, loop: asyncio.AbstractEventLoop) -> AsyncGenerator[httpx2.AsyncHTTPTransport, None]:
        pool = self._make()
        pool._pool._network_backend = _AsyncBackend()  # noqa: SLF001  as in `BoundedTransport`
        try:
            yield pool
        finally:
            with self._lock:
                self._held.pop(loop, None)
            await pool.aclose()

    async def aclose(self) -> None:
        """Close the running loop's connections, and have other loops that run close theirs."""
        held = self._held.get(asyncio.get_running_loop())
        if held is not None:
            await held.close()
        self.close()

    def close(self) -> None:
        """Have every loop that runs close its connections."""
        with self._lock:
            others = list(self._held.items())
        for loop, held in others:
            if loop.is_running():
                with suppress(RuntimeError):  # it has just ended
                    asyncio.run_coroutine_threadsafe(held.close(), loop)


@frozen
class _Held:
    """A loop's pool, and the generator that closes it."""

    pool: httpx2.AsyncHTTPTransport
    holder: AsyncGenerator[httpx2.AsyncHTTPTransport, None]

    async def close(self) -> None:
        await self.holder.aclose()


def _allowance() -> Allowance:
    allowance = current()
    if allowance is None:  # pragma: no cover - every call of this package sets one
        message = "a bounded transport is used within an allowance"
        raise RuntimeError(message)
    return allowance


@contextmanager
def _signed(request: httpx2.Request, key: Secret) -> Iterator[None]:
    """Put the key into a request, and take it out before anybody else can look at the request."""
    request.headers["x-goog-api-key"] = key.reveal()
    # The body is decompressed by `kickai_gemini.framing`, which knows no other encodings.
    request.headers["accept-encoding"] = "gzip, deflate"
    try:
        yield
    finally:
        del request.headers["x-goog-api-key"]


class _Backend(httpcore2.NetworkBackend):
    """Dials bounded sockets; the timeouts that it is given are looser than the allowance, and not looked at."""

    def connect_tcp(self, host: str, port: int, *_args: Any, **_kwargs: Any) -> httpcore2.NetworkStream:
        with _translated(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            return _Stream(dial(host, port))


class _Stream(httpcore2.NetworkStream):
    def __init__(self, sock: Any) -> None:
        self._socket = sock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        with _translated(httpcore2.ReadTimeout, httpcore2.ReadError):
            return self._socket.recv(max_bytes)  # type: ignore[no-any-return]

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        with _translated(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._socket.sendall(buffer)

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        with _translated(httpcore2.ConnectTimeout, httpcore2.ConnectError):
            return _Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":  # an idle connection that has something to say has been closed by the service
            return self._socket.fileno() < 0 or bool(select.select([self._socket], [], [], 0)[0])
        return {"socket": self._socket, "ssl_object": getattr(self._socket, "_sslobj", None)}.get(info)


@contextmanager
def _translated(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as exc:
        raise timeout(exc) from exc
    except OSError as exc:
        raise failure(exc) from exc  # as an argument as well: the connection drops the cause


class _AsyncBackend(httpcore2.AsyncNetworkBackend):
    """Connects within the time of the allowance, and tells it when the service is reached."""

    def __init__(self) -> None:
        self._inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109  httpcore's own signature
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> httpcore2.AsyncNetworkStream:
        allowance = _allowance()
        allowance.connecting()
        stream = await self._inner.connect_tcp(host, port, allowance.remaining_s(), local_address, socket_options)
        allowance.connected(secure=False)
        return _AsyncStream(stream)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _AsyncStream(httpcore2.AsyncNetworkStream):
    """A connection each of whose operations ends with the nearest bound of the allowance."""

    def __init__(self, inner: httpcore2.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        data: bytes = await self._inner.read(max_bytes, _left_s(timeout))
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, _left_s(timeout))

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        stream = _AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, _left_s(timeout)))
        allowance = current()
        if allowance is not None:
            allowance.connected(secure=True)
        return stream

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


def _left_s(timeout_s: float | None) -> float | None:
    """Return the time left for an operation; a connection that is closed later, outside any call, keeps its own."""
    allowance = current()
    return timeout_s if allowance is None else allowance.remaining_s()
