"""Network backends for httpcore and httpcore2 whose every operation ends with the limits of its attempt.

httpcore passes the timeout of a request, whatever it is, to the network stream. The requests of
`kickai_providers_core.authoring.http_transport` carry a `RequestTimeout` there instead of a number. Neither library is
imported here: the backends get the module as an argument, and raise its exceptions.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kickai_providers_core.concurrency import threads

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from types import ModuleType

    from kickai_providers_core.plugin_api.attempt_timer import AttemptTimeouts

__all__ = [
    "READ_BYTES",
    "BoundedBackend",
    "BoundedStream",
    "RequestTimeout",
    "StreamState",
    "is_ip_address",
    "look_up_host",
]

WRITE_BYTES = 4096
"""Bytes written in one step: they leave whole when the socket is writable, so that one step is one wait."""

READ_BYTES = 16 * 1024
"""Bytes read at once: h11 parses them without a pause, and takes half a second for 64 KiB of tiny chunks."""


def look_up_host(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host, in the order in which to try them; may block without a limit.

    Raises:
        OSError: The host is unknown.
        UnicodeError: It is not a valid name.
    """
    return list(dict.fromkeys(str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))


@frozen
class RequestTimeout:
    """What a request carries as its timeout.

    Attributes:
        timeouts: The limits of the attempt.
        is_secure: Whether the address is an ``https://`` one: the connection is then made once TLS is set up.
    """

    timeouts: AttemptTimeouts
    is_secure: bool

    def wait_s(self, error: type[Exception]) -> float:
        """Return the seconds that the next step may wait, more than 0; raise ``error`` when there are none."""
        remaining_s = self.timeouts.remaining_s()
        if remaining_s <= 0:
            raise error("the time is over")
        return remaining_s

    def note_write(self, *, is_encrypted: bool) -> None:
        """Begin the wait for the first token when this is the first write on a connection that is made."""
        if not self.timeouts.is_connected and (is_encrypted or not self.is_secure):
            self.timeouts.begin("first_token")

    def note_handshake(self) -> None:
        """Count the TLS handshake as connecting, also behind a proxy that is itself reached by TLS."""
        if self.timeouts.is_connected:
            self.timeouts.begin("connect")


class StreamState:
    """What the streams of both kinds know.

    Attributes:
        httpcore: The module whose exceptions they raise.
        is_encrypted: Whether TLS is set up.
        has_read: Whether anything was read since the last write.
    """

    def __init__(self, httpcore: ModuleType, timeout: RequestTimeout, *, is_encrypted: bool = False) -> None:
        self.httpcore = httpcore
        self._timeout = timeout
        self.is_encrypted = is_encrypted
        self.has_read = False

    def choose_timeout(self, timeout: Any) -> RequestTimeout:
        """Return the timeout of a step; the one of the step before when httpcore passes none, as for SOCKS."""
        if isinstance(timeout, RequestTimeout):
            self._timeout = timeout
        return self._timeout

    def read_wait_s(self, timeout: Any) -> float:
        """Return the seconds that a read may wait, and note the read."""
        self.has_read = True
        return self.choose_timeout(timeout).wait_s(self.httpcore.ReadTimeout)

    def note_write(self, timeout: Any) -> RequestTimeout:
        """Return the timeout of a write, and note the write."""
        bound = self.choose_timeout(timeout)
        bound.note_write(is_encrypted=self.is_encrypted)
        self.has_read = False
        return bound


class BoundedBackend:
    """Opens connections for blocking calls. Safe to share between threads.

    Args:
        httpcore: The module ``httpcore`` or ``httpcore2``.
        look_up: Returns the IP addresses of a host and port; may block, and runs in a thread of its own.
    """

    def __init__(self, httpcore: ModuleType, look_up: Callable[[str, int], list[str]] = look_up_host) -> None:
        self._httpcore = httpcore
        self._look_up = look_up
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self, host: str, port: int, timeout: Any = None, local_address: str | None = None, socket_options: Any = None
    ) -> BoundedStream:
        """Return a connection to the first address of the host that accepts; each gets its share of the time."""
        httpcore = self._httpcore
        timeout.timeouts.begin("connect")
        failure: Exception = httpcore.ConnectError("the host has no address")
        addresses = self._find_addresses(host, port, timeout)
        for number, address in enumerate(addresses):
            share_s = timeout.wait_s(httpcore.ConnectTimeout) / (len(addresses) - number)
            try:
                stream = self._sockets.connect_tcp(address, port, share_s, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
            else:
                return BoundedStream(httpcore, stream, timeout)
        raise failure

    def _find_addresses(self, host: str, port: int, timeout: RequestTimeout) -> list[str]:
        if is_ip_address(host):
            return [host]
        httpcore = self._httpcore
        wait_s = timeout.wait_s(httpcore.ConnectTimeout)
        try:
            return threads.call(lambda: self._look_up(host, port), wait_s)
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(exc) from exc
        except (OSError, UnicodeError) as exc:
            raise httpcore.ConnectError(exc) from exc  # as an argument too: the pool drops the cause


class BoundedStream(StreamState):
    """A connection for blocking calls."""

    def __init__(
        self, httpcore: ModuleType, stream: Any, timeout: RequestTimeout, *, is_encrypted: bool = False
    ) -> None:
        super().__init__(httpcore, timeout, is_encrypted=is_encrypted)
        self._stream = stream

    def read(self, max_bytes: int, timeout: Any = None) -> bytes:
        """Return the next bytes; none at the end."""
        wait_s = self.read_wait_s(timeout)
        data: bytes = self._stream.read(min(max_bytes, READ_BYTES), wait_s)
        return data

    def write(self, buffer: bytes, timeout: Any = None) -> None:
        """Send all the bytes, however slowly the other side takes them, within the limits."""
        bound = self.note_write(timeout)
        for start in range(0, len(buffer), WRITE_BYTES):
            wait_s = bound.wait_s(self.httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + WRITE_BYTES], wait_s)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: Any = None
    ) -> BoundedStream:
        """Return the same connection, encrypted."""
        bound = self.choose_timeout(timeout)
        bound.note_handshake()
        wait_s = bound.wait_s(self.httpcore.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, wait_s)
        return BoundedStream(self.httpcore, stream, bound, is_encrypted=True)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself."""
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        """Close the connection, and wake a thread that reads from it."""
        with suppress(OSError):
            # Not the method of a TLS socket, which drops the session while another thread reads.
            socket.socket.shutdown(self._stream.get_extra_info("socket"), socket.SHUT_RDWR)
        self._stream.close()


def is_ip_address(host: str) -> bool:
    """Return whether a host is an IP address, which needs no look-up."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
