"""Counts requests and their results, in constant memory."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from kickai_providers_core.values.events import AttemptEnded, Queued, RequestEnded, RequestStarted

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event

__all__ = ["Ledger"]


class Ledger:
    """Counts each request twice: as its caller sees it, and as the events report it.

    Attributes:
        started: How many requests callers have made.
        ends: How they ended for their callers: ``reply``, ``cancelled``, or the class of a typed error.
        ways: The same for each way of calling.
        strange: Untyped errors that reached a caller.
        reported: How they ended according to the events.
        wrong: Impossible events: an end without a start, or a second start.
        calls: How the calls of providers ended, according to the events.
        queued: How many requests waited in the queue.
        longest_queue: The length of the longest queue.
        slowest_s: How long the slowest request took.
    """

    def __init__(self) -> None:
        self.started = 0
        self.ends: Counter[str] = Counter()
        self.ways: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.strange: Counter[str] = Counter()
        self.reported: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.queued = 0
        self.longest_queue = 0
        self.wrong = 0
        self.slowest_s = 0.0
        self._open: set[int] = set()
        self._lock = threading.Lock()

    def observe(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, RequestStarted):
            with self._lock:
                self.wrong += event.request in self._open
                self._open.add(event.request)
        elif isinstance(event, RequestEnded):
            with self._lock:
                self.wrong += event.request not in self._open
                self._open.discard(event.request)
                self.reported[event.error or event.outcome] += 1
        elif isinstance(event, AttemptEnded):
            with self._lock:
                self.calls[event.attempt.outcome.value] += 1
        elif isinstance(event, Queued):
            with self._lock:
                self.queued += 1
                self.longest_queue = max(self.longest_queue, event.ahead + 1)

    def record_start(self) -> None:
        """Count a request at its start."""
        with self._lock:
            self.started += 1

    def record_end(self, way: str, how: str, took_s: float, *, strange: bool = False) -> None:
        """Count a request at its end, by its way of calling and its result."""
        with self._lock:
            self.ways[way][how] += 1
            (self.strange if strange else self.ends)[how] += 1
            self.slowest_s = max(self.slowest_s, took_s)

    @property
    def open(self) -> int:
        """How many requests have started and not ended."""
        return len(self._open)

    @property
    def failing(self) -> float:
        """The share of failed calls of providers, without the cancelled ones."""
        failed, answered = self.calls["error"], self.calls["success"]
        return failed / max(1, failed + answered)

    def check(self) -> None:
        """Compare both counts."""
        assert not self.strange
        assert self.wrong == 0
        assert self.open == 0
        assert sum(self.ends.values()) == self.started
        typed = {("success" if name == "reply" else name): count for name, count in self.ends.items()}
        assert dict(self.reported) == typed
