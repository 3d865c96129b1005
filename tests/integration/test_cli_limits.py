"""The command line in unusual conditions: closed streams, special files, missing folders."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import PROGRAM, CommandLine, environment

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
COMMANDS = ("ask hi", "providers", "roles", "doctor")
ENV = {"KICKAI_PRIMARY": "mock", "KICKAI_FALLBACK": "none", "KICKAI_PLUGINS": "mock"}


def shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script in which ``$kickai`` is the installed program."""
    return subprocess.run(
        ["/bin/bash", "-c", script],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        env=environment(kickai=f"{sys.executable} {PROGRAM}", **ENV, **variables),
        timeout=120,
    )


@pytest.mark.parametrize("command", [*COMMANDS, "--help", "ask --help", "--version"])
def test_a_standard_output_that_cannot_be_written_to_has_exit_code_74(command: str, tmp_path: Path) -> None:
    """One line and no traceback, when it is closed or full."""
    for redirection, why in ((">&-", "standard output is closed"), (">/dev/full", "No space left on device")):
        ended = shell(f"$kickai {command} {redirection}", tmp_path)
        assert (ended.returncode, ended.stdout) == (74, "")
        assert ended.stderr.endswith(f"{why}\n")
        assert ended.stderr.startswith("kickai: ") or command == "ask hi"
        assert "Traceback" not in ended.stderr
    assert shell(f"$kickai {command} >&- 2>&-", tmp_path).returncode == 74


@pytest.mark.parametrize("command", ["ask hi", "doctor", "--help"])
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&-"])
def test_other_closed_streams_do_not_prevent_the_result(command: str, redirection: str, tmp_path: Path) -> None:
    """Standard error and standard input may be closed."""
    ended = shell(f"$kickai {command} {redirection}", tmp_path)
    assert ended.returncode == 0
    assert ended.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_deleted_working_directory_is_an_error(command: str, tmp_path: Path) -> None:
    """A settings file with its full path works from there, and so does --help."""
    (tmp_path / "own.toml").write_text("")
    away = f"mkdir gone && cd gone && rmdir {tmp_path}/gone && "
    ended = shell(f"{away}$kickai {command}", tmp_path)
    assert ended.returncode == 2
    assert ended.stderr.startswith(
        "kickai: the working directory cannot be used to look for kickai.toml: No such file or directory"
    )
    assert len(ended.stderr.splitlines()) == 1
    assert shell(f"{away}$kickai {command} --config {tmp_path}/own.toml", tmp_path).returncode == 0
    assert shell(f"{away}$kickai {command.split(maxsplit=1)[0]} --help", tmp_path).returncode == 0


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("fifo", "got a named pipe"),
        ("folder", "got a directory"),
        ("/dev/zero", "got a device"),
        ("huge", "got a file of more than 1024 KiB"),
        ("bytes", "not UTF-8 text (invalid byte at position 0)"),
        ("nul", "invalid TOML: Invalid statement (at line 1, column 1)"),
        ("deep", "arrays or tables are nested too deeply"),
        ("none", "file not found"),
        ("~nobody-of-this-name/x", "names a home directory that does not exist"),
    ],
)
def test_an_invalid_config_path_is_an_error(
    kickai: CommandLine, command: str, path: str, message: str, tmp_path: Path
) -> None:
    """One line; nothing blocks, and no endless file is read."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    (tmp_path / "huge").write_bytes(b"#" * 2_000_000)
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "nul").write_bytes(b"\0")
    (tmp_path / "deep").write_text("a = " + "[" * 100_000)
    ended = kickai(*command.split(), "--config", path)
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_reports_an_ignored_settings_file(kickai: CommandLine, command: str) -> None:
    """With how to use it anyway; the settings are the defaults. No home directory is needed."""
    kickai.write('[kickai]\nprimary = "nobody"\n')
    (kickai.folder / "kickai.toml").chmod(0o666)
    ended = kickai(*command.split(), env={**ENV, "HOME": ""})
    assert ended.code == 0, ended.err
    output = ended.out if command == "doctor" else ended.err
    assert "kickai.toml: ignored, because anyone can write to it" in output
    assert "--config" in output
