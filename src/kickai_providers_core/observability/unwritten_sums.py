"""The sums of events that no store has yet, and how many of them are kept while the store fails."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from kickai_providers_core.stores.cells import MAX_NAMES, OTHER
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.event_counting import COUNTED_EVENTS, CellTally
from kickai_providers_core.values.metrics import Cell, CellKey
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import NAME_LIMIT

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Iterator

    from kickai_providers_core.values.event_counting import TargetKey
    from kickai_providers_core.values.events import Event

__all__ = ["MAX_CELLS", "UnwrittenSums"]

MAX_CELLS = 5_000
"""The most cells that are kept while the store fails: two hours for ten roles with four models each."""

DAY_MINUTES = 24 * 60

CellNames = tuple[object, ...]
"""The class of an event, and the names that it gives."""

MinuteKey = tuple[int, str, str, str, str]
"""The minute, provider, model, role and arm of a cell."""


class UnwrittenSums:
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
