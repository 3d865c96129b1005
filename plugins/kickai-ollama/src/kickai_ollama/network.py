"""The sockets below the client. Each step on them is bounded by the time limits of its attempt.

httpcore passes the timeout of a request to the network stream, whatever its type. A request of ours carries an
`AttemptTimeouts` there, and the streams here ask it before each step how long that step may take.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore
from kickai_providers_core.concurrency import threads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    from kickai_providers_core.authoring import AttemptTimeouts

__all__ = ["AsyncNetwork", "Network"]

SLICE = 4096
"""Bytes written in one step: few enough to go out whole when a socket is writable, so that one step is one wait."""


def _left_s(timeouts: AttemptTimeouts, error: type[Exception]) -> float:
    left_s = timeouts.remaining_s()
    if left_s <= 0:
        raise error
    return left_s


def _begin_sending(timeouts: AttemptTimeouts) -> None:
    """End the time to connect: the connection is there, and the request is being sent."""
    if not timeouts.is_connected:
        timeouts.begin("first_token")


class _Stream(httpcore.NetworkStream):
    """A connection to a server, for blocking calls."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        return self._inner.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: Any = None) -> None:
        _begin_sending(timeout)
        for start in range(0, len(buffer), SLICE):
            self._inner.write(buffer[start : start + SLICE], _left_s(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        # Closing a socket does not wake the thread that reads from it; shutting it down does.
        with suppress(OSError):
            self._inner.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> httpcore.NetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class Network(httpcore.NetworkBackend):
    """Opens connections for blocking calls. Safe to share between threads."""

    def __init__(self) -> None:
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of the host that accepts, each having its fair share of the time."""
        addresses = _addresses(host, port, timeout)
        for left in range(len(addresses), 0, -1):
            share_s = _left_s(timeout, httpcore.ConnectTimeout) / left
            try:
                return _Stream(self._inner.connect_tcp(addresses[-left], port, share_s, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if left == 1:
                    raise
        raise httpcore.ConnectError


def _addresses(host: str, port: int, timeouts: AttemptTimeouts) -> list[str]:
    """Return the IP addresses of a host, asking the resolver on a thread: it knows no timeout."""
    try:
        return [str(ipaddress.ip_address(host))]
    except ValueError:
        pass
    left_s = _left_s(timeouts, httpcore.ConnectTimeout)
    try:
        found = threads.call(lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM), left_s)
    except TimeoutError:
        raise httpcore.ConnectTimeout from None
    except OSError as exc:
        raise httpcore.ConnectError(exc) from exc  # the pool raises it anew without its cause
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class _AsyncStream(httpcore.AsyncNetworkStream):
    """A connection to a server, for the event loop that opened it."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: Any = None) -> bytes:  # noqa: ASYNC109  as httpcore has it
        return await self._inner.read(max_bytes, _left_s(timeout, httpcore.ReadTimeout))

    async def write(self, buffer: bytes, timeout: Any = None) -> None:  # noqa: ASYNC109
        _begin_sending(timeout)
        await self._inner.write(buffer, _left_s(timeout, httpcore.WriteTimeout))

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: Any = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _AsyncStream(await self._inner.start_tls(ssl_context, server_hostname, left_s))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class AsyncNetwork(httpcore.AsyncNetworkBackend):
    """Opens connections for the running event loop."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: Any = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to whichever address of the host accepts first."""
        left_s = _left_s(timeout, httpcore.ConnectTimeout)
        return _AsyncStream(await self._inner.connect_tcp(host, port, left_s, local_address, socket_options))
