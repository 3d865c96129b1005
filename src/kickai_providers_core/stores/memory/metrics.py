"""The metrics of a memory store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.stores import cells as rules
from kickai_providers_core.stores import retention
from kickai_providers_core.stores.api import Writer
from kickai_providers_core.stores.memory.state import StoredWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.stores.memory.state import Content, SwitchedContent
    from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

__all__ = ["MemoryMetrics"]


class MemoryMetrics:
    """Implements `Metrics`; see there, and `MemoryStore`."""

    def __init__(self, content: SwitchedContent, wall: Callable[[], float]) -> None:
        self._content = content
        self._wall = wall

    def add(self, batch: MetricsBatch) -> None:
        """Add a batch, all or nothing, unless it was added before."""
        content = self._content.get()
        with content.lock:
            writer = content.writers.get(batch.process)
            if writer is not None and batch.number <= writer.number:
                return
            for key, cell in rules.limit_names(batch.cells, _NameLimit(content)).items():
                content.cells[key] = rules.add_cells(content.cells.get(key), cell)
            content.writers[batch.process] = StoredWriter(batch.number, self._wall(), batch.is_final)

    def read(
        self, since_s: int = 0, until_s: int | None = None, *, span_s: int = rules.MINUTE_S
    ) -> Iterator[tuple[CellKey, Cell]]:
        """Yield the cells whose period begins in ``[since_s, until_s)``, in order of time; see `Metrics.read`."""
        content = self._content.get()
        with content.lock:
            cells = sorted(content.cells.items(), key=lambda item: item[0])
        chosen = (
            (key, cell) for key, cell in cells if key.start_s >= since_s and (until_s is None or key.start_s < until_s)
        )
        yield from rules.add_up_periods(chosen, span_s)

    def read_writers(self) -> Sequence[Writer]:
        """Return the processes that have written metrics in the last two days."""
        content, now_s = self._content.get(), self._wall()
        with content.lock:
            writers = sorted(content.writers.items(), key=lambda item: (item[1].wall_s, item[0]))
        return [
            Writer(
                process=process,
                last_number=writer.number,
                age_s=max(0.0, now_s - writer.wall_s),
                is_final=writer.is_final,
            )
            for process, writer in writers
            if now_s - writer.wall_s < retention.WRITERS_KEPT_S
        ]

    def compact(self, now_s: float, keep_days: int) -> None:
        """Add up old cells, and delete the oldest."""
        content = self._content.get()
        deleted_before = retention.find_deleted_before(now_s, keep_days)
        with content.lock:
            for span_s in (rules.HOUR_S, rules.DAY_S):
                before = retention.find_compacted_before(span_s, now_s)
                total: dict[CellKey, Cell] = {}
                for key, cell in content.cells.items():
                    is_old = key.span_s < span_s and key.start_s < before
                    wider = rules.widen(key, span_s) if is_old else key
                    total[wider] = rules.add_cells(total.get(wider), cell)
                content.cells = total
            content.cells = {key: cell for key, cell in content.cells.items() if key.start_s >= deleted_before}
            last_day = (now_s - retention.MINUTES_KEPT_S) // rules.DAY_S
            content.names = {place: names for place, names in content.names.items() if place[0] >= last_day}


class _NameLimit:
    """Admits the first names of a family on a day."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def __call__(self, day: int, family: str, name: str) -> bool:
        """Return whether a name is one of the first of its family on a day."""
        names = self._content.names.setdefault((day, family), set())
        if name not in names and len(names) < rules.MAX_NAMES:
            names.add(name)
        return name in names
