"""How much memory a process holds."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

__all__ = ["resident_mb"]


def resident_mb() -> float:
    """Return the resident size of this process in MB; its peak where the system does not tell the present one."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 1024
