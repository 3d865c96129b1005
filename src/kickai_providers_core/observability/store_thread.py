"""The thread that writes and reads the store, so that no request waits for it."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread, current_thread
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from attrs import frozen

from kickai_providers_core.concurrency.end_of_process import EndOfProcess
from kickai_providers_core.concurrency.flag import LONGEST_WAIT_S, Flag
from kickai_providers_core.observability.metrics_writer import Compaction, MetricsWriter
from kickai_providers_core.observability.store_schedule import COMPACT_AFTER_S, COMPACT_EVERY_S, WRITE_EVERY_S, Schedule
from kickai_providers_core.plugin_api.extension_warnings import warn
from kickai_providers_core.stores.api import StoreError

if TYPE_CHECKING:
    from kickai_providers_core.concurrency.clock import Clockwork
    from kickai_providers_core.concurrency.process_name import ProcessName
    from kickai_providers_core.observability.monitor import Monitor
    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.events import Event, Observer

__all__ = ["FLUSH_S", "READ_S", "FinishingJob", "StoreJob", "StoreThread", "StoreThreadStatus"]

FLUSH_S = 0.25
"""Seconds for which closing a resolver, and the end of the process, wait for the last batch."""

READ_S = 0.25
"""Seconds for which creating a resolver waits until the store was read."""


class StoreJob(Protocol):
    """Regular work on the store."""

    def run(self, store: Store) -> None:
        """Do the work. It is called on the store's thread, and may raise `StoreError`."""


@runtime_checkable
class FinishingJob(StoreJob, Protocol):
    """Regular work that leaves something to do at the end."""

    def finish(self, store: Store) -> None:
        """Write what is pending, and return leases. It is called when the thread ends, and may raise `StoreError`."""


@frozen(kw_only=True)
class StoreThreadStatus:
    """How writing to the store goes in this process.

    Attributes:
        error: What failed last, if it has not succeeded since; else empty.
        failing_s: Seconds since it began to fail; None when it does not.
        behind_s: Seconds since metrics were last written or there were none to write. It is about a second at most,
            unless the store fails or hangs.
        lost_cells: The sums that were dropped because the store failed for too long.
    """

    error: str = ""
    failing_s: float | None = None
    behind_s: float = 0.0
    lost_cells: int = 0


class StoreThread:
    """Runs jobs on the store in one daemon thread: writes metrics once a second, and what else is added.

    The thread starts with the first request, or with `start`. Requests call `observe` and `hasten` only, which do not
    wait for the store. A job that fails is run again after a second; the first failure is a warning. Safe to use from
    any thread. A forked child drops what its parent writes, and starts a thread of its own when it needs one.

    Args:
        store: The store.
        monitor: Counts the events.
        process: The name under which this process writes.
        time: The clock.
        keep_days: Days after which metrics are deleted.

    Attributes:
        observe: Counts an event. The thread starts with the first one.
    """

    def __init__(
        self, store: Store, monitor: Monitor, *, process: ProcessName, time: Clockwork, keep_days: int = 400
    ) -> None:
        self._store = store
        self._monitor = monitor
        self.observe: Observer = monitor.observe
        monitor.on_first = self.start
        self._time = time
        self._writer = MetricsWriter(monitor, process, time)
        self._jobs: list[tuple[StoreJob, float, float]] = []
        self._has_warned = False
        self._reset()
        self.add_job(self._writer, WRITE_EVERY_S)
        self.add_job(Compaction(keep_days, time), COMPACT_EVERY_S, first_after_s=COMPACT_AFTER_S)

    def _reset(self) -> None:
        self._lock = Lock()
        self._thread: Thread | None = None
        self._end_of_process = EndOfProcess()
        self._is_closed = False
        self._signals = SimpleQueue[StoreJob | None]()
        self._hastened: set[StoreJob] = set()
        self._flushes = deque[Flag]()
        self._has_read = Flag()
        self._failures: dict[StoreJob, tuple[float, str]] = {}
        self._written_at = self._time.clock()

    def add_job(self, job: StoreJob, period_s: float, *, first_after_s: float = 0.0) -> None:
        """Add a job, before the thread starts.

        Args:
            job: The job; it must be hashable.
            period_s: Seconds from the end of one run to the next.
            first_after_s: Seconds from the start of the thread to its first run.
        """
        self._jobs.append((job, period_s, first_after_s))

    def observe_start(self, _event: Event) -> None:
        """Start the thread with the start of a request, which needs what the jobs read."""
        if self._thread is None:
            self.start()

    def start(self) -> None:
        """Start the thread, unless it runs or is closed. Call it before a request needs what a job reads."""
        # A thread that finds the lock taken need not wait: another one starts the thread.
        if self._thread is not None or self._is_closed or not self._lock.acquire(blocking=False):
            return
        try:
            self._thread = thread = Thread(target=self._run, name="kickai-store", daemon=True)
            self._end_of_process.register(self.close)
            thread.start()
        except RuntimeError as error:  # there are too many threads, or the interpreter is ending
            self._thread = None
            self._end_of_process.unregister()
            self._record_failure(self._writer, StoreError(f"its thread cannot start: {error}"))
        finally:
            self._lock.release()

    def wait_until_read(self, timeout_s: float = READ_S) -> bool:
        """Start the thread, and return whether every job has run without a failure within the time limit."""
        self.start()
        return self._has_read.wait(timeout_s) and not self._failures

    def hasten(self, job: StoreJob) -> None:
        """Run a job at once, but at most five times a second. Never waits."""
        if job not in self._hastened:
            self._hastened.add(job)
            self._signals.put(job)
        self.start()

    def flush(self, timeout_s: float) -> bool:
        """Write what was counted so far, and return whether that was done within the time limit."""
        if self._monitor.is_empty and not self._writer.is_behind and self._thread is None:
            return True
        written = Flag()
        self._flushes.append(written)
        self.hasten(self._writer)
        return not self._is_closed and written.wait(timeout_s)

    def get_status(self) -> StoreThreadStatus:
        """Return how writing to the store goes."""
        now = self._time.clock()
        failed = min(self._failures.values(), default=None)
        is_behind = self._writer.is_behind or not self._monitor.is_empty
        return StoreThreadStatus(
            error="" if failed is None else failed[1],
            failing_s=None if failed is None else max(0.0, now - failed[0]),
            behind_s=max(0.0, now - self._written_at) if is_behind else 0.0,
            lost_cells=self._monitor.lost_cells,
        )

    def close(self) -> None:
        """Write what is left, and end the thread; wait at most `FLUSH_S` seconds for it. Nothing starts it again."""
        self._is_closed = True
        self.stop(FLUSH_S)

    def stop(self, timeout_s: float = 0.0) -> None:
        """Write what is left, and end the thread. The next event starts it again, unless it is closed.

        Args:
            timeout_s: Seconds to wait for its end.
        """
        thread = self._thread
        if thread is not None and thread is not current_thread():
            self._signals.put(None)
            if timeout_s:
                thread.join(timeout_s)

    def renew_after_fork(self) -> None:
        """Drop in a child what its parent writes. A resolver that was closed stays closed."""
        is_closed = self._is_closed
        self._monitor.renew_after_fork()
        self._writer.renew_after_fork()
        self._reset()
        self._is_closed = is_closed

    # In the thread

    def _run(self) -> None:
        schedule, now = Schedule(), self._time.clock()
        for _, period_s, first_after_s in self._jobs:
            schedule.add(period_s, now + first_after_s)
        try:
            while self._run_round(schedule):
                pass
            self._finish()
        finally:
            self._thread = None
            self._end_of_process.unregister()

    def _run_round(self, schedule: Schedule) -> bool:
        """Run the jobs that are due, wait for the next one, and return whether to go on."""
        for number in schedule.find_due(self._time.clock()):
            job = self._jobs[number][0]
            self._hastened.discard(job)
            succeeded = self._run_job(job)
            schedule.record_run(number, self._time.clock(), failed=not succeeded)
        self._has_read.set()
        with suppress(Empty):
            wait_s = min(schedule.find_wait_s(self._time.clock()), LONGEST_WAIT_S)
            hastened = self._signals.get(timeout=wait_s)
            if hastened is None:
                return False
            schedule.hasten([job for job, *_ in self._jobs].index(hastened), self._time.clock())
        return True

    def _run_job(self, job: StoreJob) -> bool:
        """Run a job, and return whether it has succeeded."""
        is_writer = job is self._writer
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))] if is_writer else []
        try:
            job.run(self._store)
        except BaseException as error:  # noqa: BLE001  a store may be a plugin, and the thread must go on
            self._record_failure(job, error)
            return False
        self._failures.pop(job, None)
        if is_writer:
            self._written_at = self._time.clock()
        for written in flushes:
            written.set()
        return True

    def _finish(self) -> None:
        """Write what is left: metrics first, since time may be short."""
        try:
            self._writer.finish(self._store)
            for job in tuple(self._hastened):
                job.run(self._store)
            for job, *_ in self._jobs:
                if isinstance(job, FinishingJob):
                    job.finish(self._store)
            self._store.close()
        except BaseException as error:  # noqa: BLE001  as above
            self._record_failure(self._writer, error)

    def _record_failure(self, job: StoreJob, error: BaseException) -> None:
        # What a plugin's own exceptions say may contain an address with a password.
        text = str(error) if isinstance(error, StoreError) else f"it raised {type(error).__name__}"
        since = self._failures[job][0] if job in self._failures else self._time.clock()
        self._failures[job] = (since, text)
        self._monitor.count_failure()
        if not self._has_warned:
            self._has_warned = True
            warn(f"the store cannot be used: {text}; requests go on, and metrics are written when it works again")
