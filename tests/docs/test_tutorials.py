"""The pages that a reader follows from top to bottom run from top to bottom, with the output that they show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import PROGRAM, environment

DOCS = Path(__file__).parents[2] / "docs"
STEPS = Path(__file__).with_name("page_steps.py")
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
PAGES = [DOCS / "quick-start.md", DOCS / "testing-an-application.md", *sorted((DOCS / "tutorials").glob("*.md"))]


def find_steps(page: Path) -> tuple[list[tuple[str, str, str]], dict[int, str]]:
    """Return the blocks to run, and the output shown for each of them, by its position."""
    steps: list[tuple[str, str, str]] = []
    shown: dict[int, str] = {}
    for language, title, source in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language == "text":
            shown[len(steps) - 1] = source
            continue
        if language == "console":
            output = "\n".join(line for line in source.splitlines() if not line.startswith("$ "))
            if output:
                shown[len(steps)] = output
        steps.append((language, title, source))
    return steps, shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    """Every block runs in an empty folder, after the ones before it."""
    pytest.importorskip("kickai_mock", reason="the pages use the mock provider")
    steps, shown = find_steps(page)
    assert steps
    done = subprocess.run(
        [sys.executable, str(STEPS)],
        input=json.dumps(steps),
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(PATH=f"{PROGRAM.parent}:/usr/bin:/bin", KICKAI_PLUGINS="mock"),
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = json.loads(done.stdout)
    for position, expected in shown.items():
        if outputs[position] is None:  # the session has a test of its own
            continue
        assert normalize(outputs[position]) == normalize(expected), steps[position][2]


def normalize(text: str) -> str:
    """Return the text without times and without trailing space."""
    return re.sub(r"\d+\.\d+ s", "… s", "\n".join(line.rstrip() for line in text.strip().splitlines()))
