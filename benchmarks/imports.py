"""What importing the core costs: in fresh interpreters, beyond the libraries that it stands on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from timing import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["costs"]

PROBE = """
import json, sys, time
sys.path.insert(0, {here!r})
from memory import resident_mb
bare = resident_mb()
import attrs, loguru, pluggy
began, busy = time.perf_counter(), time.process_time()
import kickai_providers_core
took, cpu = time.perf_counter() - began, time.process_time() - busy
from kickai_providers_core import Resolver
whole = time.process_time() - busy
print(json.dumps([took * 1e3, cpu * 1e3, whole * 1e3, resident_mb() - bare]))
"""


def costs(rounds: int) -> Iterator[Figure]:
    """Import the core in fresh interpreters."""
    code = PROBE.format(here=str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as compiled:
        # As after an installation: with compiled modules, whatever the environment says about writing them.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = compiled
        command = [sys.executable, "-c", code]
        found = [json.loads(subprocess.check_output(command, env=env)) for _ in range(rounds + 1)]  # noqa: S603
    wall, cpu, whole, memory = zip(*found[1:], strict=True)  # the first had to compile
    yield Figure(
        name="import, beyond pluggy, attrs and loguru",
        value=median(cpu),
        bound=25.0,
        unit="ms",
        detail=f"CPU time; on the clock {median(wall):.1f} ms (least {min(wall):.1f})",
    )
    yield Figure(
        name="with all that a resolver needs, which is imported with it",
        value=median(whole),
        unit="ms",
        detail=f"CPU time; least {min(whole):.1f}",
    )
    yield Figure(name="both, resident memory beyond bare Python", value=median(memory), bound=20.0, unit="MB")
