"""The example: a crew of all ten roles, as its README runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[3] / "examples" / "kickai_crew"
README = (EXAMPLE / "README.md").read_text(encoding="utf-8")
OFFLINE = README.partition("## Without network and keys")[2]


def run(message: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the example in its folder."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("KICKAI", "MOCK", "HUGG", "GOOG"))
    }
    command = [sys.executable, "crew.py", message]
    return subprocess.run(
        command, cwd=EXAMPLE, env={**kept, **variables}, capture_output=True, text=True, check=False, timeout=300
    )


def read_exports() -> dict[str, str]:
    """Return the variables that the README exports."""
    (line,) = re.findall(r"^\$ export (.*)$", OFFLINE, re.MULTILINE)
    return dict(word.split("=", 1) for word in line.split())


def test_the_readme_shows_what_it_prints():
    """Ten agents answer, although the first provider goes down in the middle."""
    ((message, shown),) = re.findall(r'^\$ python crew.py "(.*)"\n(.*?)^```', OFFLINE, re.MULTILINE | re.DOTALL)
    done = run(message, **read_exports())
    assert (done.stdout, done.stderr, done.returncode) == (shown, "", 0)


def test_a_crew_without_a_provider_ends_with_one_line():
    """The exit code is 1, and our error is the last line."""
    done = run("hi", **{**read_exports(), "KICKAI_FALLBACK": "none"})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ChainExhaustedError: no target could answer")


def test_wrong_settings_are_named():
    """The exit code is 2."""
    done = run("hi", **{**read_exports(), "KICKAI_DEADLINE_S": "soon"})
    assert (done.returncode, done.stdout) == (2, "")
    assert "KICKAI_DEADLINE_S" in done.stderr
