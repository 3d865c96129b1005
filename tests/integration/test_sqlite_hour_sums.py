"""The SQLite store keeps the sums of past hours, and a report on hours or days reads them instead of minutes."""

from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core.stores.cells import DAY_S, HOUR_S, MINUTE_S
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

BEGIN_S = 20_000 * DAY_S
NOW_S = BEGIN_S + 6 * HOUR_S

CELLS = st.builds(
    Cell,
    counters=st.dictionaries(st.sampled_from(["requests.success", "usage.32000"]), st.integers(1, 10**12), min_size=1),
    latency=st.dictionaries(st.integers(-300, 300), st.integers(1, 300), max_size=3),
    first_token=st.dictionaries(st.integers(-300, 300), st.integers(1, 3), max_size=2),
)
KEYS = st.builds(
    CellKey,
    start_s=st.integers(0, 6 * 60 - 1).map(lambda minute: BEGIN_S + MINUTE_S * minute),
    model=st.sampled_from(["a", "b"]),
)
STEPS = st.lists(st.dictionaries(KEYS, CELLS, min_size=1, max_size=4) | st.integers(0, 7), min_size=1, max_size=8)


@pytest.fixture
def path(tmp_path):
    """Return the path of a file that does not exist."""
    return tmp_path / "kickai.db"


def add(store, number, cells):
    """Add a batch."""
    store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))


def count_sums(path):
    """Return the number of sums that are kept."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM hour_sums").fetchone()[0]
    finally:
        connection.close()


@given(STEPS, st.integers(0, 5 * 60), st.integers(1, 7 * 60))
@settings(max_examples=60, deadline=None)
def test_sums_of_hours_change_no_report(tmp_path_factory, steps, since, length):
    """Whatever is written, late or not, and added up when: each reading has the cells of a store that keeps no sums."""
    path = tmp_path_factory.mktemp("sums") / "kickai.db"
    store, plain = SqliteStore(path, timeout_s=60), MemoryStore()
    for number, step in enumerate(steps, 1):
        if isinstance(step, int):
            store.metrics.compact(BEGIN_S + step * HOUR_S, 400)
        else:
            add(store, number, step)
            add(plain, number, step)
    since_s = BEGIN_S + MINUTE_S * since
    for span_s in (MINUTE_S, HOUR_S, DAY_S):
        for period in ((0, None), (since_s, since_s + MINUTE_S * length)):
            expected = dict(plain.metrics.read(*period, span_s=span_s))
            assert dict(store.metrics.read(*period, span_s=span_s)) == expected
    store.close()


def test_only_hours_that_are_over_are_added_up(path):
    """The minutes stay, and a report on minutes has them."""
    store, cell = SqliteStore(path, timeout_s=60), Cell(counters={"requests.success": 1})
    add(store, 1, {CellKey(start_s=BEGIN_S + MINUTE_S * minute): cell for minute in range(180)})
    store.metrics.compact(BEGIN_S + 2 * HOUR_S + 299, 400)
    assert count_sums(path) == 1
    store.metrics.compact(BEGIN_S + 2 * HOUR_S + 300, 400)
    assert count_sums(path) == 2
    assert len(list(store.metrics.read())) == 180
    assert len(list(store.metrics.read(span_s=HOUR_S))) == 3
    store.close()


def test_a_late_batch_deletes_the_sum_of_its_hour(path):
    """The next compaction adds it up again, and the compaction of old minutes leaves no sum behind."""
    store, cell = SqliteStore(path, timeout_s=60), Cell(counters={"requests.success": 1})
    add(store, 1, {CellKey(start_s=BEGIN_S): cell, CellKey(start_s=BEGIN_S + HOUR_S): cell})
    store.metrics.compact(NOW_S, 400)
    assert count_sums(path) == 2
    add(store, 2, {CellKey(start_s=BEGIN_S + 3540): cell})
    assert count_sums(path) == 1
    store.metrics.compact(NOW_S, 400)
    assert count_sums(path) == 2
    store.metrics.compact(NOW_S + 3 * DAY_S, 400)
    assert count_sums(path) == 0
    store.close()


def test_a_reader_notices_sums_that_change_meanwhile(path, monkeypatch):
    """An hour is written to between its transactions: it reads the day again, and counts everything once."""
    monkeypatch.setattr("kickai_providers_core.stores.sqlite.metrics.SLICE_ROWS", 2)
    store, other = SqliteStore(path, timeout_s=60), SqliteStore(path, timeout_s=60)
    cell = Cell(counters={"requests.success": 1})
    add(store, 1, {CellKey(start_s=BEGIN_S + MINUTE_S * minute): cell for minute in range(0, 300, 10)})
    store.metrics.compact(NOW_S, 400)
    read, transactions = store._database.read, []

    def read_and_disturb():
        transactions.append(len(transactions))
        if len(transactions) in {3, 8}:
            add(other, len(transactions), {CellKey(start_s=BEGIN_S + 60): cell})
            other.metrics.compact(NOW_S, 400)
        return read()

    monkeypatch.setattr(store._database, "read", read_and_disturb)
    (total,) = [found.counters["requests.success"] for _, found in store.metrics.read(span_s=DAY_S)]
    assert total == 32
    store.close()
    other.close()
