"""The monitor: an observer that adds up events per minute, provider, model, role and arm."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from threading import Lock
from typing import TYPE_CHECKING

from kickai_providers_core.stores.cells import MAX_NAMES, OTHER
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.counting import COUNTED_EVENTS, CellTally
from kickai_providers_core.values.events import AttemptEnded
from kickai_providers_core.values.length_limits import NAME_LIMIT
from kickai_providers_core.values.metrics import Cell, CellKey
from kickai_providers_core.values.plain_text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.values.counting import TargetKey
    from kickai_providers_core.values.events import Event

__all__ = ["MAX_CELLS", "Monitor"]

MAX_CELLS = 5_000
"""The most cells that are kept while the store fails: two hours for ten roles with four models each."""

QUEUED = 250
"""The most events in the queue, unless two threads meet: adding them takes less than a millisecond."""

DAY_MINUTES = 24 * 60

CellNames = tuple[object, ...]
"""The class of an event, and the names that it gives."""

MinuteKey = tuple[int, str, str, str, str]
"""The minute, provider, model, role and arm of a cell."""


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
        self._sums = _Sums()

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
        self._queue, self._lock, self._sums = deque(), Lock(), _Sums()

    def _try_to_empty_queue(self) -> None:
        """Add the events of the queue, unless another thread is doing that."""
        if self._lock.acquire(blocking=False):
            try:
                self._empty_queue()
            finally:
                self._lock.release()

    def _empty_queue(self) -> None:
        self._sums.add(self._queue)


class _Sums:
    """The tallies of the cells, and the names that were met on the current day. Not thread-safe.

    Attributes:
        lost_cells: How many cells were dropped.
    """

    def __init__(self) -> None:
        self.lost_cells = 0
        self._minute = 0
        # The events of that minute that are not in a tally yet, and the tallies of their names.
        self._groups: defaultdict[CellNames, list[Event]] = defaultdict(list)
        self._found: dict[CellNames, CellTally] = {}
        self._tallies: dict[MinuteKey, CellTally] = {}
        self._lost = Counter[str]()
        self._day = -1
        self._names: dict[str, dict[str, str]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing was added since `take`."""
        return not self._groups and not self._tallies

    def add(self, queue: deque[tuple[float, Event | None]]) -> None:
        """Add the events that are in a queue now, with the time of each; None for a failure of the store."""
        groups = self._groups
        for _ in range(len(queue)):
            at, event = queue.popleft()
            if at // 60 != self._minute:
                self._add_groups()
                self._found.clear()
                self._minute = max(0, int(at) // 60)
            if event is None:
                self._find_tally(("", ""), None, None).counters["store.failures"] += 1
                continue
            groups[COUNTED_EVENTS[type(event)].get_names(event)].append(event)
        self._add_groups()

    def _add_groups(self) -> None:
        """Add the events of each group to their tally."""
        for names in tuple(self._groups):
            events = self._groups.pop(names)
            event, (_, find_target, add_to) = events[0], COUNTED_EVENTS[type(events[0])]
            tally = self._found.get(names)
            if tally is None:
                tally = self._found[names] = self._find_tally(find_target(event), event.role, event.arm)
            add_to(events, tally)
            if tally.names:
                self._settle_names(tally)

    def _find_tally(self, target: TargetKey, role: str | None, arm: str | None) -> CellTally:
        """Return the tally of a cell, which may be new. Names beyond the limit of the day have that of `OTHER`."""
        (provider, model), minute = target, self._minute
        if minute // DAY_MINUTES != self._day:
            self._day, self._names = minute // DAY_MINUTES, {}
        key = (minute, provider, self._admit("model", model), self._admit("role", role or ""), arm or "")
        if key not in self._tallies and len(self._tallies) >= MAX_CELLS:
            self._drop_oldest()
        if len(self._found) >= MAX_CELLS:  # many names may lead to one cell
            self._found.clear()
        return self._tallies.setdefault(key, CellTally())

    def _settle_names(self, tally: CellTally) -> None:
        """Turn the names from outside into counters."""
        for (before, part, after), number in tally.names.items():
            tally.counters[f"{before}{self._admit(before, part)}{after}"] += number
        tally.names.clear()

    def take(self) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells, and keep only the names."""
        tallies, lost = self._tallies, {name: number for name, number in self._lost.items() if number}
        self._tallies, self._found, self._lost = {}, {}, Counter()
        if lost:
            latest = max(minute for minute, *_ in tallies)
            tallies.setdefault((latest, "", "", "", ""), CellTally()).counters.update(lost)
        for (minute, provider, model, role, arm), tally in tallies.items():
            counters = {name: number for name, number in tally.counters.items() if number}
            key = CellKey(start_s=minute * 60, span_s=60, provider=provider, model=model, role=role, arm=arm)
            yield key, Cell(counters=counters, latency=tally.latency, first_token=tally.first_token)

    def _admit(self, family: str, name: str) -> str:
        """Return the name under which a name from outside is counted."""
        known = self._names.get(family)
        if known is None:
            known = self._names[family] = {"": ""}
        found = known.get(name)
        if found is None:
            if len(known) > MAX_NAMES:
                return OTHER
            found = known[name] = clean_line(name, NAME_LIMIT)
        return found

    def _drop_oldest(self) -> None:
        """Drop a cell of the oldest minute, and keep the numbers of the requests and attempts that it counted."""
        counters = self._tallies.pop(next(iter(self._tallies))).counters
        self._found.clear()
        self.lost_cells += 1
        for family in ("requests", "attempts"):
            self._lost[f"lost.{family}"] += sum(counters.get(f"{family}.{outcome}", 0) for outcome in Outcome)
