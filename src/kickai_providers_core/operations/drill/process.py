"""The processes of the drill: its workers, and the command line that its operator uses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["DrillError", "Operator", "WorkerProcess"]

COMMAND = [sys.executable, "-c", "from kickai_providers_core.cli import main; raise SystemExit(main())"]

LONGEST_S = 600.0
"""Seconds after which the drill gives up waiting, far more than anything takes."""


class DrillError(Exception):
    """Something was not as it must be."""


class WorkerProcess:
    """A worker process, and its conversation with the coordinator."""

    def __init__(self, folder: Path, name: str, seed: int) -> None:
        module = "kickai_providers_core.operations.drill.worker"
        self.name = name
        self._running = subprocess.Popen(  # noqa: S603  our own module
            [sys.executable, "-m", module, str(folder), name, str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._read("ready")

    def start(self, method: str, *values: Any) -> None:
        """Begin a call."""
        assert self._running.stdin is not None  # noqa: S101  it was opened as a pipe
        self._running.stdin.write(json.dumps([method, *values]) + "\n")
        self._running.stdin.flush()

    def finish(self) -> None:
        """Wait for the end of a call."""
        self._read("done")

    def call(self, method: str, *values: Any) -> None:
        """Make a call."""
        self.start(method, *values)
        self.finish()

    def kill(self) -> None:
        """Kill the process without warning."""
        self._running.send_signal(signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Let the process end, and wait for it."""
        for pipe in (self._running.stdin, self._running.stdout):
            if pipe is not None and pipe is self._running.stdin:
                pipe.close()
        try:
            self._running.wait(60)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        if self._running.stdout is not None:
            self._running.stdout.close()

    def _read(self, expected: str) -> None:
        line = "" if self._running.stdout is None else self._running.stdout.readline().strip()
        if line != expected:
            raise DrillError(f"the worker {self.name} ended: expected {expected!r}, got {line!r}")


class Operator:
    """Uses the command line as an operator does, and prints what happens, with the time.

    Args:
        folder: The folder with the settings.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._began = time.monotonic()

    def change(self, *arguments: str) -> None:
        """Change the rollout."""
        made = self.read("rollout", *arguments)
        self.say(f"operator: kickai rollout {' '.join(arguments)}\n          {made['what']}")

    def read(self, *arguments: str) -> Any:
        """Run a command, and return its JSON.

        Raises:
            DrillError: It failed.
        """
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("KICKAI_", "AI_"))}
        done = subprocess.run(  # noqa: S603  our own program
            [*COMMAND, *arguments, "--json"],
            cwd=self._folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=LONGEST_S,
        )
        if done.returncode:
            raise DrillError(f"kickai {' '.join(arguments)} failed: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def say(self, what: str) -> None:
        """Print what has happened."""
        print(f"{time.monotonic() - self._began:7.1f} s  {what}", flush=True)  # noqa: T201
