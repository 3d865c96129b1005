"""Writes the monitor's sums to a store, each batch exactly once, and adds up old ones there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.values.metrics import HEARTBEAT_S, MetricsBatch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.concurrency.clock import Clockwork
    from kickai_providers_core.concurrency.process_name import ProcessName
    from kickai_providers_core.observability.monitor import Monitor
    from kickai_providers_core.stores.api import Metrics, Store
    from kickai_providers_core.values.metrics import Cell, CellKey

__all__ = ["Compaction", "MetricsWriter"]


class MetricsWriter:
    """Writes what a monitor has counted. Used by one thread at a time.

    Whether a batch was written is unknown when the store fails. It is written again as it is, under the same number,
    which the store adds only once. Until that has succeeded, the monitor keeps what comes after it.
    """

    def __init__(self, monitor: Monitor, process: ProcessName, time: Clockwork) -> None:
        self._monitor = monitor
        self._process = process
        self._time = time
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Start from nothing in a child: the parent writes its own batches."""
        self._number = 0
        self._unwritten: MetricsBatch | None = None
        self._written_at = self._time.clock()

    def run(self, store: Store) -> None:
        """Write what was counted, if anything, or from time to time that this process is alive.

        Raises:
            StoreError: The store failed. The next run writes the same.
        """
        metrics = store.metrics  # opens a store that is not open yet, before there is something to write
        self._write_again(metrics)
        cells = self._monitor.drain()
        is_silent = self._number > 0 and self._time.clock() - self._written_at >= HEARTBEAT_S
        if cells or is_silent:
            self._write(metrics, cells, is_final=False)

    def finish(self, store: Store) -> None:
        """Write what was counted, and that no batch follows.

        Raises:
            StoreError: The store failed.
        """
        if self._unwritten is None and self._monitor.is_empty and self._number == 0:
            return
        metrics = store.metrics
        self._write_again(metrics)
        self._write(metrics, self._monitor.drain(), is_final=True)

    @property
    def is_behind(self) -> bool:
        """Whether a batch could not be written."""
        return self._unwritten is not None

    def _write_again(self, metrics: Metrics) -> None:
        if self._unwritten is not None:
            self._send(metrics, self._unwritten)

    def _write(self, metrics: Metrics, cells: Mapping[CellKey, Cell], *, is_final: bool) -> None:
        self._number += 1
        batch = MetricsBatch(process=self._process.text, number=self._number, cells=cells, is_final=is_final)
        self._send(metrics, batch)

    def _send(self, metrics: Metrics, batch: MetricsBatch) -> None:
        self._unwritten = batch
        metrics.add(batch)
        self._unwritten = None
        self._written_at = self._time.clock()


class Compaction:
    """Adds up old cells in a store. Used by one thread at a time.

    Args:
        keep_days: Days after which cells are deleted.
        time: The clock.
    """

    def __init__(self, keep_days: int, time: Clockwork) -> None:
        self._keep_days = keep_days
        self._time = time

    def run(self, store: Store) -> None:
        """Add up old cells.

        Raises:
            StoreError: The store failed.
        """
        store.metrics.compact(self._time.wall(), self._keep_days)
