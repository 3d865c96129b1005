"""Runs the processes of `StoreContract`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["StoreProcess", "run_workers", "start_workers"]

PATIENCE_S = 240.0
"""Seconds for which a test waits for a process."""

MODULE = "kickai_providers_core.testing.store_worker"


class StoreProcess:
    """A process that performs one task with a store.

    Args:
        options: The task; see `kickai_providers_core.testing.store_worker`.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(  # noqa: S603  the command is fixed
            [sys.executable, "-m", MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self._send(json.dumps(options))

    def _send(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def wait_until_ready(self) -> None:
        """Wait until the store is open."""
        line = self.read_line()
        assert line == "ready", self._describe(line)

    def begin(self) -> None:
        """Let it perform its task."""
        self._send("go")

    def read_line(self) -> str:
        """Return the next line that it writes; empty at its end."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def get_result(self) -> Any:
        """Wait for its end, and return the result."""
        out, err = self._process.communicate(timeout=PATIENCE_S)
        assert self._process.returncode == 0, self._describe(err)
        return json.loads(out.splitlines()[-1])

    def kill(self) -> list[str]:
        """End it with ``SIGKILL``, and return the lines that were not read."""
        self._process.kill()
        stdout = self._process.stdout
        # `communicate` would skip the lines that `read_line` has read ahead.
        out = "" if stdout is None or stdout.closed else stdout.read()
        self._process.communicate(timeout=PATIENCE_S)
        return [line.strip() for line in out.splitlines() if line.strip()]

    def _describe(self, text: str) -> str:
        return f"the process has failed with exit code {self._process.poll()}: {text}"


@contextmanager
def start_workers(options: Sequence[Mapping[str, Any]]) -> Iterator[list[StoreProcess]]:
    """Start processes, let them begin at the same time, and end them at the end."""
    workers: list[StoreProcess] = []
    try:
        workers += [StoreProcess(each) for each in options]
        for worker in workers:
            worker.wait_until_ready()
        for worker in workers:
            worker.begin()
        yield workers
    finally:
        for worker in workers:
            worker.kill()


def run_workers(options: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Run processes, and return their results."""
    with start_workers(options) as workers:
        return [worker.get_result() for worker in workers]
