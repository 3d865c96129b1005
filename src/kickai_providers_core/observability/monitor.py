"""The monitor: an observer that adds up events per minute, provider, model, role and arm."""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core.observability.unwritten_sums import UnwrittenSums
from kickai_providers_core.values.event_counting import COUNTED_EVENTS
from kickai_providers_core.values.events import AttemptEnded

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.values.events import Event
    from kickai_providers_core.values.metrics import Cell, CellKey

__all__ = ["QUEUED", "Monitor"]

QUEUED = 250
"""The most events in the queue, unless two threads meet: adding them takes less than a millisecond."""


class Monitor:
    """Adds up events until `drain` takes the sums. Safe to use from any thread, signal handler and finalizer.

    `observe` puts an event in a queue and never waits for another thread. `drain` empties the queue, and so does
    `observe` when there are `QUEUED` events: adding the events of one cell together takes less time. An event with an
    error is added at once, since its traceback keeps other objects alive.

    Args:
        wall: Returns the time in seconds since 1970.

    Attributes:
        on_first: Called before an event enters the empty queue.
    """

    def __init__(self, wall: Callable[[], float]) -> None:
        self.on_first: Callable[[], object] = lambda: None
        self._wall = wall
        self._queue: deque[tuple[float, Event | None]] = deque()
        self._lock = Lock()
        self._sums = UnwrittenSums()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to drain."""
        return self._sums.is_empty and not self._queue

    @property
    def lost_cells(self) -> int:
        """How many cells were dropped because nobody drained them."""
        return self._sums.lost_cells

    def observe(self, event: Event) -> None:
        """Add an event to the cell of the current minute."""
        if type(event) in COUNTED_EVENTS:
            queue = self._queue
            if not queue:
                self.on_first()
            queue.append((self._wall(), event))
            if len(queue) >= QUEUED or (isinstance(event, AttemptEnded) and event.attempt.error is not None):
                self._try_to_empty_queue()

    def count_failure(self) -> None:
        """Count a failure of the store."""
        self._queue.append((self._wall(), None))

    def drain(self) -> dict[CellKey, Cell]:
        """Return the cells since the last call, and start again from nothing."""
        with self._lock:
            self._empty_queue()
            return dict(self._sums.take())

    def renew_after_fork(self) -> None:
        """Drop all sums in a child: the parent writes them."""
        self._queue, self._lock, self._sums = deque(), Lock(), UnwrittenSums()

    def _try_to_empty_queue(self) -> None:
        """Add the events of the queue, unless another thread is doing that."""
        if self._lock.acquire(blocking=False):
            try:
                self._empty_queue()
            finally:
                self._lock.release()

    def _empty_queue(self) -> None:
        self._sums.add(self._queue)
