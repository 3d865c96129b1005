"""Who is asked and how it ends: kept in a few numbers, however long the traffic goes on."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from kickai_providers_core.values.events import AttemptEnded, Queued, RequestEnded, RequestStarted

if TYPE_CHECKING:
    from kickai_providers_core.values.events import Event

__all__ = ["Ledger"]


class Ledger:
    """Counts each request twice: as its caller sees it end, and as the events tell it.

    Attributes:
        asked: How many requests callers have made.
        ends: How callers saw them end: ``reply``, ``cancelled``, or the name of a typed error.
        ways: The same for each way of calling.
        strange: Whatever else reached a caller.
        told: How the events say that they ended.
        wrong: Events that do not fit: an end without a beginning, or a second one.
        calls: How the calls of providers ended, as the events tell it.
        queued: How often somebody had to stand in line.
        line: How long the longest line was.
        slowest_s: The longest that a caller had to wait.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.ends: Counter[str] = Counter()
        self.ways: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.strange: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()
        self.queued = 0
        self.line = 0
        self.wrong = 0
        self.slowest_s = 0.0
        self._open: set[int] = set()
        self._lock = threading.Lock()

    def watch(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, RequestStarted):
            with self._lock:
                self.wrong += event.request in self._open
                self._open.add(event.request)
        elif isinstance(event, RequestEnded):
            with self._lock:
                self.wrong += event.request not in self._open
                self._open.discard(event.request)
                self.told[event.error or event.outcome] += 1
        elif isinstance(event, AttemptEnded):
            with self._lock:
                self.calls[event.attempt.outcome.value] += 1
        elif isinstance(event, Queued):
            with self._lock:
                self.queued += 1
                self.line = max(self.line, event.ahead + 1)

    def begins(self) -> None:
        """Count a request that a caller makes."""
        with self._lock:
            self.asked += 1

    def ended(self, way: str, how: str, took_s: float, *, strange: bool = False) -> None:
        """Count how a caller saw a request end that he made in some way."""
        with self._lock:
            self.ways[way][how] += 1
            (self.strange if strange else self.ends)[how] += 1
            self.slowest_s = max(self.slowest_s, took_s)

    @property
    def open(self) -> int:
        """How many requests have begun and not ended."""
        return len(self._open)

    @property
    def failing(self) -> float:
        """Which share of the calls of providers failed, of those that were not cancelled."""
        failed, answered = self.calls["error"], self.calls["success"]
        return failed / max(1, failed + answered)

    def check(self) -> None:
        """Hold both counts against each other."""
        assert not self.strange
        assert self.wrong == 0
        assert self.open == 0
        assert sum(self.ends.values()) == self.asked
        typed = {("success" if name == "reply" else name): count for name, count in self.ends.items()}
        assert dict(self.told) == typed
