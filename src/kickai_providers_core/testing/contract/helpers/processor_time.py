"""How long the current thread had to wait for a processor, which is not the fault of the code that is tested."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

__all__ = ["read_processor_wait_s"]

SCHEDSTAT = Path("/proc/thread-self/schedstat")
"""On Linux: nanoseconds on a processor, nanoseconds of waiting for one, and the number of time slices; see proc(5)."""


def read_processor_wait_s(path: Path = SCHEDSTAT) -> float:
    """Return the seconds in which this thread could run and had no processor, since it began; 0 where unknown."""
    with suppress(OSError, ValueError, IndexError):
        return int(path.read_text(encoding="ascii").split()[1]) / 1e9
    return 0.0
