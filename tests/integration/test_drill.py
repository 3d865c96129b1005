"""The drill, in short: a whole rollout with real processes, checked request by request."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment

pytest.importorskip("kickai_mock", reason="the drill simulates providers with kickai-mock")

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorials" / "rollout.md"


@pytest.mark.slow
def test_the_drill_passes_and_writes_the_report(tmp_path: Path) -> None:
    """No request is lost, every key takes its arm, and the report's figures are the drill's own."""
    page = tmp_path / "report.html"
    command = [
        sys.executable,
        "-m",
        "kickai_providers_core.operations.drill",
        "--requests",
        "4000",
        "--html",
        str(page),
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no request was lost, every key took its arm, and all figures agree" in done.stdout
    assert "the guard went back to 0%" in done.stdout
    assert "<html" in page.read_text(encoding="utf-8")
    shown = find_events(TUTORIAL.read_text(encoding="utf-8"))
    assert len(shown) > 10
    assert shown <= find_events(done.stdout)


def find_events(text: str) -> set[str]:
    """Return the lines with a time, without it and without other numbers, which differ from run to run."""
    lines = re.findall(r"^ *\d+\.\d s  (.+)$", text, re.MULTILINE)
    return {re.sub(r"\d[\d.,e+]*", "N", line) for line in lines if not line.startswith("huggingface has")}
