"""A small HTTP/1.1 server on loopback that answers as a service does, or fails to in a given way."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import TYPE_CHECKING, Self

from kickai_providers_core.testing.faults.connection import Connection
from kickai_providers_core.testing.faults.ledger import Ledger

if TYPE_CHECKING:
    from types import TracebackType

    from kickai_providers_core.testing.faults.answers import Fault
    from kickai_providers_core.testing.faults.wire import Wire

__all__ = ["FaultServer"]

STOP_S = 60.0
"""How long leaving the server may take before that is an error: it only closes sockets."""

BACKLOG = 1024
"""How many connections may wait to be accepted."""


class FaultServer(Ledger):
    """Serve on a thread and an event loop of its own; a context manager.

    It can be used from sync code, from any event loop and from several threads. When the block is left every
    connection is closed, the thread has ended and the socket is closed; what the wire's own code raised meanwhile is
    raised then, as an exception group.

    Attributes:
        wire: As in `Ledger`, as is
        default: what is done when the script is empty.
        port: The port of 127.0.0.1 that it listens on; set on entry, as is
        url: its address, without a slash at the end.
    """

    def __init__(self, wire: Wire, default: Fault | None = None, *, listener: socket.socket | None = None) -> None:
        """Make a server; it serves inside a ``with`` block.

        Args:
            wire: How the service speaks.
            default: What the server does with a request when the script is empty; a good answer when None.
            listener: A socket that is bound to a port of 127.0.0.1, which the server then closes; a new one when None.
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
            told = "the fault server did not stop: does the wire block?"
            raise RuntimeError(told)
        if self.errors:
            told = "the wire, or the fault, failed on the server"
            raise ExceptionGroup(told, self.errors) from error

    @property
    def accepted_connections(self) -> int:
        """How many clients have ever connected, those included that the server has yet to notice."""
        self._catch_up()
        with self.changed:
            return len(self.clients)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until no client is connected; say whether that came true in time."""
        self._catch_up()
        return self.wait(lambda: not self.connections, timeout_s)

    def _catch_up(self) -> None:
        """Wait until the server has noticed every client that is connected by now.

        The kernel hands connections out in the order in which they came: with one's own, all before it are there.
        """
        with socket.create_connection(("127.0.0.1", self.port)) as probe:
            address = probe.getsockname()
            self.wait(lambda: address in self.clients, STOP_S)
        with self.changed:
            self.clients.remove(address)

    def drop(self) -> None:
        """Close every client's connection, as a service does that is restarted."""
        with self.changed:
            connections = list(self.connections)
        for connection in connections:
            self._loop.call_soon_threadsafe(connection.abort)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: Connection(self), sock=self._socket, backlog=BACKLOG) as server:
            await self._stop.wait()
            server.close()
            while connections := list(self.connections):  # again for one that was being accepted
                for connection in connections:
                    connection.abort()
                await asyncio.gather(*(connection.done for connection in connections), return_exceptions=True)
