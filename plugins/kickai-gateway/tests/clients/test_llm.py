"""The command line ``llm``."""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
from pathlib import Path

import pytest
from scripted import TEXT

PROGRAM = Path(sysconfig.get_path("scripts")) / "llm"

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="runs in nox -s gateway-clients")


@pytest.fixture
def ask(base_url, tmp_path):
    """Run the program."""
    models = [{"model_id": "ours", "model_name": "one:large", "api_base": base_url, "supports_schema": True}]
    (tmp_path / "extra-openai-models.yaml").write_text(json.dumps(models))

    def run(*arguments: str) -> str:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LLM_USER_PATH": str(tmp_path)}
        done = subprocess.run(
            [str(PROGRAM), "-m", "ours", *arguments], env=env, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.rstrip("\n")

    return run


def test_a_stream_and_a_whole_answer(ask):
    """The same text."""
    assert ask("Who can play?") == TEXT
    assert ask("--no-stream", "Who can play?") == TEXT


def test_a_schema(ask):
    """The answer fits it."""
    assert json.loads(ask("--schema", "name, age int", "Invent a player")) == {"name": "text", "age": 1}
