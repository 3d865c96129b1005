"""A small HTTP/1.1 server on loopback that responds like a service, or fails in a given way."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from kickai_providers_core.testing.faults.server.protocol import ConnectionProtocol
from kickai_providers_core.testing.faults.server.state import ServerState

if TYPE_CHECKING:
    from types import TracebackType

    from kickai_providers_core.testing.faults.exchange import Fault
    from kickai_providers_core.testing.faults.wire import Wire

__all__ = ["FaultServer"]

STOP_S = 60.0
"""How long stopping may take. It only closes sockets, so more than that is an error."""

BACKLOG = 1024
"""How many connections may wait to be accepted."""

ACCEPT_TURNS = 3
"""The turns of the event loop that asyncio takes from accepting a connection to ``connection_made``."""


class FaultServer(ServerState):
    """A server on its own thread and event loop; a context manager.

    It can be used from sync code, from any event loop and from several threads. At the end of the ``with`` block every
    connection is closed, the thread has ended and the socket is closed. Exceptions that the wire or a fault raised are
    then raised as an exception group.

    Attributes:
        wire: See `ServerState`.
        default: See `ServerState`.
        port: The port of 127.0.0.1; set when the server starts.
        url: The server's address without a trailing slash; set when the server starts.
    """

    def __init__(self, wire: Wire, default: Fault | None = None, *, listener: socket.socket | None = None) -> None:
        """Make a server; it serves inside a ``with`` block.

        Args:
            wire: How the service responds.
            default: What the server does with a request when the script is empty; a good answer when None.
            listener: A socket bound to a port of 127.0.0.1, which the server closes; a new one when None.
        """
        super().__init__(wire, default)
        self._listener = listener

    def __enter__(self) -> Self:
        self._socket = self._listener or socket.create_server(("127.0.0.1", 0))
        self._socket.listen(BACKLOG)
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="fault-server", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(STOP_S)
        if self._thread.is_alive():  # pragma: no cover - a wire that blocks
            message = f"the fault server did not stop within {STOP_S:g} s: a method of the wire may block"
            raise RuntimeError(message)
        if self.errors:
            message = "the wire, or a fault, raised an exception on the fault server"
            raise ExceptionGroup(message, self.errors) from error

    @property
    def accepted_connections(self) -> int:
        """How many clients have ever connected, including those that the server has not noticed yet."""
        self._catch_up()
        with self.changed:
            return len(self.clients)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until no client is connected; return whether that happened in time."""
        self._catch_up()
        return self.wait(lambda: not self.connections, timeout_s)

    def _catch_up(self) -> None:
        """Wait until the server has noticed every client that is connected by now.

        The kernel hands out connections in the order in which they arrived, so a new one comes after all others.
        """
        with socket.create_connection(("127.0.0.1", self.port)) as probe:
            address = probe.getsockname()
            self.wait(lambda: address in self.clients, STOP_S)
        with self.changed:
            self.clients.remove(address)

    def drop(self) -> None:
        """Close every client's connection, like a service that restarts."""
        with self.changed:
            connections = list(self.connections)
        for connection in connections:
            self._loop.call_soon_threadsafe(connection.abort)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(
            lambda: ConnectionProtocol(self), sock=self._socket, backlog=BACKLOG
        ) as server:
            await self._stop.wait()
            with suppress(NotImplementedError):  # the event loop of Windows has no readers
                loop.remove_reader(self._socket)  # accept no more
            for _ in range(ACCEPT_TURNS):
                await asyncio.sleep(0)
            server.close()
            while connections := list(self.connections):
                for connection in connections:
                    connection.abort()
                await asyncio.sleep(0)  # in which they are removed; waiting for tasks that have ended may take no turn
                await asyncio.gather(*(connection.done for connection in connections), return_exceptions=True)
