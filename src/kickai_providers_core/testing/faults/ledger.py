"""What a fault server has been told to do, and what has come to it."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from kickai_providers_core.testing.faults.answers import Fault, Ok
from kickai_providers_core.testing.faults.bodies import REDIRECT_PATH, RedirectLoop

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.testing.faults.connection import Connection
    from kickai_providers_core.testing.faults.wire import Recorded, Wire

__all__ = ["Ledger"]


class Ledger:
    """The script and the record of a server. Safe to use from every thread.

    Attributes:
        wire: How the service speaks.
        default: What is done with a request when the script is empty.
        changed: Guards all of it, and is notified when something has come or gone.
        connections: Those that are open.
        clients: The addresses of all that have ever connected.
        errors: What the wire's own code has raised.
    """

    def __init__(self, wire: Wire, default: Fault | None = None) -> None:
        self.wire = wire
        self.default = default or Ok()
        self.changed = threading.Condition()
        self.connections: set[Connection] = set()
        self.clients: list[object] = []
        self.errors: list[Exception] = []
        self._script: deque[Fault] = deque()
        self._requests: list[Recorded] = []

    def script(self, *faults: Fault) -> None:
        """Say what is done with the next requests, one after the other; added to what was said before."""
        with self.changed:
            self._script.extend(faults)

    @property
    def requests(self) -> list[Recorded]:
        """The requests that have come in whole, oldest first."""
        with self.changed:
            return list(self._requests)

    @property
    def open_connections(self) -> int:
        """How many clients are connected now."""
        with self.changed:
            return len(self.connections)

    def wait_requests(self, count: int, timeout_s: float) -> bool:
        """Wait until so many requests have come in; say whether that came true in time."""
        return self.wait(lambda: len(self._requests) >= count, timeout_s)

    def wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition holds that something which comes or goes can change; say whether it did in time."""
        with self.changed:
            return self.changed.wait_for(condition, timeout_s)

    # What a connection tells, on the server's loop.

    def opened(self, connection: Connection) -> None:
        """Count a connection."""
        with self.changed:
            self.connections.add(connection)
            self.clients.append(connection.peer)
            self.changed.notify_all()

    def closed(self, connection: Connection) -> None:
        """Count a connection no more."""
        with self.changed:
            self.connections.discard(connection)
            self.changed.notify_all()

    def came(self, request: Recorded) -> Fault:
        """Record a request, and return what is to be done with it."""
        with self.changed:
            self._requests.append(request)
            self.changed.notify_all()
            if request.path.startswith(REDIRECT_PATH):
                return RedirectLoop()
            return self._script.popleft() if self._script else self.default

    def failed(self, error: Exception) -> None:
        """Keep an error, to be raised when the server is left."""
        with self.changed:
            self.errors.append(error)
