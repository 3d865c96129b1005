"""Addresses that no client may use: nothing listens, nothing accepts, no TLS, or a certificate that nobody trusts."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SelfSigned", "Unreachable", "blackhole", "closed_port", "fill_backlog", "no_tls", "self_signed"]

CERTIFICATE = Path(__file__).with_name("self_signed.pem")

FILL = 64
"""More connections than any system completes for a listener with a backlog of zero."""


class Unreachable(Enum):
    """Why a client cannot connect."""

    REFUSED = "refused"
    """Nothing listens on the port."""
    HANGS = "hangs"
    """The port accepts no connections: connecting takes until the client gives up."""


def closed_port() -> int:
    """Return a port of 127.0.0.1 that refuses connections.

    It is below 1024: no system assigns such a port by itself, so it stays closed.

    Raises:
        RuntimeError: None of these ports refuses connections.
    """
    for port in range(1, 1024):
        with socket.socket() as visitor:
            visitor.settimeout(0.1)
            try:
                visitor.connect(("127.0.0.1", port))
            except ConnectionRefusedError:
                return port
            except OSError:
                continue
    message = "no port below 1024 refuses connections"
    raise RuntimeError(message)


@contextmanager
def blackhole() -> Iterator[int]:
    """Give a port of 127.0.0.1 that accepts no connection: connecting to it hangs until the client gives up.

    The listener's queue is full and stays so; Linux drops further attempts to connect.
    """
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        fill_backlog(listener, stack)
        yield int(listener.getsockname()[1])


def fill_backlog(listener: socket.socket, visitors: ExitStack) -> None:
    """Make a bound socket listen, and connect to it until it accepts no further connection.

    Args:
        listener: The bound socket.
        visitors: Gets the connections; once they are closed the socket accepts others again.
    """
    listener.listen(0)
    for _ in range(FILL):
        visitor = visitors.enter_context(socket.socket())
        visitor.settimeout(0.05)
        try:
            visitor.connect(listener.getsockname())
        except TimeoutError:
            break


@contextmanager
def no_tls() -> Iterator[int]:
    """Give a port of 127.0.0.1 that answers every connection in plain text: a TLS handshake with it fails at once."""

    def greet(listener: socket.socket) -> None:
        while True:
            try:
                visitor, _ = listener.accept()
            except OSError:  # shut down
                return
            with visitor:
                visitor.sendall(b"220 no TLS here\r\n")

    with ThreadPoolExecutor(1, "no-tls") as threads, socket.create_server(("127.0.0.1", 0)) as listener:
        threads.submit(greet, listener)
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)


class SelfSigned:
    """A port of 127.0.0.1 that speaks TLS with a certificate that nobody trusts.

    Attributes:
        port: The port.
        received: What clients sent after they had accepted the certificate.
    """

    def __init__(self, listener: socket.socket) -> None:
        self.port = int(listener.getsockname()[1])
        self.received = b""
        self._listener = listener
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(CERTIFICATE)

    def serve(self) -> None:
        """Accept clients until the listener is shut down."""
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:  # shut down
                return
            with visitor:
                visitor.settimeout(1.0)
                try:
                    with self._context.wrap_socket(visitor, server_side=True) as line:
                        self.received += line.recv(65536)
                except OSError:  # the client refused the certificate
                    continue


@contextmanager
def self_signed() -> Iterator[SelfSigned]:
    """Give a port that speaks TLS with a self-signed certificate: a client must refuse it before it sends anything."""
    with ThreadPoolExecutor(1, "self-signed") as threads, socket.create_server(("127.0.0.1", 0)) as listener:
        server = SelfSigned(listener)
        threads.submit(server.serve)
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
