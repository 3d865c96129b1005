"""A process that uses a store, for `StoreContract`: ``python -m kickai_providers_core.testing.store_worker``.

It reads its task as a line of JSON, opens the store, writes ``ready``, waits for another line, performs the task, and
writes the result as JSON. Tasks without an end write a line for each thing that the store has acknowledged.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import frozen

from kickai_providers_core.plugin_api.store_opening import open_store
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core.stores.api import Store

__all__ = ["BATCH", "main", "make_cells"]

T = TypeVar("T")

PATIENCE_S = 120.0
"""Seconds for which a task repeats what a busy store refuses."""

BATCH = {"requests": 3, "error.RateLimitedError": 1}
"""The counters that each batch of a task adds to each of its two cells."""


@frozen
class StoreTask:
    """What a process has to do.

    Attributes:
        store: The open store.
        name: The name of the process.
        options: The task as the test has described it.
    """

    store: Store
    name: str
    options: Mapping[str, Any]


def _write(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def make_cells() -> dict[CellKey, Cell]:
    """Return the cells of each batch."""
    cell = Cell(counters=BATCH, latency={1: 2, 7: 1}, first_token={-3: 3})
    return {CellKey(start_s=60 * at, provider="a", model="m", role="r"): cell for at in (1, 2)}


def insist(method: Callable[..., T], *args: Any, **options: Any) -> T:
    """Return the result of a method, which is called again while the store refuses it."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return method(*args, **options)
        except StoreError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def add_batches(task: StoreTask) -> int:
    """Add batches of metrics, each until it is acknowledged."""
    count: int = task.options["count"]
    for number in range(1, count + 1):
        batch = MetricsBatch(process=task.name, number=number, cells=make_cells(), is_final=number == count)
        insist(task.store.metrics.add, batch)
    return count


def add_batches_for_ever(task: StoreTask) -> int:
    """Add batches until the process is killed, and write the number of each that is acknowledged."""
    number = 0
    while True:
        number += 1
        batch = MetricsBatch(process=task.name, number=number, cells=make_cells())
        insist(task.store.metrics.add, batch)
        _write(number)


def write_documents_for_ever(task: StoreTask) -> int:
    """Write a document until the process is killed, and write each acknowledged version."""
    version = 0
    while True:
        value = {"version": version + 1, "filler": "x" * 20_000}
        if insist(task.store.documents.write, "killed", value, expected_version=version):
            version += 1
            _write(version)


def increment(task: StoreTask) -> int:
    """Increase this process's number in a shared document."""
    mine = 0
    while mine < task.options["count"]:
        document = insist(task.store.documents.read, "counter")
        mine = document.value.get(task.name, 0)  # after an error, the change may have been made
        if mine < task.options["count"]:
            value = {**document.value, task.name: mine + 1}
            try:
                task.store.documents.write("counter", value, expected_version=document.version)
            except StoreError:
                time.sleep(0.005)
    return mine


def hold_lease(task: StoreTask) -> int:
    """Hold a lease several times, and count how often another process held it at the same time."""
    held, violations = 0, 0
    mark = Path(task.options["folder"]) / "held"
    while held < task.options["count"]:
        if insist(task.store.leases.claim, "probe", task.name, 300) is None:
            time.sleep(0.001)
            continue
        held += 1
        try:
            mark.touch(exist_ok=False)
            time.sleep(0.002)
            mark.unlink()
        except OSError:
            violations += 1
        insist(task.store.leases.release, "probe", task.name)
    return violations


def take_permits(task: StoreTask) -> int:
    """Take permits until none is left, return one now and then, and return the number that was used."""
    used = 0
    while True:
        lease = insist(task.store.leases.take_permits, "calls", task.name, amount=3, limit=100, window_s=3000)
        if lease is None:
            return used
        used += lease.amount
        if lease.amount == 3:
            insist(task.store.leases.return_permits, lease, 1)
            used -= 1


def fork(task: StoreTask) -> int:
    """Fork several times while another thread writes; return the number of batches that all processes have added."""
    count: int = task.options["count"]
    writer = threading.Thread(target=add_batches, args=(task,))
    writer.start()
    children = []
    for at in range(4):
        pid = os.fork()
        if not pid:
            code = 1
            try:
                add_batches(StoreTask(task.store, f"{task.name} child {at}", {"count": 5}))
                task.store.close()
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
        time.sleep(0.01)
    failed = [pid for pid in children if os.waitpid(pid, 0)[1]]
    writer.join()
    add_batches(StoreTask(task.store, f"{task.name} later", {"count": 5}))
    return -1 if failed else count + 5 * len(children) + 5


TASKS = (add_batches, add_batches_for_ever, write_documents_for_ever, increment, hold_lease, take_permits, fork)


def main() -> None:
    """Perform the task that the standard input describes."""
    options = json.loads(sys.stdin.readline())
    plugins = {name: import_module(name) for name in options["plugins"]}
    store = open_store(options["url"], namespace=options["namespace"], plugins=plugins)
    _write("ready")
    sys.stdin.readline()
    function = next(task for task in TASKS if task.__name__ == options["task"])
    _write(json.dumps(function(StoreTask(store, options["name"], options))))
    store.close()


if __name__ == "__main__":
    main()
