"""A small HTTP/1.1 server on loopback that answers as a service does, or fails to in a given way."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Self

from kickai_providers_core.testing.faults.answers import Fault, Ok
from kickai_providers_core.testing.faults.bodies import REDIRECT_PATH, RedirectLoop
from kickai_providers_core.testing.faults.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from kickai_providers_core.testing.faults.wire import Recorded, Wire

__all__ = ["FaultServer"]

STOP_S = 10.0
"""How long leaving the server may take before that is an error: it only closes sockets."""


class FaultServer:
    """Serve on a thread and an event loop of its own; a context manager.

    It can be used from sync code, from any event loop and from several threads. When the block is left every
    connection is closed, the thread has ended and the socket is closed; what the wire's own code raised meanwhile is
    raised then, as an exception group.

    Attributes:
        wire: How the service speaks.
        default: What is done with a request when the script is empty.
        port: The port of 127.0.0.1 that it listens on; set on entry, as is
        url: its address, without a slash at the end.
    """

    def __init__(self, wire: Wire, default: Fault | None = None) -> None:
        self.wire = wire
        self.default = default or Ok()
        self._changed = threading.Condition()
        self._script: deque[Fault] = deque()
        self._requests: list[Recorded] = []
        self._errors: list[Exception] = []
        self._connections: set[Connection] = set()
        self._clients: list[object] = []

    def __enter__(self) -> Self:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
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
        if self._errors:
            told = "the wire, or the fault, failed on the server"
            raise ExceptionGroup(told, self._errors) from error

    def script(self, *faults: Fault) -> None:
        """Say what is done with the next requests, one after the other; added to what was said before."""
        with self._changed:
            self._script.extend(faults)

    @property
    def requests(self) -> list[Recorded]:
        """The requests that have come in whole, oldest first."""
        with self._changed:
            return list(self._requests)

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        with self._changed:
            return len(self._connections)

    @property
    def accepted_connections(self) -> int:
        """How many clients have ever connected, those included that the server has yet to notice."""
        self._catch_up()
        with self._changed:
            return len(self._clients)

    def wait_closed(self, timeout_s: float) -> bool:
        """Wait until no client is connected; say whether that came true in time."""
        self._catch_up()
        return self._wait(lambda: not self._connections, timeout_s)

    def _catch_up(self) -> None:
        """Wait until the server has noticed every client that is connected by now.

        The kernel hands connections out in the order in which they came: with one's own, all before it are there.
        """
        with socket.create_connection(("127.0.0.1", self.port)) as probe:
            address = probe.getsockname()
            self._wait(lambda: address in self._clients, STOP_S)
        with self._changed:
            self._clients.remove(address)

    def wait_requests(self, count: int, timeout_s: float) -> bool:
        """Wait until so many requests have come in; say whether that came true in time."""
        return self._wait(lambda: len(self._requests) >= count, timeout_s)

    def drop(self) -> None:
        """Close every client's connection, as a service does that is restarted."""
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            self._loop.call_soon_threadsafe(connection.abort)

    def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with self._changed:
            return self._changed.wait_for(condition, timeout_s)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        async with await loop.create_server(lambda: Connection(self), sock=self._socket) as server:
            await self._stop.wait()
            server.close()
            while connections := list(self._connections):  # again for one that was being accepted
                for connection in connections:
                    connection.abort()
                await asyncio.gather(*(connection.done for connection in connections), return_exceptions=True)

    # What a connection tells, on the server's loop.

    def opened(self, connection: Connection) -> None:
        """Count a connection."""
        with self._changed:
            self._connections.add(connection)
            self._clients.append(connection.peer)
            self._changed.notify_all()

    def closed(self, connection: Connection) -> None:
        """Count a connection no more."""
        with self._changed:
            self._connections.discard(connection)
            self._changed.notify_all()

    def came(self, request: Recorded) -> Fault:
        """Record a request, and return what is to be done with it."""
        with self._changed:
            self._requests.append(request)
            self._changed.notify_all()
            if request.path.startswith(REDIRECT_PATH):
                return RedirectLoop()
            return self._script.popleft() if self._script else self.default

    def failed(self, error: Exception) -> None:
        """Keep an error, to be raised when the server is left."""
        with self._changed:
            self._errors.append(error)
