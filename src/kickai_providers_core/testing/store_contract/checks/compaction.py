"""Adding up old metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core.stores.cells import DAY_S, HOUR_S, MINUTE_S
from kickai_providers_core.testing.store_contract.checks.metrics import batches, drop_zeros, sum_cells
from kickai_providers_core.testing.store_contract.spec import StoreSpec
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.stores.api import Store

__all__ = ["CompactionTests"]

TODAY_S = 19_700 * DAY_S
NOW_S = TODAY_S + 12 * HOUR_S + 30 * MINUTE_S

STARTS = st.integers(-15, 450 * 1440).map(lambda minutes: NOW_S - minutes * MINUTE_S)
"""Minutes of the last 450 days, and some of the next quarter of an hour, as a clock that is fast has them."""


def forget_time(cells: dict[CellKey, Cell]) -> dict[CellKey, Cell]:
    """Return the sums of cells over all times."""
    return sum_cells([{evolve(key, start_s=0, span_s=MINUTE_S): cell} for key, cell in cells.items()])


def read_all(store: Store) -> dict[CellKey, Cell]:
    """Return all cells."""
    return {key: drop_zeros(cell) for key, cell in store.metrics.read()}


class CompactionTests(StoreSpec):
    """Compacting shortens the metrics without changing their sums."""

    def test_compacting_changes_no_sum(self, new_url: Callable[[], str]) -> None:
        """Neither once nor twice, nor with batches that arrive in between; spans follow from the age."""

        @settings(max_examples=25, deadline=None, database=None)
        @given(batches(STARTS))
        def check(parts: list[dict[CellKey, Cell]]) -> None:
            once = self._compact_twice(new_url(), parts)
            assert forget_time(once) == forget_time(sum_cells([*parts, *parts]))
            for key in once:
                age_s = NOW_S - key.start_s - key.span_s
                assert key.start_s % key.span_s == 0
                assert key.span_s == (MINUTE_S if age_s < 2 * DAY_S else key.span_s)
                assert key.span_s >= (DAY_S if age_s >= 31 * DAY_S else HOUR_S if age_s >= 2 * DAY_S + HOUR_S else 0)

        check()

    def _compact_twice(self, url: str, parts: list[dict[CellKey, Cell]]) -> dict[CellKey, Cell]:
        """Return the cells after the batches were added and compacted, and that again."""
        store = self.open(url)
        number = 0
        try:
            for _ in range(2):
                for cells in parts:
                    number += 1
                    store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
                store.metrics.compact(NOW_S, 10_000)
                once = read_all(store)
                store.metrics.compact(NOW_S, 10_000)
                assert read_all(store) == once
        finally:
            store.close()
        return once

    def test_minutes_become_hours_and_hours_become_days(self, store: Store) -> None:
        """After two days and after 30 days, as whole hours and days."""
        ages_s = (DAY_S, 3 * DAY_S, 3 * DAY_S + MINUTE_S, 40 * DAY_S, 40 * DAY_S + HOUR_S)
        cells = {CellKey(start_s=NOW_S - age_s, role="r"): Cell(counters={"requests": 1}) for age_s in ages_s}
        store.metrics.add(MetricsBatch(process="p", number=1, cells=cells))
        store.metrics.compact(NOW_S, 400)
        found = {(key.start_s, key.span_s): cell.counters["requests"] for key, cell in store.metrics.read()}
        assert found == {
            (TODAY_S - 40 * DAY_S, DAY_S): 2,
            (TODAY_S - 3 * DAY_S + 12 * HOUR_S, HOUR_S): 2,
            (NOW_S - DAY_S, MINUTE_S): 1,
        }

    def test_old_days_are_deleted(self, store: Store) -> None:
        """A day is deleted as a whole, once all of it is older than the limit."""
        days = (TODAY_S - 7 * DAY_S, TODAY_S - 8 * DAY_S)
        cells = {CellKey(start_s=day): Cell(counters={"requests": 1}) for day in days}
        store.metrics.add(MetricsBatch(process="p", number=1, cells=cells))
        store.metrics.compact(NOW_S, 7)
        assert [key.start_s // DAY_S for key, _ in store.metrics.read()] == [days[0] // DAY_S]

    def test_a_batch_is_still_added_once_afterwards(self, store: Store) -> None:
        """Compacting does not forget which batches a process has written, whatever the wall clock says."""
        batch = MetricsBatch(process="p", number=1, cells={CellKey(start_s=NOW_S): Cell(counters={"requests": 1})})
        store.metrics.add(batch)
        for now_s in (NOW_S, NOW_S + 300 * DAY_S, NOW_S):
            store.metrics.compact(now_s, 400)
            store.metrics.add(batch)
        assert sum(cell.counters["requests"] for _, cell in store.metrics.read()) == 1

    def test_a_reader_sees_each_cell_once_while_cells_are_added_up(self, store: Store) -> None:
        """The reader has begun before, and goes on afterwards."""
        starts = [NOW_S - 50 * DAY_S + minute * MINUTE_S for minute in range(0, 3 * 1440, 7)]
        cells = {CellKey(start_s=start): Cell(counters={"requests": 1}) for start in starts}
        store.metrics.add(MetricsBatch(process="p", number=1, cells=cells))
        reader = store.metrics.read()
        first = next(reader)
        store.metrics.compact(NOW_S, 400)
        found = [first, *reader]
        assert sum(cell.counters["requests"] for _, cell in found) == len(starts)
