"""What a fault server is scripted to do, and what it has received."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from kickai_providers_core.testing.faults.catalog.answers import Ok
from kickai_providers_core.testing.faults.catalog.wrong_responses import REDIRECT_PATH, RedirectLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.testing.faults.exchange import Fault
    from kickai_providers_core.testing.faults.server.protocol import ConnectionProtocol
    from kickai_providers_core.testing.faults.wire import Recorded, Wire

__all__ = ["ServerState"]


class ServerState:
    """The script, the requests and the connections of a server. Safe to use from every thread.

    Attributes:
        wire: How the service responds.
        default: What the server does with a request when the script is empty.
        changed: Guards the state; notified whenever a connection or a request comes or goes.
        connections: The open connections.
        clients: The addresses of all clients that have ever connected.
        errors: The exceptions that the wire or a fault raised.
    """

    def __init__(self, wire: Wire, default: Fault | None = None) -> None:
        self.wire = wire
        self.default = default or Ok()
        self.changed = threading.Condition()
        self.connections: set[ConnectionProtocol] = set()
        self.clients: list[object] = []
        self.errors: list[Exception] = []
        self._script: deque[Fault] = deque()
        self._requests: list[Recorded] = []

    def script(self, *faults: Fault) -> None:
        """Append faults to the script: the server plays one for each request, in this order."""
        with self.changed:
            self._script.extend(faults)

    @property
    def requests(self) -> list[Recorded]:
        """The requests that have arrived completely, oldest first."""
        with self.changed:
            return list(self._requests)

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        with self.changed:
            return len(self.connections)

    def wait_requests(self, count: int, timeout_s: float) -> bool:
        """Wait until this many requests have arrived; return whether they did in time."""
        return self.wait(lambda: len(self._requests) >= count, timeout_s)

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition on the state holds; return whether it did in time."""
        with self.changed:
            return self.changed.wait_for(condition, timeout_s)

    # Called by the connections, on the server's event loop.

    def add_connection(self, connection: ConnectionProtocol) -> None:
        """Add an open connection."""
        with self.changed:
            self.connections.add(connection)
            self.clients.append(connection.peer)
            self.changed.notify_all()

    def remove_connection(self, connection: ConnectionProtocol) -> None:
        """Remove a connection that has ended."""
        with self.changed:
            self.connections.discard(connection)
            self.changed.notify_all()

    def take_fault(self, request: Recorded) -> Fault:
        """Record a request; return the fault to play for it."""
        with self.changed:
            self._requests.append(request)
            self.changed.notify_all()
            if request.path.startswith(REDIRECT_PATH):
                return RedirectLoop()
            return self._script.popleft() if self._script else self.default

    def add_error(self, error: Exception) -> None:
        """Keep an exception, to be raised when the server stops."""
        with self.changed:
            self.errors.append(error)
