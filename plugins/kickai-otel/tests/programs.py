"""Runs Python programs in processes of their own: OpenTelemetry's global providers can be set once per process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["run_program"]

LONG_S = 120
"""Seconds after which a hanging program is killed, many times what a test needs."""


def run_program(text: str, env: Mapping[str, str] | None = None) -> str:
    """Run a program that can import the tests' modules, and return what it prints; fail unless it succeeds."""
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", dedent(text)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(env or {})},
        capture_output=True,
        text=True,
        timeout=LONG_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
