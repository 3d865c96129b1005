"""The metrics in the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from kickai_providers_core.stores import cells as rules
from kickai_providers_core.stores import retention
from kickai_providers_core.stores.api import StoreError, Writer

from kickai_redis.cell_forms import OPEN, NumberedSums, encode_batch_cell, encode_series, pack_sums
from kickai_redis.cell_reading import CellReader
from kickai_redis.compaction import Compactor
from kickai_redis.microseconds import SECOND_US, from_us
from kickai_redis.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

    from kickai_redis.connection import Connection
    from kickai_redis.key_names import Keys

__all__ = ["RedisMetrics"]

ADMIT_NAMES = Script.load("admit_names")
ADD_BATCH = Script.load("add_batch")
NUMBER_COUNTERS = Script.load("number_counters")
READ_WRITERS = Script.load("read_writers")
FORGET = Script.load("forget")

MAX_INCREMENTED = 200
"""The largest batch, in cells, whose counts the server increments: it does nothing else for some 10 ms then."""

IS_PACKED = -1
"""Instead of a number of fields."""

NAMES_KEPT_S = 3 * rules.DAY_S
"""Seconds after the last new name of a day for which the names of the day are kept."""

FORGET_AT_ONCE = 1000
"""How much one call forgets, within a few milliseconds."""

VALUES_PER_WRITER = 3


class RedisMetrics:
    """Implements `Metrics`; see there, and `Connection` for threads and forks.

    The minutes are those of the processes that count, the ages of writers are by the server's clock.
    """

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys

    def add(self, batch: MetricsBatch) -> None:
        """Add a batch, all or nothing, unless it was added before."""
        if any(key.span_s != rules.MINUTE_S for key in batch.cells):
            raise StoreError("this store adds cells of 60 s only")
        keys = self._keys
        names = [
            *(keys.facts, keys.writers, keys.seen, keys.series, keys.series_days, keys.counters, keys.starts(OPEN)),
        ]
        arguments: list[str | bytes | int] = [batch.process, batch.number, int(batch.is_final)]
        limited = rules.limit_names(batch.cells, self._admit(batch.cells))
        encode = self._prepare_packing(limited) if len(limited) > MAX_INCREMENTED else _encode_fields
        for start_s, cells in _group(limited).items():
            names.append(keys.cells(OPEN, start_s))
            arguments += [start_s, start_s // rules.DAY_S, len(cells)]
            for key, cell in cells:
                arguments += [encode_series(key), *encode(cell)]
        self._connection.run(ADD_BATCH, names, arguments)

    def read(
        self, since_s: int = 0, until_s: int | None = None, *, span_s: int = rules.MINUTE_S
    ) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells whose period begins in ``[since_s, until_s)``, in order of time; see `Metrics.read`.

        They are read day by day. Each day is complete and counted once, even if another process adds up its cells
        meanwhile.
        """
        yield from rules.add_up_periods(self._read_days(since_s, until_s), span_s)

    def _read_days(self, since_s: int, until_s: int | None) -> Iterator[tuple[CellKey, Cell]]:
        reader = CellReader(self._connection, self._keys)
        first = reader.find_first(since_s, until_s)
        while first is not None:
            day = first - first % rules.DAY_S
            end = day + rules.DAY_S
            # Cells that are added up meanwhile begin before the first one.
            yield from reader.read_day(max(day, since_s), end if until_s is None else min(end, until_s))
            first = reader.find_first(end, until_s)

    def read_writers(self) -> Sequence[Writer]:
        """Return the processes that have written metrics in the last two days."""
        keys = (self._keys.facts, self._keys.writers, self._keys.seen)
        found = self._connection.run(READ_WRITERS, keys, (retention.WRITERS_KEPT_S * SECOND_US,))
        with self._connection.explain_errors():
            places = range(0, len(found), VALUES_PER_WRITER)
            return [_decode_writer(*found[place : place + VALUES_PER_WRITER]) for place in places]

    def compact(self, now_s: float, keep_days: int) -> None:
        """Add up old cells, and delete the oldest."""
        Compactor(self._connection, self._keys).run(now_s, keep_days)
        keys = (self._keys.facts, self._keys.writers, self._keys.seen, self._keys.series, self._keys.series_days)
        first_day = retention.find_deleted_before(now_s, keep_days) // rules.DAY_S
        arguments = (retention.WRITERS_KEPT_S * SECOND_US, first_day, FORGET_AT_ONCE)
        while self._connection.run(FORGET, keys, arguments):
            pass

    def _admit(self, cells: Mapping[CellKey, Cell]) -> _Admission:
        """Return which names of a batch are among the first of their families on their days."""
        wanted = _Wish()
        rules.limit_names(cells, wanted)
        days = sorted({day for day, _, _ in wanted.names})
        if not days:
            return _Admission({})
        arguments: list[str | int] = [rules.MAX_NAMES, NAMES_KEPT_S]
        for day, family, name in wanted.names:
            arguments += [days.index(day) + 2, json.dumps([family]), json.dumps([family, name])]
        found = self._connection.run(ADMIT_NAMES, (self._keys.facts, *map(self._keys.names, days)), arguments)
        with self._connection.explain_errors():
            return _Admission(dict(zip(wanted.names, map(bool, found), strict=True)))

    def _prepare_packing(self, cells: Mapping[CellKey, Cell]) -> Callable[[Cell], tuple[int, bytes]]:
        """Return a function that packs cells with these counters."""
        names = sorted({name for cell in cells.values() for name in cell.counters})
        found = self._connection.run(NUMBER_COUNTERS, (self._keys.facts, self._keys.counters), names)
        with self._connection.explain_errors():
            numbers = dict(zip(names, map(int, found), strict=True))

        def pack(cell: Cell) -> tuple[int, bytes]:
            counters = {numbers[name]: count for name, count in cell.counters.items()}
            return IS_PACKED, pack_sums(NumberedSums(counters, cell.latency, cell.first_token))

        return pack


class _Wish:
    """Notes the names of a batch, in their order."""

    def __init__(self) -> None:
        self.names: dict[tuple[int, str, str], None] = {}

    def __call__(self, day: int, family: str, name: str) -> bool:
        """Note a name."""
        self.names[day, family, name] = None
        return True


class _Admission:
    """Says which names the server has admitted."""

    def __init__(self, admitted: Mapping[tuple[int, str, str], bool]) -> None:
        self._admitted = admitted

    def __call__(self, day: int, family: str, name: str) -> bool:
        """Return whether a name is one of the first of its family on a day."""
        return self._admitted[day, family, name]


def _encode_fields(cell: Cell) -> tuple[str | int, ...]:
    fields = [part for field in encode_batch_cell(cell) for part in field]
    return len(fields) // 2, *fields


def _group(cells: Mapping[CellKey, Cell]) -> dict[int, list[tuple[CellKey, Cell]]]:
    by_start: dict[int, list[tuple[CellKey, Cell]]] = {}
    for key, cell in cells.items():
        by_start.setdefault(key.start_s, []).append((key, cell))
    return by_start


def _decode_writer(process: bytes, last: bytes, age_us: bytes) -> Writer:
    number, is_final = last.split(b" ")
    return Writer(process=process.decode(), last_number=int(number), age_s=from_us(age_us), is_final=is_final == b"1")
