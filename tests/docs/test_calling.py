"""The page about calling: each of its programs runs, and prints what the page shows."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from command_line import environment

from kickai_providers_core.values.call_options import ALL_KEYWORDS

PAGE = (Path(__file__).parents[2] / "docs" / "calling.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```python\n(.*?)^```\n\n```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize(("source", "shown"), [each[1:] for each in PROGRAMS], ids=[each[0] for each in PROGRAMS])
def test_the_example_prints_the_output_shown(source: str, shown: str, tmp_path: Path) -> None:
    """It runs offline, in an empty folder."""
    pytest.importorskip("kickai_mock")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        check=False,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment(),
        timeout=120,
    )
    assert (done.stdout, done.stderr) == (shown, "")


def test_every_example_has_an_output() -> None:
    """No block of Python is left untested."""
    assert len(PROGRAMS) == PAGE.count("```python")


def test_the_page_has_every_keyword() -> None:
    """Each override is in the table."""
    assert [name for name in ALL_KEYWORDS if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize(
    ("name", "plugin"),
    [
        ("huggingface", "kickai_hf"),
        ("gemini", "kickai_gemini"),
        ("ollama", "kickai_ollama"),
        ("local", "kickai_local"),
        ("mock", "kickai_mock"),
    ],
)
def test_the_page_has_every_option(name: str, plugin: str) -> None:
    """The row of each provider lists its options in their order."""
    pytest.importorskip(plugin, reason="runs in nox -s together")
    info = import_module(f"{plugin}.plugin").plugin.kickai_provider_info()
    (row,) = re.findall(rf"^\| `{name}` \| (.*) \|$", PAGE, re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == list(info.options)
