"""A TCP proxy that breaks connections in the ways in which networks and servers do."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

BLOCK = 65_536


class Proxy:
    """Forwards connections to a server, until a test sets another behaviour.

    Attributes:
        port: Its port.
        target: The port to which it forwards; tests may change it.
        accepted: The number of connections so far.
        received: The number of blocks that clients have sent so far.
        behaviour: What happens to what the server sends: ``forward`` it, ``swallow`` it, so that the connection is half
            open, replace it by ``garbage``, ``delay`` it, or ``drip`` it, a byte at a time.
        pause: The delay, or the time between two bytes, in seconds.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.accepted = 0
        self.received = 0
        self.behaviour = "forward"
        self.garbage = b"\x00\xff{}"
        self.pause = 0.02
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._ended = threading.Event()
        self.port = 0
        self.listen()

    def listen(self) -> None:
        """Accept connections, at the same port as before."""
        self._listener = listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse new connections, and cut those that there are."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def cut(self) -> None:
        """Close all connections."""
        with self._lock:
            connections, self._connections = self._connections, []
        for each in connections:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End everything."""
        self._ended.set()
        self.refuse()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=30)
            except OSError:
                client.close()
                continue
            with self._lock:
                self._connections += [client, server]
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_answer: bool = False) -> None:  # noqa: FBT002
        with suppress(OSError):
            source.settimeout(None)
            while data := source.recv(BLOCK):
                if is_answer:
                    self._answer(sink, data)
                else:
                    self.received += 1
                    sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()

    def _answer(self, sink: socket.socket, data: bytes) -> None:
        behaviour = self.behaviour
        if behaviour == "forward":
            sink.sendall(data)
        elif behaviour == "garbage":
            sink.sendall(self.garbage)
        elif behaviour == "delay":
            self._ended.wait(self.pause)
            sink.sendall(data)
        elif behaviour == "drip":
            for byte in data:
                sink.sendall(bytes([byte]))
                self._ended.wait(self.pause)
