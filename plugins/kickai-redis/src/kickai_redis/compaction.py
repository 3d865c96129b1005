"""Adds up old cells in the server, and deletes the oldest.

The client adds up, which is exact and keeps the server free, and the server replaces the cells if they have not changed
meanwhile. So any number of processes may do it at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores import cells as rules
from kickai_providers_core.stores import retention

from kickai_redis.cell_forms import OPEN, NumberedSums, pack_sums
from kickai_redis.cell_reading import read_periods, read_starts
from kickai_redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_redis.cell_reading import Place
    from kickai_redis.connection import Connection
    from kickai_redis.key_names import Keys

__all__ = ["PACK_AFTER_S", "Compactor"]

MERGE = Script.load("merge_cells")
DELETE_DAY = Script.load("delete_day")

PACK_AFTER_S = 300
"""The age in seconds from which a minute is packed. Later batches may still add to it."""

MAX_MERGES = 5
"""How often cells are added up again because they have changed meanwhile. The next compaction goes on."""


class Compactor:
    """Adds up and deletes cells. Used by one thread; other processes may do the same.

    Args:
        connection: The server.
        keys: The names of the keys.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def run(self, now_s: float, keep_days: int) -> None:
        """Add up old cells, and delete days that are too old; see `Metrics.compact`."""
        self._delete_days(retention.find_deleted_before(now_s, keep_days))
        for span_s in (rules.HOUR_S, rules.DAY_S):
            before_s = retention.find_compacted_before(span_s, now_s)
            self._merge_all(span_s, (place for place in self._find(before_s) if place[0] < span_s))
        self._merge_all(rules.MINUTE_S, (place for place in self._find(int(now_s) - PACK_AFTER_S) if place[0] == OPEN))

    def _find(self, before_s: int) -> list[Place]:
        return read_starts(self._connection, self._keys, 0, max(0, before_s))[1]

    def _merge_all(self, span_s: int, places: Iterable[Place]) -> None:
        by_start: dict[int, list[Place]] = {}
        for place in places:
            by_start.setdefault(place[1] - place[1] % span_s, []).append(place)
        for start_s, sources in sorted(by_start.items()):
            for _ in range(MAX_MERGES):
                if self._merge((span_s, start_s), sources):
                    break

    def _merge(self, target: Place, sources: list[Place]) -> bool:
        """Replace the cells of some periods by their sums; return whether they had not changed meanwhile."""
        total: dict[int, NumberedSums] = {}
        versions: dict[Place, bytes] = {}
        has_sources = False
        for place, version, cells in read_periods(self._connection, self._keys, [target, *sources]):
            versions[place] = version
            has_sources = has_sources or (bool(cells) and place != target)
            for series, sums in cells.items():
                total.setdefault(series, NumberedSums()).add(sums)
        if not has_sources:  # another process was faster
            return True
        day, keys = target[1] // rules.DAY_S, self._keys
        names = [keys.facts, keys.changes]
        arguments: list[bytes | int] = [day, target[1], versions[target], len(sources)]
        for place in (target, *sources):
            names += [keys.starts(place[0]), keys.cells(*place)]
        for place in sources:
            arguments += [place[1], versions[place]]
        for series, sums in total.items():
            arguments += [series, pack_sums(sums)]
        return bool(self._connection.run(MERGE, names, arguments))

    def _delete_days(self, before_s: int) -> None:
        by_day: dict[int, list[Place]] = {}
        for place in self._find(before_s):
            by_day.setdefault(place[1] // rules.DAY_S, []).append(place)
        for day, places in sorted(by_day.items()):
            names = [self._keys.facts, self._keys.changes]
            for place in places:
                names += [self._keys.starts(place[0]), self._keys.cells(*place)]
            self._connection.run(DELETE_DAY, names, (day, *(start_s for _, start_s in places)))
