"""The memory of this process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

__all__ = ["measure_resident_mb"]


def measure_resident_mb() -> float:
    """Return the resident size of this process in MB; on systems without ``/proc``, its maximum so far."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
