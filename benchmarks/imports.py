"""The time and memory that importing the core takes, in new interpreters."""

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

__all__ = ["measure_imports"]

PROBE = """
import json, sys, time
sys.path.insert(0, {here!r})
from memory import measure_resident_mb
bare_mb = measure_resident_mb()
import attrs, loguru, pluggy
began, cpu = time.perf_counter(), time.process_time()
from kickai_providers_core import Resolver
cpu, elapsed = time.process_time() - cpu, time.perf_counter() - began
print(json.dumps([cpu * 1e3, elapsed * 1e3, measure_resident_mb() - bare_mb]))
"""


def measure_imports(rounds: int) -> Iterator[Figure]:
    """Import ``Resolver`` in new interpreters, after the libraries that the core depends on.

    The minimum counts, as the documentation of `timeit` advises: what is above it is other programs' doing.
    """
    code = PROBE.format(here=str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as compiled:
        # As after an installation: with compiled modules, even if the environment forbids writing them.
        env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = compiled
        command = [sys.executable, "-c", code]
        measured = [json.loads(subprocess.check_output(command, env=env)) for _ in range(rounds + 1)]  # noqa: S603
    cpu, elapsed, memory = zip(*measured[1:], strict=True)  # the first one compiled the modules
    yield Figure(
        name="import of Resolver, after attrs, loguru and pluggy",
        value=min(cpu),
        bound=60.0,
        unit="ms",
        detail=f"minimum of CPU time (median {median(cpu):.1f}); elapsed {min(elapsed):.1f} ms",
    )
    yield Figure(name="all four, resident memory beyond bare Python", value=median(memory), bound=20.0, unit="MB")
