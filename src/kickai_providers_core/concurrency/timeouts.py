"""Limits of time for what awaits: as `asyncio.timeout`, with one timer for all that is under way on an event loop.

A timer of its own is set for nothing by nearly every call, and takes a third of all that a healthy call costs. Here a
call writes down when it ends, and takes that back when it has ended. The loop's timer is set for the soonest end, left
as it is when that end is taken back, and looks for the next when it rings: about once in the length of a timeout,
however many calls there are.
"""

from __future__ import annotations

import asyncio
from threading import local
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Alarm", "Alarms", "Bell"]

NEVER = float("inf")


class Alarms(local):
    """The alarms of each event loop. May be shared: a thread runs one loop at a time, and sees the alarms of that."""

    _latest: _OfLoop | None = None

    def after(self, seconds: float) -> Alarm:
        """Return a context that ends what the task awaits in it after so many seconds, with a TimeoutError."""
        return Alarm(self._of(asyncio.get_running_loop()), seconds)

    def settling(self, future: asyncio.Future[Any], seconds: float) -> Bell:
        """Settle a future with None after so many seconds, unless the bell is stopped before."""
        return Bell(self._of(future.get_loop()), future, seconds)

    def _of(self, loop: asyncio.AbstractEventLoop) -> _OfLoop:
        latest = self._latest
        if latest is None or latest.loop is not loop:
            self._latest = latest = _OfLoop(loop)
        return latest


class _OfLoop:
    """The alarms that are set on one event loop, and its timer."""

    __slots__ = ("loop", "rings_at", "timer", "under_way")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.under_way: set[Alarm | Bell] = set()
        self.rings_at = NEVER
        self.timer: asyncio.TimerHandle | None = None

    def add(self, alarm: Alarm | Bell) -> None:
        """Have an alarm ring when it is time."""
        self.under_way.add(alarm)
        if alarm.ends < self.rings_at:
            self.ring_at(alarm.ends)

    def ring_at(self, when: float) -> None:
        """Set the timer."""
        if self.timer is not None:
            self.timer.cancel()
        self.rings_at, self.timer = when, self.loop.call_at(when, self._ring)

    def _ring(self) -> None:
        """End what is over time, and set the timer for whatever is next."""
        self.rings_at, self.timer = NEVER, None
        now = self.loop.time()
        for alarm in [alarm for alarm in self.under_way if alarm.ends <= now]:
            alarm.ring()
        if self.under_way:
            self.ring_at(min(alarm.ends for alarm in self.under_way))


class Alarm:
    """One limit of time, as a context to be entered once by the task that awaits."""

    __slots__ = ("_cancelling", "_rang", "_set", "_task", "ends")

    def __init__(self, set_: _OfLoop, seconds: float) -> None:
        self._set = set_
        self._rang = False
        self.ends = set_.loop.time() + seconds

    def __enter__(self) -> None:
        task = asyncio.current_task(self._set.loop)
        if task is None:
            message = "a limit of time needs a task that it can cancel"
            raise RuntimeError(message)
        self._task = task
        self._cancelling = task.cancelling()
        self._set.add(self)

    def ring(self) -> None:
        """Cancel what the task awaits."""
        self._rang = True
        self._set.under_way.discard(self)
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._rang:
            self._set.under_way.discard(self)
        # Whoever else cancelled the task meanwhile is obeyed, as by `asyncio.timeout`.
        elif self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Bell:
    """One limit of time for who awaits a future that nothing else settles with None."""

    __slots__ = ("_future", "_set", "ends")

    def __init__(self, set_: _OfLoop, future: asyncio.Future[Any], seconds: float) -> None:
        self._set = set_
        self._future = future
        self.ends = set_.loop.time() + seconds
        set_.add(self)

    def ring(self) -> None:
        """Settle the future."""
        self.stop()
        if not self._future.done():
            self._future.set_result(None)

    def stop(self) -> None:
        """Take it back."""
        self._set.under_way.discard(self)
