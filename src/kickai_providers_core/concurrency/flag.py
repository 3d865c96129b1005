"""A flag that threads wait for, and that an interrupted wait never leaves locked."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import TIMEOUT_MAX

__all__ = ["LONGEST_WAIT_S", "Flag"]

LONGEST_WAIT_S = min(TIMEOUT_MAX, 1_000_000.0)
"""The maximum wait in seconds; longer waits are shortened to it, since locks, queues and event loops can overflow."""


class Flag:
    """A flag that threads wait for. Safe to use from any thread, and in a signal handler.

    It replaces `threading.Event`, whose lock is taken in Python code: an exception of a signal handler, such as that of
    Ctrl-C, may arrive when the lock is taken and the block that releases it has not begun
    (bugs.python.org/issue29988). Then whoever uses the event next waits forever. Queues of this class wait in C.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: deque[SimpleQueue[None]] = deque()

    def is_set(self) -> bool:
        """Return whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake all threads that wait for it."""
        self._is_set = True
        for woken in tuple(self._waiting):
            woken.put(None)

    def clear(self) -> None:
        """Reset it."""
        self._is_set = False

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, and return whether it is.

        Args:
            timeout_s: Seconds to wait at most; below 0 counts as 0.
        """
        woken: SimpleQueue[None] = SimpleQueue()
        self._waiting.append(woken)  # before looking at the flag, so that `set` does not miss it
        try:
            if not self._is_set:
                with suppress(Empty):
                    woken.get(timeout=max(0.0, min(timeout_s, LONGEST_WAIT_S)))
        finally:
            self._waiting.remove(woken)
        return self._is_set
