"""aimock from npm: another project's reading of the protocols of OpenAI, Gemini and Ollama.

``nox -s aimock`` installs it, and names its program in ``KICKAI_AIMOCK``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FIXTURES = Path(__file__).with_name("fixtures.json")
START_S = 30.0


def _find_free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def _is_listening(port: int) -> bool:
    with closing(socket.socket()) as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def serving(*options: str) -> Iterator[str]:
    """Run aimock with options; yield its address."""
    program = os.environ.get("KICKAI_AIMOCK")
    if not program:
        pytest.skip("run it with nox -s aimock, which installs aimock from npm")
    port = _find_free_port()
    command = [program, "-p", str(port), "-f", str(FIXTURES), "--log-level", "silent", "--strict", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + START_S
        while not _is_listening(port):
            if process.poll() is not None or time.monotonic() > until:
                process.kill()
                assert process.stderr is not None
                pytest.fail(f"aimock did not start: {process.stderr.read().decode()}")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture(scope="module")
def aimock() -> Iterator[str]:
    """A service that answers as the fixtures say."""
    with serving("--chunk-size", "5") as url:
        yield url


@pytest.fixture(scope="module")
def broken() -> Iterator[Callable[[str], str]]:
    """Return a function that returns the address of a service with one kind of fault."""
    running: dict[str, tuple[object, str]] = {}

    def start(fault: str) -> str:
        if fault not in running:
            context = serving(f"--chaos-{fault}", "1")
            running[fault] = (context, context.__enter__())
        return running[fault][1]

    yield start
    for context, _ in running.values():
        context.__exit__(None, None, None)  # type: ignore[attr-defined]
