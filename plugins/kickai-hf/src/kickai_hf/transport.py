"""Transports whose timeouts hold: all the waits of one attempt share one bound.

An HTTP client's timeout is for one read, so that a server which sends a byte now and then is never too slow. Here the
network stream asks the attempt's own `Limit` before each operation, in the calling thread. Two waits are out of a
socket's reach and are bounded otherwise: the name of a host is looked up in a thread of its own, which is left behind
when the lookup hangs (only for a new connection, and never for an IP address), and the addresses of one host share the
time to connect.

asyncio needs none of this: there an attempt is cancelled from outside, and cancelling closes its connection.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, cast

import httpcore2
import httpx2
from kickai_providers_core.concurrency import threads

from kickai_hf import network
from kickai_hf.aio import READ_BYTES, AsyncioBackend
from kickai_hf.lookup import LookUp, addresses_of, is_address

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from kickai_hf.patience import Limit

__all__ = ["async_transport", "sync_transport", "trust"]

IDLE_S = 4.0
"""How long a connection is kept for the next call: less than the 5 s after which uvicorn (under vLLM) and llama.cpp
close it, for a request that meets a closing connection is lost."""


def trust(url: str) -> ssl.SSLContext:
    """Return what the certificates of a service are checked against.

    Loading the system's certificates takes longer than a small request, so this is done once for all transports; and
    not at all for an address without TLS, whose transports need a context all the same.
    """
    return httpx2.create_ssl_context() if url.startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def sync_transport(url: str, max_concurrency: int, trusted: ssl.SSLContext) -> httpcore2.ConnectionPool:
    """Return connections to one service, for all threads. Their requests carry a `Patience` as their timeout."""
    options = {**_options(max_concurrency, trusted), "network_backend": HeldBackend()}
    proxy = _proxy(url)
    if proxy is None:
        return httpcore2.ConnectionPool(**options)
    kind = httpcore2.SOCKSProxy if proxy["proxy_url"].scheme.startswith(b"socks") else httpcore2.HTTPProxy
    return kind(**proxy, **options)


def async_transport(url: str, max_concurrency: int, trusted: ssl.SSLContext) -> httpcore2.AsyncConnectionPool:
    """Return connections to one service, for one event loop; with the same timeout."""
    options = {**_options(max_concurrency, trusted), "network_backend": AsyncioBackend()}
    proxy = _proxy(url)
    if proxy is None:
        return httpcore2.AsyncConnectionPool(**options)
    kind = httpcore2.AsyncSOCKSProxy if proxy["proxy_url"].scheme.startswith(b"socks") else httpcore2.AsyncHTTPProxy
    return kind(**proxy, **options)


def _options(max_concurrency: int, trusted: ssl.SSLContext) -> dict[str, Any]:
    """Return what all pools are made with."""
    return {
        "ssl_context": trusted,
        "max_connections": max_concurrency,
        "max_keepalive_connections": max_concurrency,
        "keepalive_expiry": IDLE_S,
    }


def _proxy(url: str) -> dict[str, Any] | None:
    """Return the environment's proxy as httpcore2 takes it, or None."""
    named = network.proxy_url(url)
    if named is None:
        return None
    proxy = httpx2.Proxy(named)
    address = httpcore2.URL(
        scheme=proxy.url.raw_scheme, host=proxy.url.raw_host, port=proxy.url.port, target=proxy.url.raw_path
    )
    return {"proxy_url": address, "proxy_auth": proxy.raw_auth}


class HeldBackend(httpcore2.NetworkBackend):
    """Opens connections within the limit that is given as their timeout.

    Args:
        look_up: From a host and a port to IP addresses; may block.
    """

    def __init__(self, look_up: LookUp = addresses_of) -> None:
        self._look_up = look_up
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Return a stream to the first address of the host that answers; each gets its share of the time."""
        limit = cast("Limit", timeout)
        limit.begin("connect", limit)
        addresses = self._addresses(host, port, limit)
        failure: Exception = httpcore2.ConnectError("the host has no address")
        for number, address in enumerate(addresses):
            share = _left(limit, httpcore2.ConnectTimeout) / (len(addresses) - number)
            try:
                stream = self._sockets.connect_tcp(address, port, share, local_address, socket_options or ())
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as exc:
                failure = exc
            else:
                return HeldStream(stream)
        raise failure

    def _addresses(self, host: str, port: int, limit: Limit) -> list[str]:
        if is_address(host):
            return [host]
        try:
            return threads.call(lambda: self._look_up(host, port), _left(limit, httpcore2.ConnectTimeout))
        except TimeoutError as exc:
            raise httpcore2.ConnectTimeout("the name of the host was not looked up in time") from exc
        except (OSError, UnicodeError) as exc:
            raise httpcore2.ConnectError("the name of the host cannot be looked up") from exc


class HeldStream(httpcore2.NetworkStream):
    """A connection whose every operation ends with the limit that is given as its timeout.

    Attributes:
        has_read: Whether anything was read since the last write.
    """

    def __init__(self, stream: httpcore2.NetworkStream) -> None:
        self._stream = stream
        self.has_read = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes; none at the end."""
        self.has_read = True
        return self._stream.read(min(max_bytes, READ_BYTES), _left(timeout, httpcore2.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all the bytes. One after the other: a server that takes them slowly is not waited for anew each time."""
        cast("Limit", timeout).note_sending()
        self.has_read = False
        connection: socket.socket = self._stream.get_extra_info("socket")
        rest = memoryview(buffer)
        try:
            while rest:
                connection.settimeout(_left(timeout, httpcore2.WriteTimeout))
                rest = rest[connection.send(rest) :]
        except TimeoutError as exc:
            raise httpcore2.WriteTimeout(exc) from exc
        except OSError as exc:
            raise httpcore2.WriteError(exc) from exc

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        """Return the same connection, encrypted.

        Raises:
            httpcore2.ConnectError: The handshake failed; or it is encrypted already, as when the proxy itself is
                reached by TLS: `write` would go past the inner layer.
        """
        if self._stream.get_extra_info("ssl_object") is not None:
            raise httpcore2.ConnectError("TLS within TLS is not supported: use a proxy that is reached by http://")
        left = _left(timeout, httpcore2.ConnectTimeout)
        return HeldStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection below knows of itself."""
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def _left(timeout: float | None, over: type[Exception]) -> float:
    """Return the seconds that are left, above 0; raise when there are none."""
    left = cast("Limit", timeout).left()
    if left <= 0:
        raise over("the time is over")
    return left
