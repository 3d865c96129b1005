"""The store's thread: what it does, and that nobody else waits for the store."""

from __future__ import annotations

import threading
from threading import Event, Semaphore, Thread
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core.concurrency.clock import REAL_TIME
from kickai_providers_core.concurrency.process_name import ProcessName
from kickai_providers_core.observability import store_thread as module
from kickai_providers_core.observability.monitor import Monitor
from kickai_providers_core.observability.store_thread import StoreThread
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.stores.memory.store import MemoryStore
from kickai_providers_core.values.events import RequestEnded, RequestStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.metrics import MetricsBatch

STARTED = RequestStarted(1, None, targets=1, deadline_s=10.0)
ANSWERED = RequestEnded(1, None, outcome="success", latency_s=0.5, attempts=1, provider="hf", model="m")
LONG_S = 30.0
"""Far more than anything here takes."""


class Watched(MemoryStore):
    """A memory store that records which thread calls it, and that can block or fail.

    Attributes:
        callers: The names of the threads that have called it.
        added: Released after each batch.
        entered: Set when a batch arrives.
        go_on: The store blocks while it is not set.
        error: What it raises.
        is_closed: Whether it was closed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.callers: list[str] = []
        self.added, self.entered, self.go_on = Semaphore(0), Event(), Event()
        self.error: BaseException | None = None
        self.is_closed = False
        self.go_on.set()
        self._add, self.metrics.add = self.metrics.add, self.add  # type: ignore[method-assign]

    def add(self, batch: MetricsBatch) -> None:
        """Add a batch."""
        self.callers.append(threading.current_thread().name)
        self.entered.set()
        self.go_on.wait()
        if self.error is not None:
            raise self.error
        self._add(batch)
        self.added.release()

    def close(self) -> None:
        """Record the call."""
        self.is_closed = True

    def count_requests(self) -> int:
        """Return how many requests the store has."""
        return sum(cell.counters.get("requests.success", 0) for _, cell in self.metrics.read())


@pytest.fixture
def store() -> Iterator[Watched]:
    """Return a store, and let it go on at the end."""
    store = Watched()
    yield store
    store.go_on.set()


@pytest.fixture
def thread(store: Watched) -> Iterator[StoreThread]:
    """Return a thread that writes to the store, and end it."""
    thread = create(store)
    yield thread
    store.go_on.set()
    thread.close()
    for each in threading.enumerate():
        if each.name == "kickai-store":
            each.join(LONG_S)
            assert not each.is_alive()


def create(store: Store) -> StoreThread:
    """Return the thread of a store."""
    return StoreThread(store, Monitor(REAL_TIME.wall), process=ProcessName(), time=REAL_TIME)


class Job:
    """A job that counts its runs."""

    def __init__(self, action: Callable[[], object] = lambda: None) -> None:
        self.ran = Semaphore(0)
        self.callers: set[str] = set()
        self._action = action

    def run(self, _store: Store) -> None:
        """Run once."""
        self.callers.add(threading.current_thread().name)
        try:
            self._action()
        finally:
            self.ran.release()


def test_it_starts_with_the_first_event_and_writes(store: Watched, thread: StoreThread) -> None:
    """Without events there is no thread; with one, metrics arrive from a daemon thread."""
    assert "kickai-store" not in {each.name for each in threading.enumerate()}
    thread.observe(ANSWERED)
    (running,) = [each for each in threading.enumerate() if each.name == "kickai-store"]
    assert running.daemon
    assert store.added.acquire(timeout=LONG_S)
    assert store.count_requests() == 1
    thread.observe(ANSWERED)
    assert store.added.acquire(timeout=LONG_S)
    assert store.count_requests() == 2
    assert set(store.callers) == {"kickai-store"}


def test_closing_writes_what_is_left(store: Watched, thread: StoreThread) -> None:
    """The last batch is final, and the store is closed."""
    thread.observe(ANSWERED)
    assert store.added.acquire(timeout=LONG_S)
    for _ in range(5):
        thread.observe(ANSWERED)
    (running,) = [each for each in threading.enumerate() if each.name == "kickai-store"]
    thread.close()
    running.join(LONG_S)
    assert store.count_requests() == 6
    assert [writer.is_final for writer in store.metrics.read_writers()] == [True]
    assert store.is_closed
    thread.close()
    thread.observe(ANSWERED)
    assert store.count_requests() == 6


def test_nobody_waits_for_a_store_that_blocks_for_ever(store: Watched, thread: StoreThread) -> None:
    """While the store blocks, events are counted and closing returns; only the store's thread is in the store."""
    store.go_on.clear()
    thread.observe(ANSWERED)
    assert store.entered.wait(LONG_S)
    for _ in range(1000):
        thread.observe(ANSWERED)
    status = thread.get_status()
    assert status.behind_s > 0
    thread.close()
    # All of this happened while the first call was still in the store.
    assert store.callers == ["kickai-store"]
    assert store.count_requests() == 0


def test_what_a_blocked_store_missed_is_written_later(store: Watched, thread: StoreThread) -> None:
    """The sums wait in memory until the store answers."""
    store.go_on.clear()
    thread.observe(ANSWERED)
    assert store.entered.wait(LONG_S)
    for _ in range(10):
        thread.observe(ANSWERED)
    store.go_on.set()
    thread.close()
    for each in threading.enumerate():
        if each.name == "kickai-store":
            each.join(LONG_S)
    assert store.count_requests() == 11


def test_a_failure_is_one_warning_and_a_status(
    store: Watched, thread: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing store is reported once; when it works again, nothing is missing and the failures are counted."""
    warnings: list[str] = []
    monkeypatch.setattr(module, "warn", warnings.append)
    failing = Job(lambda: (_ for _ in ()).throw(StoreError("locked by another")))
    thread.add_job(failing, 0.05)
    store.error = StoreError("locked by another")
    thread.observe(ANSWERED)
    for _ in range(2):
        assert failing.ran.acquire(timeout=LONG_S)
    while not thread.get_status().error:
        assert store.entered.wait(LONG_S)
    status = thread.get_status()
    assert status.error == "locked by another"
    assert status.failing_s is not None
    store.error = None
    assert store.added.acquire(timeout=LONG_S)
    thread.close()
    for each in threading.enumerate():
        if each.name == "kickai-store":
            each.join(LONG_S)
    assert store.count_requests() == 1
    assert len(warnings) == 1
    assert "locked by another" in warnings[0]
    failures = [cell.counters.get("store.failures", 0) for key, cell in store.metrics.read() if not key.provider]
    assert sum(failures) >= 2


def test_what_a_plugin_raises_is_not_shown(
    store: Watched, thread: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreign exceptions may contain an address with a password; even one that ends processes does no harm."""
    warnings: list[str] = []
    monkeypatch.setattr(module, "warn", warnings.append)
    store.error = SystemExit("redis://:secret@host")
    thread.observe(ANSWERED)
    assert store.entered.wait(LONG_S)
    store.entered.clear()
    assert store.entered.wait(LONG_S), "the thread has ended"
    assert "SystemExit" in thread.get_status().error
    assert "secret" not in thread.get_status().error + warnings[0]
    store.error = None
    assert thread.flush(LONG_S)
    assert thread.wait_until_read(LONG_S)


def test_jobs_run_on_the_thread_at_their_period(thread: StoreThread) -> None:
    """A job runs again and again, without any event."""
    job = Job()
    thread.add_job(job, 0.01)
    assert thread.wait_until_read(LONG_S)
    for _ in range(3):
        assert job.ran.acquire(timeout=LONG_S)
    assert job.callers == {"kickai-store"}
    assert thread.get_status() == module.StoreThreadStatus()


def test_a_hastened_job_does_not_wait_for_its_period(thread: StoreThread) -> None:
    """A change that is urgent is written at once, and what comes during a run is not forgotten."""
    job = Job()
    thread.add_job(job, 3600.0, first_after_s=3600.0)
    thread.hasten(job)
    assert job.ran.acquire(timeout=LONG_S)
    thread.hasten(job)
    thread.hasten(job)
    assert job.ran.acquire(timeout=LONG_S)


def test_an_urgent_change_is_written_before_the_end(store: Watched, thread: StoreThread) -> None:
    """Closing runs a job that was hastened and has not run yet."""
    job = Job()
    thread.add_job(job, 3600.0, first_after_s=3600.0)
    store.go_on.clear()
    thread.observe(ANSWERED)
    assert store.entered.wait(LONG_S)
    thread.hasten(job)
    closing = Thread(target=thread.close)
    closing.start()
    store.go_on.set()
    closing.join(LONG_S)
    assert job.ran.acquire(timeout=LONG_S)


def test_waiting_for_the_first_read_is_bounded(store: Watched, thread: StoreThread) -> None:
    """A store that blocks delays the creation of a resolver by the given time only."""
    store.go_on.clear()
    thread.add_job(Job(store.go_on.wait), 1.0)
    assert not thread.wait_until_read(0.01)
    store.go_on.set()
    assert thread.wait_until_read(LONG_S)


def test_a_thread_that_was_stopped_starts_again(store: Watched, thread: StoreThread) -> None:
    """A dropped resolver ends the thread; a chain that is still in use starts it again."""
    thread.observe(ANSWERED)
    thread.stop(LONG_S)
    assert "kickai-store" not in {each.name for each in threading.enumerate()}
    thread.stop(LONG_S)
    thread.observe(ANSWERED)
    thread.stop(LONG_S)
    assert store.count_requests() == 2


def test_a_machine_without_threads_fails_no_request(
    store: Watched, thread: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When no thread can start, this is reported, and the next request tries again."""
    warnings: list[str] = []
    monkeypatch.setattr(module, "warn", warnings.append)

    def refuse(_self: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(Thread, "start", refuse)
        thread.observe(ANSWERED)
        thread.observe(ANSWERED)
    assert "cannot start" in thread.get_status().error
    assert len(warnings) == 1
    thread.observe_start(STARTED)
    thread.observe(ANSWERED)
    thread.stop(LONG_S)
    assert store.count_requests() == 3


def test_a_store_that_fails_at_the_end_is_reported(
    store: Watched, thread: StoreThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last batch cannot be written, the process ends nevertheless."""
    warnings: list[str] = []
    monkeypatch.setattr(module, "warn", warnings.append)
    thread.observe(ANSWERED)
    assert store.added.acquire(timeout=LONG_S)
    store.error = StoreError("the disk is full")
    thread.observe(ANSWERED)
    thread.stop(LONG_S)
    assert "kickai-store" not in {each.name for each in threading.enumerate()}
    assert thread.get_status().error == "the disk is full"
    assert len(warnings) == 1


def test_an_event_during_the_start_does_not_wait(store: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal handler or a finalizer that serves a request while the thread starts is not blocked."""
    thread = create(store)
    begin: Any = Thread.start
    nested: list[bool] = []

    def start(self: Thread) -> None:
        if not nested:
            nested.append(True)
            thread._thread = None
            thread.observe(ANSWERED)
            thread._thread = self
        begin(self)

    monkeypatch.setattr(Thread, "start", start)
    thread.observe(ANSWERED)
    thread.stop(LONG_S)
    thread.close()
    assert store.count_requests() == 2


def test_a_flush_writes_what_was_counted_so_far(store: Watched, thread: StoreThread) -> None:
    """It returns when the store has it; without anything to write, at once and without a thread."""
    assert thread.flush(LONG_S)
    assert "kickai-store" not in {each.name for each in threading.enumerate()}
    for number in range(1, 4):
        thread.observe(ANSWERED)
        assert thread.flush(LONG_S)
        assert store.count_requests() == number


def test_a_flush_gives_up_when_the_store_does_not_write(store: Watched, thread: StoreThread) -> None:
    """A store that blocks or fails, and a thread that is closed, make it return False."""
    store.go_on.clear()
    thread.observe(ANSWERED)
    assert store.entered.wait(LONG_S)
    assert not thread.flush(0.05)
    store.error = StoreError("full")
    store.go_on.set()
    assert not thread.flush(0.05)
    thread.close()
    assert not thread.flush(LONG_S)
