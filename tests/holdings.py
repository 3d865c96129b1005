"""The threads, open files, sockets and memory of this process, and a check that a block of code leaves none behind."""

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
    """The resources of this process at one moment."""

    threads: int
    files: int
    sockets: int
    memory_mb: float
    objects: int

    @classmethod
    def now(cls) -> Holdings:
        """Count, after a garbage collection."""
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
    """Check that the block leaves no thread and no open file behind.

    Args:
        within_s: How long they may take to end.
    """
    before = _belongings()
    yield
    ends = time.monotonic() + within_s
    while left := _belongings() - before:
        if time.monotonic() > ends:
            gc.collect()  # so that the message separates leaks from uncollected garbage
            message = f"after {within_s:g} s these are left: {left}, and after a collection {_belongings() - before}"
            raise AssertionError(message)
        time.sleep(TICK_S)


def _belongings() -> set[object]:
    return {*threading.enumerate(), *_files()}


def _files() -> list[tuple[str, str]]:
    """Return the number and target of each open file; none on systems without /proc."""
    found = []
    for entry in FILES.iterdir() if FILES.exists() else ():
        try:
            found.append((entry.name, str(entry.readlink())))
        except FileNotFoundError:  # the listing itself was one of them
            continue
    return found
