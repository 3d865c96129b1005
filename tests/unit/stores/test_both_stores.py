"""What the memory store and the SQLite store have in common, as a first check."""

from __future__ import annotations

import pytest

from kickai_providers_core.stores.api import HealthMark, HistoryEntry
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    """Open and close each store."""
    opened = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "kickai.db", timeout_s=10)
    yield opened
    opened.close()


def test_everything_once(store) -> None:
    """Each part keeps what it was given."""
    key = CellKey(start_s=600, provider="hf", model="m")
    cell = Cell(counters={"requests": 2, "error.X": 1}, latency={3: 1, -5: 2}, first_token={0: 1})
    for number in (1, 1, 2):
        store.metrics.add(MetricsBatch(process="p", number=number, cells={key: cell}))
    [(found, total)] = store.metrics.read()
    assert found == key
    assert total == Cell(counters={"requests": 4, "error.X": 2}, latency={3: 2, -5: 4}, first_token={0: 2})
    assert [writer.last_number for writer in store.metrics.read_writers()] == [2]
    store.metrics.compact(10 * 86400, 400)
    [(hour, _)] = store.metrics.read()
    assert (hour.start_s, hour.span_s) == (0, 3600)
    entry = HistoryEntry(at_s=1.0, who="a", what="b", evidence={"n": [1]})
    assert store.documents.write("rollout", {"share": 1}, expected_version=0, entry=entry)
    assert not store.documents.write("rollout", {"share": 2}, expected_version=0)
    assert store.documents.read("rollout").value == {"share": 1}
    assert store.documents.read_history("rollout")[0].evidence == {"n": [1]}
    store.documents.delete("roll")
    assert store.documents.read("rollout").version == 0
    store.health.publish([HealthMark(key="k", kind="breaker", left_s=50)])
    [mark] = store.health.read()
    store.health.lift("k", mark.generation)
    assert not store.health.read()
    assert store.leases.claim("probe", "a", 10)
    assert store.leases.claim("probe", "b", 10) is None
    lease = store.leases.take_permits("x", "a", amount=7, limit=10, window_s=60)
    assert lease is not None
    assert lease.amount == 7
    store.leases.return_permits(lease, 2)
    assert store.leases.take_permits("x", "b", amount=7, limit=10, window_s=60).amount == 5
    assert store.check().kind in {"memory", "sqlite"}
