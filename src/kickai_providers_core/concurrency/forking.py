"""Makes resolvers safe to use after a fork: a child replaces everything that it must not share with its parent.

A child cannot use its parent's sockets, locks, threads and event loops, and closing them would disturb the parent. Each
resolver has a `ForkGuard` that renews its parts: from `os.register_at_fork`, and, after a fork that Python does not
notice, at the start of the next request, before any lock is taken.
"""

from __future__ import annotations

import os
import time
from importlib import import_module
from os import getpid
from threading import get_ident
from typing import TYPE_CHECKING, Any, NoReturn, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

__all__ = ["ForkAwareAwaitable", "ForkGuard", "Renewable", "never_finalize", "raise_fork_error", "require_same_process"]


IMPORTED_BY_CALLS = ("concurrent.futures.thread", "ctypes", "encodings.idna", "encodings.utf_8_sig")
"""What is otherwise imported during a first call: for the threads of an event loop, for `never_finalize`, to resolve a
host name, and to decode JSON. A child that was forked during such an import could never import it."""

FORK_WAIT_S = 10.0
"""Seconds for which a fork waits while other threads create providers: the child could never import a module whose
import was in progress."""


MAX_ROUNDS = 5
"""How many times a fork waits, since the creation of another provider may begin while it waits."""


class Renewable(Protocol):
    """A part of a resolver with locks, threads, connections or other things that a child must not share."""

    def renew_after_fork(self) -> None:
        """Replace them in the child, without using or closing those of the parent. No other thread is running yet."""


class PendingCall(Protocol):
    """A call in another thread that a fork must not interrupt."""

    @property
    def is_running(self) -> bool:
        """Whether the call is running."""

    def wait_until_done(self, timeout_s: float) -> None:
        """Wait until no call is running, unless this thread makes the call."""

    def block_new_calls(self) -> bool:
        """Prevent new calls until `allow_new_calls`, and return whether that succeeded."""

    def allow_new_calls(self) -> None:
        """Allow new calls again."""


class CancellableTask(Protocol):
    """The methods of `asyncio.Task` that wake a waiting coroutine."""

    def cancel(self, msg: Any | None = None) -> bool:
        """Cancel the coroutine."""

    def uncancel(self) -> int:
        """Revoke the cancellation."""


def never_finalize(thing: object) -> None:
    """Keep an object alive until the process ends, so that it is never finalized, not even when the interpreter exits.

    When a client is finalized, it closes its connections, and the last bytes would go through the parent's socket.
    """
    import ctypes  # noqa: PLC0415  the guard of the resolver has imported it

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def raise_fork_error(began_in: int) -> NoReturn:
    """Raise the error of a call that was running when the process forked.

    Args:
        began_in: The id of the process in which the call began.
    """
    message = (
        f"this call began in process {began_in}, which then forked process {getpid()}: process {began_in} gets its "
        "answer; make a new call in this process"
    )
    raise RuntimeError(message)


def require_same_process(began_in: int) -> None:
    """Raise an error in a child that was forked during a call.

    Args:
        began_in: The id of the process in which the call began.

    Raises:
        RuntimeError: The current process is another one.
    """
    if began_in != getpid():
        raise_fork_error(began_in)


class ForkGuard:
    """Renews the parts of one resolver in a forked child, once, before they are used there.

    Safe to use from any thread. It takes no lock.

    Args:
        parts: The parts to renew.
        pending_calls: Returns the calls that a fork must not interrupt.
        modules: What calls import when they first need it. A fork imports it before, so that it interrupts no import.

    Attributes:
        pid: The id of the process in which the parts were created or last renewed.
        calls: The awaitables that are running on event loops.
    """

    def __init__(
        self,
        parts: Iterable[Renewable] = (),
        pending_calls: Callable[[], Iterable[PendingCall]] = tuple,
        modules: Iterable[str] = (),
    ) -> None:
        for name in IMPORTED_BY_CALLS:
            import_module(name)
        self._parts = tuple(parts)
        self._pending_calls = pending_calls
        self._modules = tuple(modules)
        self._held: dict[int, list[PendingCall]] = {}
        self.pid = getpid()
        self.calls: set[ForkAwareAwaitable] = set()
        self._streams: WeakSet[Any] = WeakSet()
        _guards.add(self)

    def import_modules(self) -> None:
        """Import before a fork what calls may import, and wait for an import that is in progress."""
        for name in self._modules:
            import_module(name)

    def wait_until_done(self, ends: float) -> None:
        """Wait for the pending calls before a fork.

        Args:
            ends: The monotonic time in seconds at which to stop waiting.
        """
        for pending_call in self._pending_calls():
            pending_call.wait_until_done(max(0.0, ends - time.monotonic()))

    def block_new_calls(self) -> bool:
        """Prevent new pending calls until `allow_new_calls`, and return whether one is running nevertheless."""
        pending_calls = list(self._pending_calls())
        self._held[get_ident()] = [pending_call for pending_call in pending_calls if pending_call.block_new_calls()]
        return any(pending_call.is_running for pending_call in pending_calls)

    def allow_new_calls(self) -> None:
        """Allow new pending calls again."""
        for pending_call in self._held.pop(get_ident(), ()):
            pending_call.allow_new_calls()

    def renew_if_forked(self) -> int:
        """Renew the parts if they were created or last renewed in another process; return the id of this one."""
        pid = getpid()
        if self.pid != pid:
            self.renew()
        return pid

    def renew(self) -> None:
        """Renew the parts, and end the calls and streams that were running when the process forked."""
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

    def track_stream(self, generator: object) -> None:
        """Track a generator that reads a stream, until it is garbage-collected."""
        self._streams.add(generator)


class ForkAwareAwaitable:
    """Wraps a coroutine. In a forked child it ends with an error, and the coroutine is never resumed or closed.

    It can be awaited once, by an asyncio task.
    """

    __slots__ = ("_guard", "_inner", "_pid", "_task", "_thread", "_woken")

    def __init__(self, inner: Any, guard: ForkGuard, task: CancellableTask | None, pid: int) -> None:
        """Store the arguments.

        Args:
            inner: A coroutine, or another object with ``send``, ``throw`` and ``close``.
            guard: The guard of the resolver.
            task: The task that awaits this object and is woken in the child; None for no task.
            pid: The id of the process in which the call began.
        """
        self._inner = inner
        self._guard = guard
        self._pid = pid
        self._task = task
        self._thread = get_ident()
        self._woken = False

    def leave_to_parent(self) -> None:
        """Abandon the call in the child: it continues in the parent only."""
        never_finalize(self._inner)
        if self._task is not None and self._thread == get_ident():  # no other thread exists in the child
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
                except BaseException as exc:  # noqa: BLE001  for example a cancellation
                    step, given = inner.throw, exc
                self._require_same_process()
        finally:
            given = self._task = None  # an error refers to this frame; this breaks the reference cycles
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
    for guard in guards:
        guard.import_modules()
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
