"""The SQLite store with several processes and threads: locks, forks, and what they cost."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from forks import begin_child

from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.testing.store_contract.processes import run_workers
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

BOUND_S = 0.25
SLACK_S = 20 * BOUND_S
"""How long a busy machine may take for a call whose bound is 0.25 s."""

LOCKER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute(sys.argv[2])
print("locked", flush=True)
sys.stdin.read()
"""


def add(store, number=1, process="p"):
    """Add a batch."""
    cells = {CellKey(start_s=60): Cell(counters={"requests": 1})}
    store.metrics.add(MetricsBatch(process=process, number=number, cells=cells))


def count(store):
    """Return the number of requests."""
    return sum(cell.counters["requests"] for _, cell in store.metrics.read())


@pytest.fixture
def store(tmp_path):
    """Open a store with one batch."""
    opened = SqliteStore(tmp_path / "kickai.db", timeout_s=BOUND_S)
    add(opened)
    yield opened
    opened.close()


@pytest.fixture
def lock(tmp_path):
    """Return a function that locks the file in another process, and end that process."""
    processes = []

    def begin(statement):
        arguments = [sys.executable, "-c", LOCKER, str(tmp_path / "kickai.db"), statement]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout.readline() == "locked\n"

    yield begin
    for process in processes:
        process.communicate(timeout=60)


def test_a_locked_file_is_an_error_in_time(store, lock):
    """While it is locked for writing it can be read, and everything works again afterwards."""
    lock("BEGIN IMMEDIATE")
    began = time.monotonic()
    with pytest.raises(StoreError, match=r"another process keeps it locked.*SQLITE_BUSY"):
        add(store, 2)
    assert time.monotonic() - began < SLACK_S
    assert count(store) == 1


def test_a_file_that_is_locked_as_a_whole_cannot_be_read(store, lock):
    """Nor written, and both end in time."""
    lock("BEGIN EXCLUSIVE")
    for call in (count, add, SqliteStore.check):
        began = time.monotonic()
        with pytest.raises(StoreError, match="SQLITE_BUSY"):
            call(store)
        assert time.monotonic() - began < SLACK_S
    fresh = SqliteStore(store._database.path, timeout_s=BOUND_S)
    with pytest.raises(StoreError, match="SQLITE_BUSY"):
        count(fresh)
    fresh.close()


def test_a_writer_waits_for_a_short_lock(store, tmp_path):
    """A lock that ends in time does no harm."""
    patient = SqliteStore(tmp_path / "kickai.db", timeout_s=60)
    other = sqlite3.connect(tmp_path / "kickai.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor() as threads:
        added = threads.submit(add, patient, 2)
        time.sleep(0.2)
        other.execute("COMMIT")
        other.close()
        added.result(timeout=60)
    assert count(patient) == 2
    patient.close()


def test_a_slow_reader_keeps_no_writer_waiting(store):
    """Nothing is locked between two cells that it reads."""
    for number in range(2, 6):
        cells = {CellKey(start_s=60 * number + 86_400 * number): Cell(counters={"requests": 1})}
        store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
    writer = SqliteStore(store._database.path, timeout_s=BOUND_S)
    reader = store.metrics.read()
    next(reader)
    add(writer, process="q")
    add(store, 6)
    assert len(list(reader)) == 4
    writer.close()


def test_a_reader_finds_what_was_added_up_before_it_reads_the_day(store, monkeypatch):
    """Another process has moved the first minute of a day to an hour that begins earlier."""
    cells = {CellKey(start_s=90 * 60 + 86_400 * 9): Cell(counters={"requests": 1})}
    store.metrics.add(MetricsBatch(process="p", number=2, cells=cells))
    other = SqliteStore(store._database.path, timeout_s=BOUND_S)
    find_first = store.metrics._find_first

    def find_and_wait(since_s, until_s):
        found = find_first(since_s, until_s)
        other.metrics.compact(86_400 * 30, 400)
        return found

    monkeypatch.setattr(store.metrics, "_find_first", find_and_wait)
    assert count(store) == 2
    assert {key.span_s for key, _ in store.metrics.read()} == {3600}
    other.close()


def test_a_transaction_within_a_transaction_is_an_error(store):
    """Instead of a wait without end."""
    with store._database.write(), pytest.raises(StoreError, match="within one of its own transactions"):
        add(store, 2)
    assert count(store) == 1


def test_a_thread_waits_in_vain_for_another_one(store):
    """The time limit holds within a process too, and closing waits no longer either."""
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with store._database.write():
            inside.set()
            leave.wait(60)

    with ThreadPoolExecutor() as threads:
        held = threads.submit(hold)
        assert inside.wait(60)
        with pytest.raises(StoreError, match=r"another thread has used it for 0\.25 s"):
            add(store, 2)
        store.close()
        leave.set()
        held.result(timeout=60)
    add(store, 2)
    assert count(store) == 2


def test_four_processes_write_at_once(store, tmp_path):
    """Each change is there exactly once."""
    url = f"sqlite:///{tmp_path}/kickai.db"
    task = {"url": url, "namespace": "", "plugins": [], "task": "add_batches", "count": 25}
    assert run_workers([{**task, "name": f"w{at}"} for at in range(4)]) == [25] * 4
    assert sum(cell.counters["requests"] for key, cell in store.metrics.read() if key.role == "r") == 4 * 25 * 2 * 3
    assert store.check()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@needs_fork
def test_a_child_opens_its_own_connection(store):
    """It does not close that of its parent, whose transactions go on."""

    def use():
        inherited = store._database._sessions._by_process[os.getppid()].connection
        add(store, 1, "child")
        store.close()
        own = store._database._sessions.get()
        return [inherited is not None, own.connection is None, count(store)]

    assert begin_child(use)() == [True, True, 2]
    add(store, 2)
    assert count(store) == 3


@needs_fork
def test_a_fork_waits_for_the_transaction_of_another_thread(store):
    """The child would inherit its locks otherwise."""
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with store._database.write() as connection:
            connection.execute("INSERT INTO numbers VALUES ('x', 1)")
            inside.set()
            leave.wait(60)

    with ThreadPoolExecutor() as threads:
        held = threads.submit(hold)
        assert inside.wait(60)
        timer = threading.Timer(0.3, leave.set)
        timer.start()

        def use():
            add(store, 1, "child")
            return count(store)

        child = begin_child(use)
        assert leave.is_set()
        assert child() == 2
        held.result(timeout=60)
        timer.join()
    add(store, 2)
    assert count(store) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="native code forks in another way elsewhere")
def test_a_fork_of_native_code_during_a_transaction_is_an_error_in_the_child(store):
    """SQLite would use its parent's locks there; the parent is not disturbed."""
    reading, writing = os.pipe()
    with store._database.write() as connection:
        connection.execute("INSERT INTO numbers VALUES ('x', 1)")
        pid = ctypes.CDLL(None).fork()
        if not pid:
            try:
                count(store)
            except StoreError as error:
                os.write(writing, str(error).encode())
            os._exit(0)
    os.close(writing)
    with open(reading, encoding="utf-8") as pipe:  # noqa: PTH123  a descriptor
        assert pipe.read().endswith("this process was forked during a transaction")
    assert os.waitpid(pid, 0)[1] == 0
    add(store, 2)
    assert count(store) == 2
