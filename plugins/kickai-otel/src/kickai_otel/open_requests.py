"""The requests that have started and not ended."""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from attrs import define, field, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

__all__ = ["SYSTEM_CLOCKS", "Clocks", "OpenRequest", "OpenRequests"]

NANOSECONDS = 1_000_000_000

TargetKey = tuple[str, str | None]
"""An instance and its model."""


@frozen(kw_only=True)
class Clocks:
    """The clocks, both in nanoseconds.

    Attributes:
        wall_ns: The time since the epoch.
        monotonic_ns: A clock that is never set.
    """

    wall_ns: Callable[[], int] = time.time_ns
    monotonic_ns: Callable[[], int] = time.monotonic_ns


SYSTEM_CLOCKS = Clocks()


@define(kw_only=True, eq=False)
class OpenRequest:
    """What is kept of a request until it ends.

    Attributes:
        span: Its span.
        context: The context in which its attempts' spans are created.
        deadline_s: Seconds that it may take.
        started_ns: When it started, since the epoch.
        started_monotonic_ns: When it started, on the monotonic clock.
        pid: The process in which it started.
        timeouts: The timeouts of its attempts, by target and number, in seconds.
        queued: When it entered the queues in which it waits, on the monotonic clock.
    """

    span: Span
    context: Context
    deadline_s: float
    started_ns: int
    started_monotonic_ns: int
    pid: int
    timeouts: dict[tuple[str, str | None, int], float] = field(factory=dict)
    queued: dict[TargetKey, int] = field(factory=dict)

    @property
    def is_foreign(self) -> bool:
        """Whether it started in the process that forked this one, where it ends."""
        return self.pid != os.getpid()

    def compute_time_ns(self, elapsed_s: float) -> int:
        """Return the time since the epoch that lies some seconds after its start."""
        return self.started_ns + int(elapsed_s * NANOSECONDS)

    def convert_monotonic_ns(self, monotonic_ns: int) -> int:
        """Return the time since the epoch for a monotonic time, unaffected by steps of the wall clock."""
        return self.started_ns + monotonic_ns - self.started_monotonic_ns


class OpenRequests:
    """The open requests by number, at most a fixed number of them.

    A request may never end: a stream can be dropped in a thread that dies. Safe to use from any thread and in forked
    processes: it takes no lock, since each operation on the dictionary is atomic.

    Args:
        limit: The maximum number of open requests.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._open: OrderedDict[int, OpenRequest] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def add(self, number: int, request: OpenRequest) -> Iterator[OpenRequest]:
        """Add a request, and yield those that are removed: one of the same number, and the oldest beyond the limit."""
        replaced = self._open.pop(number, None)
        if replaced is not None:
            yield replaced
        self._open[number] = request
        while len(self._open) > self._limit:
            try:
                _, oldest = self._open.popitem(last=False)
            except KeyError:  # other threads have removed the rest
                return
            yield oldest

    def find(self, number: int) -> OpenRequest | None:
        """Return an open request, or None."""
        return self._open.get(number)

    def remove(self, number: int) -> OpenRequest | None:
        """Remove and return an open request; None if it is not open."""
        return self._open.pop(number, None)
