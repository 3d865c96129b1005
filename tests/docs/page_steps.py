"""Runs the blocks of a page one after the other, as a reader would. Standard input has them as JSON.

A block with a title is written to a file of that name, Python blocks share one namespace, and shell blocks run in bash.
Each step's output is printed as one JSON array.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

SHELLS = {"sh", "console"}
NOT_RUN = ("python3 -m venv", "pip install", "export ", "git ", "nox ")
"""A session with such a command is not run: it changes the machine, needs a key, or has a test of its own."""


def run_step(language: str, title: str, source: str, namespace: dict[str, object]) -> str | None:
    """Run one block, and return what it printed; None for a session that is not run."""
    if title:
        Path(title).write_text(source, encoding="utf-8")
        return ""
    if language == "python":
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(compile(source, "page", "exec"), namespace)  # noqa: S102  the project's own page
        return output.getvalue()
    if language in SHELLS:
        return run_shell(source)
    return ""


def run_shell(source: str) -> str | None:
    """Run the commands of a session: all lines, or those after ``$``. Return their output; None if it is not run."""
    lines = source.splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")] or lines
    if any(line.startswith(NOT_RUN) for line in commands):
        return None
    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    if done.returncode:
        message = f"{commands} ended with {done.returncode}: {done.stdout}"
        raise RuntimeError(message)
    return done.stdout


if __name__ == "__main__":
    sys.path.insert(0, "")
    shared: dict[str, object] = {"__name__": "__main__"}
    print(json.dumps([run_step(*step, shared) for step in json.load(sys.stdin)]))
