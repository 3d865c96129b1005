"""The command line for tests: in this process, or as the installed program."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen

from kickai_providers_core.cli.command_group import run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pytest

PROGRAM = Path(sysconfig.get_path("scripts")) / "kickai"

OURS = (
    "KICKAI_",
    "AI_PROVIDER",
    "HUGGINGFACE_",
    "HF_",
    "GOOGLE_",
    "GEMINI_",
    "OLLAMA_",
    "OPENAI_",
    "GROQ_",
    "NO_COLOR",
    "FORCE_COLOR",
    "SSL_CERT_",
)
"""How the variables begin that the command line, or a provider, reads."""


@frozen
class Ended:
    """The result of a run."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON value."""
        return json.loads(self.out)

    @property
    def steps(self) -> list[str]:
        """The lines of standard error, with ``…`` for each time."""
        return re.sub(r"\d+\.\d+ s\b", "… s", self.err).splitlines()


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment without variables that affect a run, and with the given ones."""
    return {name: value for name, value in os.environ.items() if not name.startswith(OURS)} | variables


class CommandLine:
    """Runs the command line in this process, in an empty folder and a clean environment."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)
        for name in set(os.environ) - set(environment()):
            monkeypatch.delenv(name)

    def write(self, text: str, name: str = "kickai.toml") -> None:
        """Write a file into the folder."""
        (self.folder / name).write_text(text, encoding="utf-8")

    def __call__(self, *arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ended:
        """Run the program, and return the result."""
        with self._monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
            for name, value in (env or {}).items():
                patch.setenv(name, value)
            code = run(arguments)
        captured = self._capsys.readouterr()
        return Ended(code, captured.out, captured.err)


def installed(*arguments: str, folder: Path, stdin: bytes | None = None, **variables: str) -> Ended:
    """Run the installed program in its own process."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(PROGRAM), *arguments],
        check=False,
        capture_output=True,
        input=stdin if stdin is not None else b"",
        cwd=folder,
        env=environment(**variables),
        timeout=60,
    )
    return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())
