"""The plugin and a real model, from the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ECHO = "Repeat exactly: KICKAI-42"


@pytest.fixture
def kickai(llama, tmp_path):
    """Return a function that runs ``kickai`` with settings for the real model and for a server that does not run."""
    (tmp_path / "kickai.toml").write_text(
        f"""
        [kickai]
        primary = "llama"
        fallback = []
        deadline_s = 120
        [providers.llama]
        kind = "huggingface"
        base_url = "{llama.url}"
        token = {{ env = "LLAMA_KEY" }}
        timeout_s = 120
        [roles.echo]
        temperature = 0.0
        max_tokens = 16
        [providers.gone]
        kind = "huggingface"
        base_url = "http://127.0.0.1:9"
        retries = 0
        """
    )

    def run(*arguments, key=None):
        environment = {
            **os.environ,
            "LLAMA_KEY": key or llama.key.reveal(),
            "HF_TOKEN": "hf_never_sent",
            "COLUMNS": "200",
        }
        command = [str(Path(sys.executable).with_name("kickai")), *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180, check=False
        )

    return run


def test_a_question_is_answered(kickai):
    """Standard output has the answer and nothing else."""
    done = kickai("ask", "--role", "echo", "--chain", "llama", ECHO)
    assert (done.returncode, "KICKAI-42" in done.stdout) == (0, True), done.stderr


def test_an_answer_is_streamed(kickai):
    """The output is the same."""
    done = kickai("ask", "--role", "echo", "--chain", "llama", "--stream", ECHO)
    assert (done.returncode, "KICKAI-42" in done.stdout) == (0, True), done.stderr


def test_a_chain_falls_back_to_the_model(kickai):
    """A server that does not run is skipped, and the reply says so."""
    done = kickai("ask", "--role", "echo", "--chain", "gone,llama", "--json", ECHO)
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert "KICKAI-42" in reply["text"]
    assert (reply["provider"], reply["fell_back"], len(reply["attempts"])) == ("llama", True, 2)
    assert reply["usage"]["input_tokens"] > 10


def test_a_wrong_key_is_an_error_without_a_traceback(kickai):
    """The message contains no key."""
    done = kickai("ask", "--role", "echo", "--chain", "llama", ECHO, key="wrong-key")
    assert done.returncode == 1
    assert "the key" in done.stderr
    assert "Traceback" not in done.stderr
    assert "wrong-key" not in done.stdout + done.stderr


def test_the_doctor_finds_a_refused_key(kickai):
    """With ``--online`` it calls the server."""
    done = kickai("doctor", "--online", key="wrong-key")
    assert done.returncode == 1
    assert "does not accept the key" in done.stdout + done.stderr
    assert "wrong-key" not in done.stdout + done.stderr
