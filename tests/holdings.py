"""What this process holds: threads, open files (a socket is one), memory; and what a piece of work leaves of them."""

from __future__ import annotations

import gc
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Holdings", "nothing_left"]

FILES = Path("/proc/self/fd")
TICK_S = 0.005


@frozen
class Holdings:
    """What this process holds at one moment, in numbers."""

    threads: int
    files: int
    sockets: int
    memory_mb: float
    objects: int

    @classmethod
    def now(cls) -> Holdings:
        """Count, after the collector has had its ticket."""
        gc.collect()
        files = [target for _, target in _files()]
        sockets = sum(target.startswith("socket:") for target in files)
        status = Path("/proc/self/status").read_text(encoding="ascii").split("VmRSS:")[1]
        memory_mb = int(status.split()[0]) / 1024
        return cls(threading.active_count(), len(files), sockets, memory_mb, len(gc.get_objects()))

    def __str__(self) -> str:
        counts = f"{self.threads} threads, {self.files} open files, {self.sockets} of them sockets"
        return f"{counts}, {self.memory_mb:.1f} MB, {self.objects} objects"


@contextmanager
def nothing_left(within_s: float = 20.0) -> Iterator[None]:
    """Hold that no thread and no open file is there after the block that was not there before it.

    Args:
        within_s: How long those that are on their way out may take.
    """
    before = _belongings()
    yield
    ends = time.monotonic() + within_s
    while left := _belongings() - before:
        if time.monotonic() > ends:
            gc.collect()  # what only waits for the collector is told apart from what is held
            message = f"after {within_s:g} s these are left: {left}, and after a collection {_belongings() - before}"
            raise AssertionError(message)
        time.sleep(TICK_S)


def _belongings() -> set[object]:
    return {*threading.enumerate(), *_files()}


def _files() -> list[tuple[str, str]]:
    """Return the open files by number, with what each of them is; none where the system does not tell."""
    found = []
    for entry in FILES.iterdir() if FILES.exists() else ():
        try:
            found.append((entry.name, str(entry.readlink())))
        except FileNotFoundError:  # the listing itself was one of them
            continue
    return found
