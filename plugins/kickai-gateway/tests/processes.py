"""The program ``kickai serve`` as a process, with a scripted provider that is installed for it."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sysconfig
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
from attrs import define, field

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROGRAM = Path(sysconfig.get_path("scripts")) / "kickai"
TESTS = Path(__file__).parent

SETTINGS = """
[kickai]
primary = "one"
fallback = []
plugins = ["one"]
"""


@define
class Served:
    """A running gateway.

    Attributes:
        process: The process that was started.
        folder: Its working directory, with ``kickai.toml``.
        lines: What it wrote to standard error so far.
    """

    process: subprocess.Popen[str]
    folder: Path
    lines: list[str] = field(factory=list)
    _queue: queue.Queue[str | None] = field(factory=queue.Queue)

    def __attrs_post_init__(self) -> None:
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line)
        self._queue.put(None)

    def wait_for_line(self, pattern: str, timeout_s: float = 60) -> re.Match[str]:
        """Return the first further line that matches."""
        until = time.monotonic() + timeout_s
        while True:
            line = self._queue.get(timeout=max(0.01, until - time.monotonic()))
            if line is None:
                self._queue.put(None)
                raise AssertionError(f"it ended: {self.lines}")
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found

    @property
    def url(self) -> str:
        """The address, as it was announced."""
        return next(found[1] for line in self.lines if (found := re.search(r"serving (\S+)/v1", line)))

    def client(self) -> httpx.Client:
        """Return a client of plain HTTP."""
        return httpx.Client(base_url=self.url, timeout=30)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def end(self) -> list[str]:
        """Kill it if it still runs, and return all that it wrote."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while (line := self._queue.get(timeout=30)) is not None:
            self.lines.append(line)
        assert self.process.stderr is not None
        self.process.stderr.close()
        return self.lines

    def children(self) -> list[int]:
        """Return the processes that it has started and that still run."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def install_provider(folder: Path) -> Path:
    """Install the scripted provider ``one`` into a folder, and return the folder."""
    site = folder / "site"
    info = site / "one-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "one_plugin.py").write_text('from scripted import Script\n\nplugin = Script().plugin("one")\n')
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: one\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kickai.providers]\none = one_plugin:plugin\n")
    return site


def start(folder: Path, *arguments: str, settings: str = SETTINGS) -> Served:
    """Start the program in a folder."""
    (folder / "kickai.toml").write_text(settings)
    site = folder / "site"
    paths = os.pathsep.join(map(str, (install_provider(folder) if not site.exists() else site, TESTS)))
    process = subprocess.Popen(
        [str(PROGRAM), "serve", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": paths, "PYTHONWARNINGS": "error", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return Served(process, folder)


@contextmanager
def run(folder: Path, *arguments: str, settings: str = SETTINGS) -> Iterator[Served]:
    """Run the program on a free port within the ``with`` block."""
    served = start(folder, "--port", "0", *arguments, settings=settings)
    try:
        served.wait_for_line("serving http")
        yield served
    finally:
        served.end()


def wait_until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    """Wait until a condition holds."""
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it never came true"
        time.sleep(0.02)
