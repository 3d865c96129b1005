"""Writing metrics: each batch exactly once, whatever fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.concurrency.clock import Clockwork
from kickai_providers_core.concurrency.process_name import ProcessName
from kickai_providers_core.observability.metrics_writer import Compaction, MetricsWriter
from kickai_providers_core.observability.monitor import Monitor
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.memory.store import MemoryStore
from kickai_providers_core.values.events import RequestEnded
from kickai_providers_core.values.metrics import HEARTBEAT_S

if TYPE_CHECKING:
    from kickai_providers_core.values.metrics import MetricsBatch

NOW = 1_700_000_000.0
ANSWERED = RequestEnded(1, None, outcome="success", latency_s=0.5, attempts=1, provider="hf", model="m")


class Time:
    """A virtual clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.work = Clockwork(clock=lambda: self.now, sleep=_never, asleep=_anever, wall=lambda: NOW + self.now)


def _never(_seconds: float) -> None:
    raise AssertionError


async def _anever(_seconds: float) -> None:
    raise AssertionError


class Unreliable(MemoryStore):
    """A memory store that fails before or after it has added a batch."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[MetricsBatch] = []
        self.fails: str | None = None
        self._add, self.metrics.add = self.metrics.add, self.add  # type: ignore[method-assign]

    def add(self, batch: MetricsBatch) -> None:
        """Add a batch as a store does whose answer may get lost."""
        self.batches.append(batch)
        if self.fails == "before":
            raise StoreError("locked")
        self._add(batch)
        if self.fails == "after":
            raise StoreError("the answer was lost")

    def count_requests(self) -> int:
        """Return how many requests the store has."""
        return sum(cell.counters.get("requests.success", 0) for _, cell in self.metrics.read())


def create() -> tuple[Monitor, MetricsWriter, Unreliable, Time]:
    """Return a writer with what it needs."""
    time = Time()
    monitor = Monitor(time.work.wall)
    return monitor, MetricsWriter(monitor, ProcessName(), time.work), Unreliable(), time


@given(st.lists(st.tuples(st.sampled_from([None, "before", "after"]), st.integers(0, 3)), max_size=20))
def test_each_request_is_added_once(rounds: list[tuple[str | None, int]]) -> None:
    """Whatever fails, before or after the store has added a batch, the sum is exact in the end."""
    monitor, writer, store, _ = create()
    for fails, requests in rounds:
        for _ in range(requests):
            monitor.observe(ANSWERED)
        store.fails = fails
        try:
            writer.run(store)
        except StoreError:
            assert writer.is_behind
        else:
            assert not writer.is_behind
    store.fails = None
    writer.finish(store)
    total = sum(requests for _, requests in rounds)
    assert store.count_requests() == total
    assert len({batch.process for batch in store.batches}) <= 1
    writers = store.metrics.read_writers()
    assert [each.is_final for each in writers] == ([True] if total else [])


def test_nothing_is_written_without_events() -> None:
    """A process that has served nothing does not appear in the store."""
    _, writer, store, time = create()
    writer.run(store)
    time.now += 2 * HEARTBEAT_S
    writer.run(store)
    writer.finish(store)
    assert store.batches == []


def test_a_process_without_traffic_says_that_it_is_alive() -> None:
    """After a minute without events an empty batch is written, so that the silence is not taken for a death."""
    monitor, writer, store, time = create()
    monitor.observe(ANSWERED)
    writer.run(store)
    time.now += HEARTBEAT_S - 1
    writer.run(store)
    assert [batch.number for batch in store.batches] == [1]
    time.now += 1
    writer.run(store)
    assert [(batch.number, len(batch.cells)) for batch in store.batches] == [(1, 1), (2, 0)]


def test_a_child_numbers_its_own_batches() -> None:
    """After a fork, a batch that the parent could not write is the parent's alone."""
    monitor, writer, store, _ = create()
    store.fails = "before"
    monitor.observe(ANSWERED)
    with pytest.raises(StoreError):
        writer.run(store)
    monitor.renew_after_fork()
    writer.renew_after_fork()
    store.fails = None
    assert not writer.is_behind
    writer.run(store)
    assert store.count_requests() == 0
    monitor.observe(ANSWERED)
    writer.run(store)
    assert store.batches[-1].number == 1


def test_old_cells_are_added_up() -> None:
    """Compaction passes on the time of day and how long metrics are kept."""
    monitor, writer, store, time = create()
    monitor.observe(ANSWERED)
    writer.run(store)
    compaction = Compaction(keep_days=400, time=time.work)
    compaction.run(store)
    assert [key.span_s for key, _ in store.metrics.read()] == [60]
    time.now += 3 * 86400
    compaction.run(store)
    assert [key.span_s for key, _ in store.metrics.read()] == [3600]
    time.now += 402 * 86400
    compaction.run(store)
    assert list(store.metrics.read()) == []
