"""Sockets that end with the time limits of the attempt that uses them, whatever the other side does.

The timeouts of HTTP libraries limit one read each, so a server that sends a byte now and then is never late. Here each
operation of a socket gets the time that is left of its `kickai_gemini.attempt.Attempt`.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

from kickai_providers_core import ProviderError

from kickai_gemini.attempt import current_attempt

if TYPE_CHECKING:
    from kickai_gemini.attempt import Attempt

__all__ = ["BoundedSocket", "BoundedTLSSocket", "dial"]


class _Bounded(socket.socket):
    """What both kinds of sockets do before each operation; outside any attempt, nothing."""

    _is_tls = False

    def _prepare(self, *, sends: bool = False) -> None:
        attempt = current_attempt()
        if attempt is not None:
            if sends:
                attempt.note_sending(is_tls=self._is_tls)
            attempt.use(self)

    def recv(self, *args: Any) -> bytes:
        self._prepare()
        return super().recv(*args)

    def recv_into(self, *args: Any) -> int:
        self._prepare()
        return super().recv_into(*args)

    def send(self, data: Any, flags: int = 0) -> int:
        self._prepare(sends=True)
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._prepare(sends=True)
        super().sendall(data, flags)


class BoundedSocket(_Bounded):
    """A TCP socket whose every operation ends with its attempt."""


class BoundedTLSSocket(_Bounded, ssl.SSLSocket):
    """The same over TLS. A context makes it: see `kickai_gemini.network.create_tls_context`."""

    _is_tls = True

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002  the standard library's signature
        """Shake hands within the time for connecting."""
        self._prepare()
        super().do_handshake(block)


def dial(host: str, port: int) -> BoundedSocket:
    """Return a socket that is connected within the current attempt.

    Raises:
        ProviderTimeoutError: The time for connecting, or the attempt's, is over.
        OSError: The name is unknown, or no address of it accepts.
    """
    attempt = current_attempt()
    if attempt is None:  # pragma: no cover - every call of this package sets one
        message = "a bounded socket connects within an attempt"
        raise RuntimeError(message)
    addresses = _look_up(host, port, attempt)
    failure: OSError = OSError("the name has no address")
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        sock = BoundedSocket(family, kind, protocol)
        try:
            attempt.use(sock)
            sock.settimeout(attempt.timeouts.wait_s() / left)  # an address that does not respond leaves time for others
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except (OSError, ProviderError) as exc:
            sock.close()
            if not isinstance(exc, OSError):
                raise
            failure = exc
        else:
            return sock
    raise failure


def _look_up(host: str, port: int, attempt: Attempt) -> list[Any]:
    """Look a name up. The system's resolver has no timeout, so it runs in a thread that can be abandoned."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    results: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def resolve() -> None:
        try:
            results.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as exc:
            results.put(exc)

    Thread(target=resolve, name="kickai-gemini-resolve", daemon=True).start()
    try:
        result = results.get(timeout=attempt.timeouts.wait_s())
    except Empty:
        message = "the name was not resolved in time"
        raise TimeoutError(message) from None
    if isinstance(result, OSError):
        raise result
    return result
