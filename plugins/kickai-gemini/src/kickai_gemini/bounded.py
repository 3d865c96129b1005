"""Sockets that hold the time of one request, whatever the other side does.

The timeouts of HTTP clients bound one read at a time, so that a server which sends a byte now and then is waited for
without end. Here every operation on a socket gets what is left of its request's `Allowance` instead.

The allowance travels in a context variable, since neither client has a way to hand one down to its sockets.
"""

from __future__ import annotations

import socket
import ssl
import time
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.values.errors import TimeoutPhase

__all__ = ["Allowance", "BoundedSocket", "BoundedTLSSocket", "current", "dial"]

SLACK_S = 0.005
"""A wait that ended so little before its time is up has run out: clocks and timers differ by less."""

_current: ContextVar[Allowance | None] = ContextVar("kickai_gemini_allowance", default=None)


class Allowance:
    """The time of one request, and what it is using: a socket, or with asyncio a response.

    One thread, or one task, uses it; `abort` may be called from any.

    Attributes:
        response: The response to read, as the transport received it.
        secure: Whether the connection counts as made only once TLS is set up, through a proxy or not.
    """

    def __init__(
        self,
        timeout_s: float,
        connect_timeout_s: float,
        clock: Callable[[], float] = time.monotonic,
        *,
        secure: bool = False,
    ) -> None:
        self.secure = secure
        self._clock = clock
        self._connect_timeout_s = connect_timeout_s
        self._end = self._until = clock() + timeout_s
        self._connected_by: float | None = None
        self._phase: TimeoutPhase = "total"
        self._lock = Lock()
        self._socket: socket.socket | None = None
        self._aborted = False
        self.response: Any = None

    @property
    def phase(self) -> TimeoutPhase:
        """Which bound is the nearest: the one that has run out once `over` says so."""
        return "connect" if self._nearest() < self._until else self._phase

    def _nearest(self) -> float:
        return self._until if self._connected_by is None else min(self._until, self._connected_by)

    def narrow(self, phase: TimeoutPhase, seconds: float) -> None:
        """Bound what follows to so many seconds from now, and to what is left of the whole."""
        until = self._clock() + seconds
        self._until, self._phase = (until, phase) if until < self._end else (self._end, "total")

    def connecting(self) -> None:
        """Bound what follows to the time for connecting as well, until `connected` is called."""
        self._connected_by = self._clock() + self._connect_timeout_s

    def connected(self, *, secure: bool) -> None:
        """Lift the bound for connecting, once the connection is as secure as it has to be."""
        if secure or not self.secure:
            self._connected_by = None

    @property
    def reached(self) -> bool:
        """Whether the service was reached: no connection is in the making."""
        return self._connected_by is None

    def remaining_s(self) -> float:
        """Return the seconds until the nearest bound, more than 0.

        Raises:
            TimeoutError: There are none left, or the request was given up.
        """
        left_s = self._nearest() - self._clock()
        if left_s <= 0 or self._aborted:
            message = "the time of this request is spent"
            raise TimeoutError(message)
        return left_s

    def over(self) -> bool:
        """Say whether the nearest bound has been reached."""
        return self._nearest() - self._clock() < SLACK_S

    @contextmanager
    def governs(self) -> Iterator[None]:
        """Let this allowance bound what bounded sockets do in the block."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def hold(self, used: socket.socket) -> None:
        """Note the socket that is about to be used, and give it the time that is left.

        Raises:
            TimeoutError: As in `remaining_s`.
        """
        with self._lock:
            self._socket = used
            used.settimeout(self.remaining_s())

    def finished(self) -> None:
        """Let go of the socket: it may serve another request from now on."""
        with self._lock:
            self._socket = None

    def abort(self) -> None:
        """Give the request up: whoever waits on its socket is woken, and the connection ends."""
        with self._lock:
            self._aborted = True
            if self._socket is not None:
                # Not the socket's own method: that of a TLS socket drops the session under the reader's feet.
                with suppress(OSError):
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def current() -> Allowance | None:
    """Return the allowance that governs the running code."""
    return _current.get()


class _Bounded(socket.socket):
    """What both kinds of sockets do before each operation. An idle socket, outside any request, is left alone."""

    def _bound(self) -> Allowance | None:
        allowance = _current.get()
        if allowance is not None:
            allowance.hold(self)
        return allowance

    def recv(self, *args: Any) -> bytes:
        self._bound()
        return super().recv(*args)

    def recv_into(self, *args: Any) -> int:
        self._bound()
        return super().recv_into(*args)

    def send(self, data: Any, flags: int = 0) -> int:
        self._bound()
        return super().send(data, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self._bound()
        super().sendall(data, flags)


class BoundedSocket(_Bounded):
    """A TCP socket whose every operation ends with the allowance of its request."""


class BoundedTLSSocket(_Bounded, ssl.SSLSocket):
    """The same over TLS. A context makes it: see `kickai_gemini.network.tls_context`."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT002  the standard library's own signature
        """Shake hands within the time for connecting."""
        allowance = self._bound()
        super().do_handshake(block)
        if allowance is not None:
            allowance.connected(secure=True)


def dial(host: str, port: int) -> BoundedSocket:
    """Return a connected socket.

    Raises:
        TimeoutError: The time for connecting, or that of the request, is spent.
        OSError: The name is unknown, or no address of it accepts.
    """
    allowance = _current.get()
    if allowance is None:  # pragma: no cover - every call of this package sets one
        message = "a bounded socket is dialled within an allowance"
        raise RuntimeError(message)
    allowance.connecting()
    addresses = _addresses(host, port, allowance)
    failure: OSError = OSError("the name has no address")
    for left, (family, kind, protocol, _, address) in zip(range(len(addresses), 0, -1), addresses, strict=True):
        sock = BoundedSocket(family, kind, protocol)
        try:
            allowance.hold(sock)
            sock.settimeout(allowance.remaining_s() / left)  # an address that is dead leaves time for the others
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as exc:
            sock.close()
            failure = exc
        else:
            allowance.connected(secure=False)
            return sock
    raise failure


def _addresses(host: str, port: int, allowance: Allowance) -> list[Any]:
    """Look a name up. The system's resolver knows no timeout, so it is asked in a thread that can be left."""
    with suppress(socket.gaierror):
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    found: SimpleQueue[list[Any] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            found.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except OSError as exc:
            found.put(exc)

    Thread(target=look_up, name="kickai-gemini-resolve", daemon=True).start()
    try:
        answer = found.get(timeout=allowance.remaining_s())
    except Empty:
        message = "the name was not resolved in time"
        raise TimeoutError(message) from None
    if isinstance(answer, OSError):
        raise answer
    return answer
