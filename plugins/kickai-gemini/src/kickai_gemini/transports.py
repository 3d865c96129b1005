"""httpx2 transports for ``google-genai``: bounded in time, with the key on the wire and nowhere else.

Imported with that client only; it brings httpx2.
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

    from kickai_providers_core.secret import Secret

__all__ = ["BoundedTransport", "LeavableResponse", "LoopTransport"]

LIMITS = httpx2.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=60.0)
"""No cap on connections: how many calls run at once is the core's decision."""


class BoundedTransport(httpx2.HTTPTransport):
    """Sync connections that hold the time of the allowance that governs the call."""

    def __init__(self, key: Secret, context: ssl.SSLContext, proxy: str | None) -> None:
        super().__init__(verify=context, trust_env=False, limits=LIMITS, proxy=proxy)
        # The pool takes a backend as an argument, but the base class, which makes the pool, has no way to pass one.
        self._pool._network_backend = _Backend()  # noqa: SLF001
        self._key = key

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request with the key."""
        with _signed(request, self._key):
            return super().handle_request(request)


class LoopTransport(httpx2.AsyncBaseTransport):
    """Async connections, in one pool for each event loop: a connection cannot be used on another loop than its own.

    A loop that has ended cannot close connections either. But `asyncio.run` closes a loop's asynchronous generators
    before it ends the loop, so each pool is held by one of these, which closes it.
    """

    def __init__(self, key: Secret, context: ssl.SSLContext, proxy: str | None, connect_timeout_s: float) -> None:
        self._key = key
        self._make = partial(httpx2.AsyncHTTPTransport, verify=context, trust_env=False, limits=LIMITS, proxy=proxy)
        self._connect_timeout_s = connect_timeout_s
        self._held: dict[asyncio.AbstractEventLoop, _Held] = {}
        self._lock = Lock()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request with the key, through the running loop's pool."""
        timeouts = request.extensions["timeout"]
        timeouts["connect"] = min(self._connect_timeout_s, timeouts["connect"])
        pool = await self._pool()
        with _signed(request, self._key):
            found = await pool.handle_async_request(request)
        response = LeavableResponse(
            found.status_code, headers=found.headers, stream=found.stream, extensions=found.extensions
        )
        allowance = current()
        if allowance is not None:
            allowance.response = response
        return response

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


class LeavableResponse(httpx2.Response):
    """A response that can be left in the middle.

    Between its bytes and those who read them stands a row of asynchronous generators. The client lets go of them
    all at once when it has read enough, and then the loop closes each by itself, in any order: those that are about to
    close each other complain on the terminal.
    """

    _reading: AsyncGenerator[bytes, None] | None = None

    def aiter_bytes(self, chunk_size: int | None = None) -> AsyncGenerator[bytes, None]:
        """Return the generator that reads the body, and remember it."""
        self._reading = super().aiter_bytes(chunk_size)
        return self._reading

    async def leave(self) -> None:
        """Close the connection, and let the generators run into that, one after the other."""
        await self.aclose()
        if self._reading is not None:
            with suppress(Exception):  # whatever the closed connection is told as
                await anext(self._reading)


@frozen
class _Held:
    """A loop's pool, and the generator that closes it."""

    pool: httpx2.AsyncHTTPTransport
    holder: AsyncGenerator[httpx2.AsyncHTTPTransport, None]

    async def close(self) -> None:
        await self.holder.aclose()


@contextmanager
def _signed(request: httpx2.Request, key: Secret) -> Iterator[None]:
    """Put the key into a request, and take it out before anybody else can look at the request."""
    request.headers["x-goog-api-key"] = key.reveal()
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
        raise timeout(str(exc)) from exc
    except OSError as exc:
        raise failure(str(exc)) from exc
