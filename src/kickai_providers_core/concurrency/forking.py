"""What happens when the process forks: a child renews what it must not share with its parent.

After a fork, sockets, locks, threads and event loops of the parent are of no use to the child, and using or closing
them harms the parent. Each resolver has a `ForkGuard` that renews its parts: from `os.register_at_fork`, and, for a
fork that Python does not notice, before the next request takes any lock.
"""

from __future__ import annotations

# The standard library imports these during a first call: for the threads of an event loop, to look up a name, and to
# decode JSON. A process that is forked meanwhile could never import them.
import concurrent.futures.thread  # noqa: F401
import ctypes
import encodings.idna
import encodings.utf_8_sig  # noqa: F401
import os
import time
from os import getpid
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["ForkAwareAwaitable", "ForkGuard", "Renewable", "never_finalize", "raise_fork_error", "require_same_process"]


FORK_WAIT_S = 10.0
"""Seconds for which a fork waits for other threads that create providers: a module that one of them is importing could
never be imported in the child."""


MAX_ROUNDS = 5
"""How often a fork starts waiting anew, when a provider's creation has begun while it waited."""


class Renewable(Protocol):
    """A part of a resolver that holds locks, threads, connections or other things that a child must not share."""

    def renew_after_fork(self) -> None:
        """Replace them, in the child, without using or closing those of the parent. No other thread runs yet."""


class PendingCall(Protocol):
    """A call in another thread that a fork must not cut in the middle."""

    @property
    def is_running(self) -> bool:
        """Whether it is under way."""

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait for its end, unless it is made by this thread."""

    def block_new_calls(self) -> bool:
        """Let none begin until `allow_new_calls`; return whether that worked."""

    def allow_new_calls(self) -> None:
        """Let them begin again."""


class CancellableTask(Protocol):
    """The part of an `asyncio.Task` that wakes a coroutine which waits."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Throw a cancellation into the coroutine."""

    def uncancel(self) -> int:
        """Take the cancellation back."""


def never_finalize(thing: object) -> None:
    """Keep an object alive until the process is gone: it is never finalized, not even when the interpreter exits.

    Clients close their connections when they are finalized, with a farewell that goes through the parent's socket.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def raise_fork_error(began_in: int) -> NoReturn:
    """Raise the error of a call that was under way when the process forked.

    Args:
        began_in: The process in which the call began.
    """
    message = (
        f"this call began in process {began_in}, which forked process {getpid()} meanwhile: its answer goes to "
        f"process {began_in}; make a new call here"
    )
    raise RuntimeError(message)


def require_same_process(began_in: int) -> None:
    """Raise in a child that was forked during a call.

    Args:
        began_in: The process in which the call began.

    Raises:
        RuntimeError: This is another process.
    """
    if began_in != getpid():
        raise_fork_error(began_in)


class ForkGuard:
    """Renews the parts of one resolver in a forked child, once, before they are used there.

    Safe to use from any thread; takes no lock.

    Args:
        parts: What to renew.
        pending_calls: Returns the calls that a fork must not cut in the middle.

    Attributes:
        pid: The process in which the parts were made or renewed last.
        calls: What is under way on event loops.
    """

    def __init__(
        self, parts: Iterable[Renewable] = (), pending_calls: Callable[[], Iterable[PendingCall]] = tuple
    ) -> None:
        self._parts = tuple(parts)
        self._pending_calls = pending_calls
        self._held: dict[int, list[PendingCall]] = {}
        self.pid = getpid()
        self.calls: set[ForkAwareAwaitable] = set()
        self._streams: WeakSet[Any] = WeakSet()
        _guards.add(self)

    def wait_until_done(self, ends: float) -> None:
        """Wait, before a fork, for the pending_calls under way, until a time on the monotonic clock."""
        for pending_call in self._pending_calls():
            pending_call.wait_until_done(max(0.0, ends - time.monotonic()))

    def block_new_calls(self) -> bool:
        """Let no pending_call begin until `allow_new_calls`; return whether one is under way all the same."""
        pending_calls = list(self._pending_calls())
        self._held[get_ident()] = [pending_call for pending_call in pending_calls if pending_call.block_new_calls()]
        return any(pending_call.is_running for pending_call in pending_calls)

    def allow_new_calls(self) -> None:
        """Let pending_calls begin again."""
        for pending_call in self._held.pop(get_ident(), ()):
            pending_call.allow_new_calls()

    def renew_if_forked(self) -> None:
        """Renew the parts if this process is not the one in which they were made or renewed last."""
        if self.pid != getpid():
            self.renew()

    def renew(self) -> None:
        """Renew the parts, and end what was under way in the thread that forked."""
        self.pid = getpid()
        self._held = {}
        calls, self.calls = self.calls, set()
        streams, self._streams = self._streams, WeakSet()
        for stream in list(streams):
            never_finalize(stream)
        for call in calls:
            call.leave_to_parent()
        for part in self._parts:
            part.renew_after_fork()

    def begin_stream(self, generator: object) -> None:
        """Note a generator that reads a stream, until it is collected."""
        self._streams.add(generator)


class ForkAwareAwaitable:
    """An awaitable that ends with an error in a forked child, where what it awaits is never resumed and never closed.

    To be awaited once, by a task of asyncio.
    """

    __slots__ = ("_guard", "_inner", "_pid", "_task", "_thread", "_woken")

    def __init__(self, inner: Any, guard: ForkGuard, task: CancellableTask | None, pid: int) -> None:
        """Take what to await.

        Args:
            inner: A coroutine, or anything else with ``send``, ``throw`` and ``close``.
            guard: The guard of the resolver that it uses.
            task: The task that awaits it, to be woken in the child; None for nothing to wake.
            pid: The process in which it began.
        """
        self._inner = inner
        self._guard = guard
        self._pid = pid
        self._task = task
        self._thread = get_ident()
        self._woken = False

    def leave_to_parent(self) -> None:
        """Take it, in the child, that the call goes on in the parent alone."""
        never_finalize(self._inner)
        if self._task is not None and self._thread == get_ident():  # no other thread is there to be woken
            self._woken = self._task.cancel()

    def __await__(self) -> Generator[Any, Any, Any]:
        inner, calls = self._inner, self._guard.calls
        step, given = inner.send, None
        calls.add(self)
        try:
            while True:
                try:
                    waited = step(given)
                except StopIteration as stop:
                    self._require_same_process()
                    return stop.value
                except BaseException:
                    self._require_same_process()
                    raise
                try:
                    step, given = inner.send, (yield waited)
                except GeneratorExit:
                    self._close()
                    raise
                except BaseException as exc:  # noqa: BLE001  such as a cancellation
                    step, given = inner.throw, exc
                self._require_same_process()
        finally:
            given = None  # an error knows this frame, and would be kept alive by it
            calls.discard(self)

    def _close(self) -> None:
        if self._pid == getpid():
            self._inner.close()
        else:
            never_finalize(self._inner)

    def _require_same_process(self) -> None:
        if self._pid != getpid():
            if self._woken and self._task is not None:
                self._task.uncancel()
            raise_fork_error(self._pid)


_guards: WeakSet[ForkGuard] = WeakSet()


def _before_fork() -> None:
    guards, ends = list(_guards), time.monotonic() + FORK_WAIT_S
    for _ in range(MAX_ROUNDS):
        for guard in guards:
            guard.wait_until_done(ends)
        begun = [guard.block_new_calls() for guard in guards]
        if not any(begun) or time.monotonic() >= ends:
            return
        _after_fork_in_parent()


def _after_fork_in_parent() -> None:
    for guard in list(_guards):
        guard.allow_new_calls()


def _after_fork_in_child() -> None:
    for guard in list(_guards):
        guard.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
