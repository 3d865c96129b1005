"""Adding and reading metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core.stores.cells import DAY_S, MAX_NAMES, OTHER, add_cells, widen
from kickai_providers_core.testing.store_contract.spec import StoreSpec
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.stores.api import Store

__all__ = ["MetricsTests", "batches", "drop_zeros", "sum_cells"]

COUNTS = st.one_of(st.integers(0, 10), st.integers(0, 2**62))
HISTOGRAMS = st.dictionaries(st.integers(-700, 700), COUNTS, max_size=5)
NAMES = st.sampled_from(("requests", "tokens.input", "tokens.output", "error.RateLimitedError", "skip:open breaker"))
CELLS = st.builds(Cell, counters=st.dictionaries(NAMES, COUNTS, max_size=4), latency=HISTOGRAMS, first_token=HISTOGRAMS)


def batches(starts: st.SearchStrategy[int]) -> st.SearchStrategy[list[dict[CellKey, Cell]]]:
    """Return a strategy for the cells of several batches, whose periods begin at given times."""
    keys = st.builds(
        CellKey,
        start_s=starts,
        provider=st.sampled_from(("", "huggingface", "gemini")),
        model=st.sampled_from(("", "org/model", "modèle ☃")),
        role=st.sampled_from(("", "coach")),
        arm=st.sampled_from(("", "candidate", "control")),
    )
    return st.lists(st.dictionaries(keys, CELLS, max_size=4), max_size=5)


def drop_zeros(cell: Cell) -> Cell:
    """Return a cell without zeros, which a store may keep or leave out."""
    return Cell(
        counters={name: count for name, count in cell.counters.items() if count},
        latency={bucket: count for bucket, count in cell.latency.items() if count},
        first_token={bucket: count for bucket, count in cell.first_token.items() if count},
    )


def sum_cells(parts: list[dict[CellKey, Cell]]) -> dict[CellKey, Cell]:
    """Return the sum of several batches, as plain Python adds them up."""
    total: dict[CellKey, Cell] = {}
    for part in parts:
        for key, cell in part.items():
            total[key] = add_cells(total.get(key), cell)
    return {key: drop_zeros(cell) for key, cell in total.items()}


def make_batch(number: int, counters: dict[str, int], *, process: str = "p", start_s: int = 60) -> MetricsBatch:
    """Return a batch with one cell."""
    return MetricsBatch(process=process, number=number, cells={CellKey(start_s=start_s): Cell(counters=counters)})


class MetricsTests(StoreSpec):
    """Metrics are added up exactly."""

    def test_cells_add_up_exactly(self, new_url: Callable[[], str]) -> None:
        """Counters and histograms are those that plain sums have, and no cell is lost or mixed with another."""

        @settings(max_examples=25, deadline=None, database=None)
        @given(batches(st.sampled_from((0, 60, 1_700_000_040))))
        def check(parts: list[dict[CellKey, Cell]]) -> None:
            store = self.open(new_url())
            try:
                for number, cells in enumerate(parts, start=1):
                    store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
                found = list(store.metrics.read())
            finally:
                store.close()
            assert {key: drop_zeros(cell) for key, cell in found} == sum_cells(parts)
            assert [key.start_s for key, _ in found] == sorted(key.start_s for key, _ in found)

        check()

    def test_a_reader_may_ask_for_longer_periods(self, new_url: Callable[[], str]) -> None:
        """The store adds up hours or days from shorter cells, exactly and in order of time, and keeps longer cells."""
        starts = (0, DAY_S - 60, DAY_S, DAY_S + 60, DAY_S + 7200, DAY_S + 7260, 9 * DAY_S)

        @settings(max_examples=15, deadline=None, database=None)
        @given(batches(st.sampled_from(starts)))
        def check(parts: list[dict[CellKey, Cell]]) -> None:
            store = self.open(new_url())
            try:
                for number, cells in enumerate(parts, start=1):
                    store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
                store.metrics.compact(5 * DAY_S, 400)
                narrow = list(store.metrics.read(60))
                wide = {span_s: list(store.metrics.read(60, span_s=span_s)) for span_s in (60, 3600, DAY_S)}
            finally:
                store.close()
            for span_s, found in wide.items():
                expected: dict[CellKey, Cell] = {}
                for key, cell in narrow:
                    place = widen(key, span_s) if key.span_s < span_s else key
                    expected[place] = add_cells(expected.get(place), cell)
                assert {key: drop_zeros(cell) for key, cell in found} == {
                    key: drop_zeros(cell) for key, cell in expected.items()
                }
                assert len(found) == len(expected)
                assert [key.start_s for key, _ in found] == sorted(key.start_s for key, _ in found)

        check()

    def test_a_period_includes_its_start_and_excludes_its_end(self, store: Store) -> None:
        """Reports of neighbouring periods count nothing twice."""
        for number, start_s in enumerate((DAY_S - 60, DAY_S, DAY_S + 60, 3 * DAY_S), start=1):
            store.metrics.add(make_batch(number, {"requests": number}, start_s=start_s))

        def read(since_s: int, until_s: int | None) -> list[int]:
            return [cell.counters["requests"] for _, cell in store.metrics.read(since_s, until_s)]

        assert read(0, None) == [1, 2, 3, 4]
        assert read(0, DAY_S) == [1]
        assert read(DAY_S, DAY_S + 60) == [2]
        assert read(DAY_S + 1, 3 * DAY_S) == [3]
        assert read(DAY_S + 61, None) == [4]
        assert read(DAY_S, DAY_S) == read(4 * DAY_S, None) == []

    def test_a_batch_is_added_once(self, store: Store) -> None:
        """A process repeats a batch when it does not know whether it was added."""
        for number, count in ((1, 1), (1, 10), (2, 100), (1, 1000), (2, 10_000), (5, 100_000)):
            store.metrics.add(make_batch(number, {"requests": count}))
        store.metrics.add(make_batch(1, {"requests": 1_000_000}, process="q"))
        [(_, cell)] = store.metrics.read()
        assert cell.counters == {"requests": 1_100_101}
        writers = {writer.process: writer.last_number for writer in store.metrics.read_writers()}
        assert writers == {"p": 5, "q": 1}

    def test_a_final_batch_marks_its_process(self, store: Store) -> None:
        """A process that has ended without one was killed, and the report says so."""
        store.metrics.add(make_batch(1, {}))
        assert [(writer.is_final, writer.age_s < DAY_S) for writer in store.metrics.read_writers()] == [(False, True)]
        store.metrics.add(MetricsBatch(process="p", number=2, cells={}, is_final=True))
        assert [writer.is_final for writer in store.metrics.read_writers()] == [True]

    def test_an_empty_store_has_no_metrics(self, store: Store) -> None:
        """It can be read and compacted."""
        store.metrics.compact(1_700_000_000.0, 400)
        assert list(store.metrics.read()) == []
        assert list(store.metrics.read_writers()) == []

    @pytest.mark.parametrize("apart", [True, False], ids=["in many batches", "in one batch"])
    def test_too_many_models_of_a_day_are_other(self, store: Store, *, apart: bool) -> None:
        """The sums are complete, and the next day starts anew."""
        parts = [
            {CellKey(start_s=day * DAY_S + 60, model=f"model-{at}"): Cell(counters={"requests": 1}, latency={at: 1})}
            for day in (1, 2)
            for at in range(MAX_NAMES + 30)
        ]
        merged = [{key: cell for part in parts for key, cell in part.items()}]
        for number, cells in enumerate(parts if apart else merged, start=1):
            store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
        found = list(store.metrics.read())
        for day in (1, 2):
            by_model = {key.model: cell for key, cell in found if key.start_s // DAY_S == day}
            assert len(by_model) == MAX_NAMES + 1
            assert by_model[OTHER].counters == {"requests": 30}
            assert sum(count for count in by_model[OTHER].latency.values()) == 30
            assert sum(cell.counters["requests"] for cell in by_model.values()) == MAX_NAMES + 30

    def test_too_many_counters_of_a_family_are_other(self, store: Store) -> None:
        """Other families, and counters without a family, are kept apart."""
        errors = {f"error.E{at}": 1 for at in range(MAX_NAMES + 5)}
        store.metrics.add(make_batch(1, {**errors, "requests": 7, "skip:open": 2, "error.first.X": 3}))
        store.metrics.add(make_batch(2, {"error.New": 4, "error.E0": 1}))
        [(_, cell)] = store.metrics.read()
        family = {name: count for name, count in cell.counters.items() if name.rpartition(".")[0] == "error"}
        assert len(family) == MAX_NAMES + 1
        assert family["error.other"] == 5 + 4
        assert family["error.E0"] == 1 + 1
        assert {name: count for name, count in cell.counters.items() if name not in family} == {
            "requests": 7,
            "skip:open": 2,
            "error.first.X": 3,
        }

    @pytest.mark.parametrize("model", ["\ud800", "a\x00b", "x" * 5000, "';--", "ü/☃"], ids=ascii)
    def test_any_name_of_a_model_can_be_kept(self, store: Store, model: str) -> None:
        """A service chooses it, so that it may be anything; it may be changed but must not be lost."""
        cells = {CellKey(start_s=60, model=model): Cell(counters={f"error.{model}": 2})}
        store.metrics.add(MetricsBatch(process="p", number=1, cells=cells))
        [(key, cell)] = store.metrics.read()
        assert key.model
        assert list(cell.counters.values()) == [2]
