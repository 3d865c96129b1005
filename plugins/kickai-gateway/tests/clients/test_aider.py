"""aider, which calls through LiteLLM's client."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest
from scripted import TEXT

PROGRAM = Path(sysconfig.get_path("scripts")) / "aider"

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="runs in nox -s gateway-clients")


def test_a_message_is_answered(base_url, tmp_path):
    """Streamed and whole; it prints the answer and the token counts."""
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "OPENAI_API_KEY": "none", "OPENAI_API_BASE": base_url}
    quiet = ("--no-git", "--yes-always", "--no-check-update", "--no-show-model-warnings", "--analytics-disable")
    for mode in ("--stream", "--no-stream"):
        done = subprocess.run(
            [str(PROGRAM), "--model", "openai/one:large", *quiet, mode, "--no-pretty", "--message", "Who can play?"],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, done.stderr
        assert TEXT in done.stdout, done.stdout + done.stderr
        assert "Tokens:" in done.stdout
