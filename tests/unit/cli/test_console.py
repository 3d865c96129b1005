"""The console: keys are masked, control characters are removed, and lines are ended."""

from __future__ import annotations

import json

import pytest

from kickai_providers_core import Secret
from kickai_providers_core.cli.console import Console, WriteError

KEY = "hf_0123456789abcdef"


@pytest.fixture
def console() -> Console:
    """Return a console that masks one key."""
    console = Console({})
    console.mask.add([Secret(KEY), Secret("short"), Secret("")])
    return console


def test_a_key_is_masked_in_all_output(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """In answers, listings, JSON, lines and blocks."""
    console.write_answer(f"a {KEY}\n")
    console.write_line(f"b {KEY}")
    console.write_json({"c": [KEY, {"d": KEY}], "e": 1, "f": None})
    console.log(f"g {KEY}")
    console.log_block(f"h\n{KEY}")
    out, err = capsys.readouterr()
    assert KEY not in out + err
    assert out.splitlines()[:2] == ["a ***", "b ***"]
    assert json.loads(out.splitlines()[2]) == {"c": ["***", {"d": "***"}], "e": 1, "f": None}
    assert err == "g ***\nh\n***\n"


def test_a_short_key_is_not_masked(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """It would match ordinary words."""
    console.write_answer("cut short\n")
    assert capsys.readouterr().out == "cut short\n"


def test_a_log_line_is_one_line_without_control_characters(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line breaks become spaces."""
    console.log("a\nb\x1b[2J\r c\x07")
    assert capsys.readouterr().err == "a b[2J c\n"


def test_an_answer_on_a_terminal_has_no_control_characters(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """An answer in a pipe stays as it is."""
    text = "\x1b]0;title\x07\ttab\n"
    console.write_answer(text)
    console.is_terminal = True
    console.write_answer(text)
    console.write_line("\x1b[1mbold\x1b[0m \x1b[2Jwiped")
    out = capsys.readouterr().out
    assert out.startswith("\x1b]0;title\x07\ttab\n]0;title\ttab\n")
    assert out.endswith(" [2Jwiped\n")


def test_an_open_line_is_ended_once(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer that ends with a line break gets no other one."""
    console.write_answer("one")
    console.end_line()
    console.end_line()
    console.write_answer("two\n")
    console.end_line()
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_full_disk_is_a_write_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still buffered is discarded."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr("sys.stdout", full)
        console = Console({})
        with pytest.raises(WriteError, match="No space left on device"):
            console.write_json({})


CONTROL = ("\x1b[2J", "\x1b]0;t\x07", "\x9b2J", "\x9d0;t\x9c", "\u202e", "\u2066", "\x7f", "\r", "\x08", "\x00")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("control", CONTROL)
def test_no_output_controls_a_terminal(
    console: Console, capsys: pytest.CaptureFixture[str], control: str, terminal: bool
) -> None:
    """Listings, lines, blocks and JSON are cleaned everywhere, answers on a terminal; words stay."""
    console.is_terminal = terminal
    text = f"a{control}b"
    console.write_line(text)
    console.log(text)
    console.log_block(f"{text}\nc")
    console.write_json({"text": text, text: [text]})
    if terminal:
        console.write_answer(text)
    out, err = capsys.readouterr()
    for character in control:
        assert (character.isprintable() and character.isascii()) or character not in out + err
    assert err.count("b") == 2
    assert json.loads(out.splitlines()[1]) == {"text": text, text: [text]}


def test_a_closed_standard_output_is_a_write_error(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is not lost silently."""
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(WriteError, match="standard output is closed"):
        console.write_line("a")
