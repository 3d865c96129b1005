"""The page for operators: each of its commands works, one after the other, in one folder."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from command_line import PROGRAM, environment

pytest.importorskip("kickai_mock", reason="the commands are run with kickai-mock")

PAGE = (Path(__file__).parents[2] / "docs" / "operating.md").read_text(encoding="utf-8")
COMMANDS = [
    line.removeprefix("$ ")
    for block in re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]

INSTANCES = """
[providers.huggingface]
kind = "mock"

[providers.gemini]
kind = "mock"
"""
"""Simulated providers in the place of the vendors, which cannot be called here."""


def test_every_command_of_the_page_works(tmp_path: Path) -> None:
    """With the exit code 0, without a traceback."""
    assert COMMANDS[0] == "kickai init"
    assert COMMANDS[-1] == "nox -s drill"
    variables = environment(PATH=f"{PROGRAM.parent}:/usr/bin:/bin", KICKAI_PLUGINS="mock")
    for command in COMMANDS[:-1]:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        if command == "kickai init":
            settings = tmp_path / "kickai.toml"
            text = re.sub(r"(?m)^(primary|fallback) *=.*$", "", settings.read_text())
            settings.write_text(
                text.replace("[kickai]", '[kickai]\nprimary = "gemini"\nfallback = ["huggingface"]') + INSTANCES
            )


def test_the_drill_of_the_page_is_a_session() -> None:
    """Its command is one of nox's."""
    assert "def drill(" in (Path(__file__).parents[2] / "noxfile.py").read_text(encoding="utf-8")
