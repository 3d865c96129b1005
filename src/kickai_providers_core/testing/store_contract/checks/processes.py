"""Several processes, some of which are killed."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.testing.store_contract.processes import run_workers, start_workers
from kickai_providers_core.testing.store_contract.spec import StoreSpec
from kickai_providers_core.testing.store_worker import make_cells
from kickai_providers_core.values.metrics import Cell, MetricsBatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from kickai_providers_core.stores.api import Store

__all__ = ["ProcessTests"]

PROCESSES = ("a", "b", "c")
KILLS = 3
ACKNOWLEDGED = 5
"""How many batches a process has added before it is killed."""

REPETITIONS = 20
"""How often a call may find the store busy; each time it waits for it."""


def require_batches(store: Store, count: int) -> None:
    """Require that the metrics are the sum of a number of batches."""
    expected = {
        key: Cell(
            counters={name: number * count for name, number in cell.counters.items()},
            latency={bucket: number * count for bucket, number in cell.latency.items()},
            first_token={bucket: number * count for bucket, number in cell.first_token.items()},
        )
        for key, cell in make_cells().items()
    }
    assert dict(store.metrics.read()) == expected


class ProcessTests(StoreSpec):
    """The guarantees hold between processes."""

    def test_processes_add_to_the_same_cells(self, store: Store, url: str) -> None:
        """The sum is exact, although each repeats what a busy store refuses."""
        results = run_workers([self.describe_task(url, "add_batches", name, count=20) for name in PROCESSES])
        require_batches(store, sum(results))
        writers = {writer.process: (writer.last_number, writer.is_final) for writer in store.metrics.read_writers()}
        assert writers == dict.fromkeys(PROCESSES, (20, True))

    def test_a_killed_process_loses_no_acknowledged_batch(self, store: Store, url: str) -> None:
        """Each batch is there as a whole or not at all, and the store goes on."""
        total = 0
        for at in range(KILLS):
            name = f"killed {at}"
            with start_workers([self.describe_task(url, "add_batches_for_ever", name)]) as [worker]:
                acknowledged = [int(worker.read_line()) for _ in range(ACKNOWLEDGED + at)]
                acknowledged += [int(line) for line in worker.kill()]
            [writer] = [each for each in store.metrics.read_writers() if each.process == name]
            assert acknowledged[-1] <= writer.last_number <= acknowledged[-1] + 1
            assert not writer.is_final
            total += writer.last_number
            require_batches(store, total)
        store.metrics.add(MetricsBatch(process="later", number=1, cells=make_cells()))
        require_batches(store, total + 1)

    def test_a_killed_process_leaves_no_half_document(self, store: Store, url: str) -> None:
        """The document is one that was acknowledged, or the one after it."""
        with start_workers([self.describe_task(url, "write_documents_for_ever", "k")]) as [worker]:
            acknowledged = [int(worker.read_line()) for _ in range(ACKNOWLEDGED)]
            acknowledged += [int(line) for line in worker.kill()]
        document = store.documents.read("killed")
        assert acknowledged[-1] <= document.version <= acknowledged[-1] + 1
        assert document.value == {"version": document.version, "filler": "x" * 20_000}
        assert store.documents.write("killed", {}, expected_version=document.version)

    def test_no_change_of_a_document_is_lost(self, store: Store, url: str) -> None:
        """Processes that change it at the same time see each other's changes."""
        run_workers([self.describe_task(url, "increment", name, count=15) for name in PROCESSES])
        assert store.documents.read("counter").value == dict.fromkeys(PROCESSES, 15)

    def test_a_lease_is_exclusive_between_processes(self, url: str, tmp_path: Path) -> None:
        """No two of them hold it at the same time."""
        tasks = [self.describe_task(url, "hold_lease", name, count=10, folder=str(tmp_path)) for name in PROCESSES]
        assert run_workers(tasks) == [0] * len(PROCESSES)

    def test_permits_never_exceed_the_limit(self, url: str) -> None:
        """All processes together use exactly as many as there are."""
        results = run_workers([self.describe_task(url, "take_permits", name) for name in PROCESSES])
        assert sum(results) == 100

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
    def test_a_fork_disturbs_nothing(self, store: Store, url: str) -> None:
        """Not even while another thread writes: parent and children go on, each with its own connection."""
        [count] = run_workers([self.describe_task(url, "fork", "f", count=30)])
        assert count == 30 + 5 * 4 + 5
        require_batches(store, count)

    def test_threads_share_a_store(self, store: Store) -> None:
        """Several threads of a process may use it at once. A call that finds it busy may fail, and is repeated."""
        failures: list[BaseException] = []

        def add(name: str) -> None:
            try:
                for number in range(1, 6):
                    _repeat(store.metrics.add, MetricsBatch(process=name, number=number, cells=make_cells()))
                    _repeat(lambda: list(store.metrics.read()))
            except BaseException as error:  # noqa: BLE001  the test shows it
                failures.append(error)

        threads = [threading.Thread(target=add, args=(name,)) for name in PROCESSES]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        require_batches(store, 5 * len(PROCESSES))


def _repeat(call: Callable[..., object], *args: object) -> None:
    """Call until the store is not too busy; the last error is raised."""
    for _ in range(REPETITIONS - 1):
        try:
            call(*args)
        except StoreError:
            continue
        return
    call(*args)
