"""Who is asked and how it ends, and what the process holds: kept in a few numbers, however long the traffic goes on."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.events import RequestEnded, RequestStarted

if TYPE_CHECKING:
    from kickai_providers_core.events import Event

__all__ = ["Holdings", "Ledger"]


@frozen
class Holdings:
    """What this process holds at one moment."""

    threads: int
    sockets: int
    memory_mb: float
    objects: int

    @classmethod
    def now(cls) -> Holdings:
        """Count, after the collector has had its turn."""
        gc.collect()
        status = Path("/proc/self/status").read_text(encoding="ascii").split("VmRSS:")[1]
        return cls(threading.active_count(), _sockets(), int(status.split()[0]) / 1024, len(gc.get_objects()))

    def __str__(self) -> str:
        return f"{self.threads} threads, {self.sockets} sockets, {self.memory_mb:.1f} MB, {self.objects} objects"


def _sockets() -> int:
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        try:
            count += entry.readlink().name.startswith("socket:")
        except FileNotFoundError:  # the listing itself was one of them
            continue
    return count


class Ledger:
    """Counts each request twice: as its caller sees it end, and as the events tell it.

    Attributes:
        asked: How many requests callers have made.
        ends: How callers saw them end: ``reply``, ``cancelled``, or the name of a typed error.
        strange: Whatever else reached a caller.
        told: How the events say that they ended.
        wrong: Events that do not fit: an end without a beginning, or a second one.
    """

    def __init__(self) -> None:
        self.asked = 0
        self.ends: Counter[str] = Counter()
        self.strange: Counter[str] = Counter()
        self.told: Counter[str] = Counter()
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

    def begins(self) -> None:
        """Count a request that a caller makes."""
        with self._lock:
            self.asked += 1

    def ended(self, how: str, took_s: float, *, strange: bool = False) -> None:
        """Count how a caller saw a request end."""
        with self._lock:
            (self.strange if strange else self.ends)[how] += 1
            self.slowest_s = max(self.slowest_s, took_s)

    @property
    def open(self) -> int:
        """How many requests have begun and not ended."""
        return len(self._open)

    def check(self) -> None:
        """Hold both counts against each other."""
        assert not self.strange
        assert self.wrong == 0
        assert self.open == 0
        assert sum(self.ends.values()) == self.asked
        typed = {("success" if name == "reply" else name): count for name, count in self.ends.items()}
        assert dict(self.told) == typed
