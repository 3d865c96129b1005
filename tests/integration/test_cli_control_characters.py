"""``kickai ask`` writes no characters from a service that control a terminal or reverse text."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from command_line import installed

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import CommandLine, Ended

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""C0 except tab and newline, DEL, C1, and direction embeddings, overrides and isolates."""

SEQUENCES = {
    "colour": "\x1b[31mred\x1b[0m",
    "window title": "\x1b]0;title\x07",
    "clear screen": "\x1b[2J\x1bc",
    "8-bit CSI": "\x9b31mred",
    "8-bit OSC": "\x9d0;title\x9c",
    "next line": "a\x85b",
    "overwriting": "a\rb\x08\x7f",
    "null": "a\x00b",
    "override": "abc\u202edef\u202c",
    "isolates": "abc\u2066\u2067\u2068def\u2069",
    "half a character": "a\ud83db",
}
SERVICE_TEXT = json.dumps(" ".join(SEQUENCES.values()))

STYLE = re.compile(r"\x1b\[(0|33)m")
"""Our own styles; that of the service differs."""

RUDE = """
import json, os
from kickai_providers_core import FinishReason, ProviderInfo, ProviderUnavailableError, Reply, ReplyChunk, hookimpl

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="rude", summary="repeats what its service says")

@hookimpl
def kickai_create_provider(settings):
    return json.loads(os.environ["SERVICE_SAYS"])

@hookimpl
def kickai_invoke_provider(provider, request, timeout_s):
    if request.model == "fails":
        raise ProviderUnavailableError(provider, service_message=provider, request_id=provider, status_code=503)
    if request.model == "raises":
        raise ValueError(provider)
    return Reply(text="fine", finish_reason=FinishReason.STOP, model=provider, request_id=provider, omitted=("seed",))

@hookimpl
def kickai_stream_provider(provider, request, timeout_s):
    yield ReplyChunk(text="fine", model=provider, request_id=provider)
    if request.model == "breaks":
        raise ProviderUnavailableError(provider, service_message=provider, request_id=provider)
    yield ReplyChunk(finish_reason=FinishReason.STOP)
"""

CASES = {
    "failure": ("rude:fails",),
    "unforeseen failure": ("rude:raises",),
    "answer": ("rude:answers",),
    "failure, then answer": ("rude:fails", "rude:answers"),
    "broken stream": ("--stream", "rude:breaks"),
    "streamed answer": ("--stream", "rude:answers"),
}
FLAGS = ((), ("-v",), ("--json",), ("--debug",))


@pytest.fixture
def rude(tmp_path: Path) -> Path:
    """Return a folder with an installed plugin that repeats what its service sends."""
    module = f"rude_plugin_{os.getpid()}"
    (tmp_path / f"{module}.py").write_text(RUDE, encoding="utf-8")
    info = tmp_path / "rude-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: rude\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[kickai.providers]\nrude = {module}\n", encoding="utf-8")
    settings = "[kickai]\nexpose_service_messages = true\n[providers.rude]\nretries = 0\n"
    (tmp_path / "kickai.toml").write_text(settings, encoding="utf-8")
    return tmp_path


def arguments(case: str, flags: tuple[str, ...]) -> tuple[str, ...]:
    """Return the arguments of a case."""
    streamed = ("--stream",) if "--stream" in CASES[case] else ()
    chain = ",".join(each for each in CASES[case] if each != "--stream")
    return ("ask", "--explain", *streamed, *flags, "--chain", chain, "hi")


def check(ended: Ended, command: tuple[str, ...]) -> None:
    """Check that a run wrote its explanation, and no control characters."""
    assert "rude" in ended.err, command
    assert re.search(r" s  rude:\w+: ", ended.err), command
    for text in (ended.out, ended.err):
        assert not CONTROL.search(text), (command, text)
        text.encode("utf-8")


@pytest.mark.parametrize("case", CASES)
def test_explain_removes_control_characters_of_a_service(
    kickai: CommandLine, rude: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """From error messages, model names and request ids, with every flag."""
    monkeypatch.syspath_prepend(str(rude))
    for flags in FLAGS:
        command = arguments(case, flags)
        check(kickai(*command, env={"SERVICE_SAYS": SERVICE_TEXT}), command)


@pytest.mark.parametrize("case", ["failure, then answer", "broken stream"])
def test_the_installed_program_removes_them_as_well(rude: Path, case: str) -> None:
    """In its own process, with colour enabled."""
    command = arguments(case, ())
    ended = installed(*command, folder=rude, PYTHONPATH=str(rude), SERVICE_SAYS=SERVICE_TEXT, FORCE_COLOR="1")
    check(evolve(ended, err=STYLE.sub("", ended.err)), command)


def test_the_plugin_of_these_tests_passes_on_what_its_service_sends(
    kickai: CommandLine, rude: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise these tests would prove nothing."""
    monkeypatch.syspath_prepend(str(rude))
    env = {"SERVICE_SAYS": json.dumps("canary")}
    assert "canary" in kickai(*arguments("failure", ()), env=env).err
    answer = kickai(*arguments("answer", ("--json",)), env=env).json
    assert (answer["model"], answer["request_id"]) == ("canary", "canary")
