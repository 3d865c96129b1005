"""The command-line page: its sessions and its JSON are real."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import import_module
from pathlib import Path

import pytest
from command_line import PROGRAM, environment, installed

from kickai_providers_core.cli.command_group import COMMANDS

pytest.importorskip("kickai_mock", reason="the page's sessions are drilled with kickai-mock")

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
SESSIONS = [
    text for text in re.findall(r"^```console\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) if "\n" in text[:-1]
]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.partition("\n")[0])
def test_a_session_of_the_page_has_the_output_that_is_shown(session: str, tmp_path: Path) -> None:
    """Times may differ."""
    command, _, shown = session.removeprefix("$ ").partition("\n")
    done = subprocess.run(
        ["bash", "-c", command],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
        env=environment(PATH=f"{PROGRAM.parent}:/usr/bin:/bin", KICKAI_PLUGINS="mock"),
    )
    assert _normalize(done.stdout) == _normalize(shown)


def _normalize(text: str) -> str:
    """Return the text without times, slow imports, and plugins that are not allowed here."""
    lines = [line for line in text.splitlines() if not line.endswith(("· not allowed", "so it was not loaded"))]
    lines = [line for line in lines if "its import took" not in line]  # a warning of a busy machine
    return re.sub(r"(?m)\d+\.\d+ s|\d+ warnings?, \d+ notes?$", "…", "\n".join(lines))


def test_the_json_of_the_page_has_the_printed_names(tmp_path: Path) -> None:
    """In the same order, including attempts and usage."""
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    promised = json.loads(shown)
    printed = installed("ask", "--chain", "mock:timeout,mock:b", "--json", "hi", folder=tmp_path).json
    assert list(printed) == list(promised)
    assert list(printed["usage"]) == list(promised["usage"])
    assert [list(each) for each in printed["attempts"]] == [list(each) for each in promised["attempts"]]


def test_completion_works_as_the_page_says(tmp_path: Path) -> None:
    """The script completes the names of commands."""
    script = installed(folder=tmp_path, _KICKAI_COMPLETE="bash_source")
    assert script.code == 0
    assert "_kickai_completion" in script.out
    words = installed(folder=tmp_path, _KICKAI_COMPLETE="bash_complete", COMP_WORDS="kickai pro", COMP_CWORD="1")
    assert words.out == "plain,providers\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_documents_every_option(name: str) -> None:
    """Each command has a section, and each of its options is on the page."""
    command = import_module(f"kickai_providers_core.cli.{name.replace('-', '_')}").command
    options = [option for parameter in command.params for option in parameter.opts if option.startswith("-")]
    assert f"## kickai {name}\n" in PAGE
    assert [option for option in options if not re.search(rf"`{option}[` ]", PAGE)] == []
