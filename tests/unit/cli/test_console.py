"""What is written: keys are masked, terminals are not steered, and lines end."""

from __future__ import annotations

import json

import pytest

from kickai_providers_core import Secret
from kickai_providers_core.cli.console import Console, WriteError

KEY = "hf_0123456789abcdef"


@pytest.fixture
def console() -> Console:
    """Return a console that hides one key."""
    console = Console({})
    console.mask.add([Secret(KEY), Secret("short"), Secret("")])
    return console


def test_a_hidden_key_is_in_nothing_that_is_written(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """Answers, listings, records, lines and blocks all pass the same mask."""
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


def test_a_key_that_is_too_short_is_not_looked_for(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """A word of five letters stands in many texts, and an empty key in all."""
    console.write_answer("cut short\n")
    assert capsys.readouterr().out == "cut short\n"


def test_a_line_to_standard_error_is_one_line_and_steers_nothing(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """Line breaks become blanks, and control characters go."""
    console.log("a\nb\x1b[2J\r c\x07")
    assert capsys.readouterr().err == "a b[2J c\n"


def test_a_terminal_gets_no_control_characters_and_a_pipe_gets_the_bytes(
    console: Console, capsys: pytest.CaptureFixture[str]
) -> None:
    """A model cannot move the cursor; whoever redirects the answer has it as it is."""
    text = "\x1b]0;title\x07\ttab\n"
    console.write_answer(text)
    console.is_terminal = True
    console.write_answer(text)
    console.write_line("\x1b[1mbold\x1b[0m \x1b[2Jwiped")
    out = capsys.readouterr().out
    assert out.startswith("\x1b]0;title\x07\ttab\n]0;title\ttab\n")
    assert out.endswith(" [2Jwiped\n")


def test_an_open_line_is_ended_once(console: Console, capsys: pytest.CaptureFixture[str]) -> None:
    """An answer without a line break at its end gets one, another does not."""
    console.write_answer("one")
    console.end_line()
    console.end_line()
    console.write_answer("two\n")
    console.end_line()
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_stream_that_cannot_be_written_to_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told as such, and what was left is let go."""
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123
        monkeypatch.setattr("sys.stdout", full)
        console = Console({})
        with pytest.raises(WriteError, match="No space left on device"):
            console.write_json({})


STEERING = ("\x1b[2J", "\x1b]0;t\x07", "\x9b2J", "\x9d0;t\x9c", "\u202e", "\u2066", "\x7f", "\r", "\x08", "\x00")


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("steering", STEERING)
def test_nothing_that_is_written_steers_a_terminal(
    console: Console, capsys: pytest.CaptureFixture[str], steering: str, terminal: bool
) -> None:
    """Listings, lines, blocks and records are cleaned wherever they go, and answers on a terminal; words stay."""
    console.is_terminal = terminal
    text = f"a{steering}b"
    console.write_line(text)
    console.log(text)
    console.log_block(f"{text}\nc")
    console.write_json({"text": text, text: [text]})
    if terminal:
        console.write_answer(text)
    out, err = capsys.readouterr()
    for character in steering:
        assert (character.isprintable() and character.isascii()) or character not in out + err
    assert err.count("b") == 2
    assert json.loads(out.splitlines()[1]) == {"text": text, text: [text]}


def test_a_closed_standard_output_is_an_error_of_writing(console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer would be lost otherwise, and nobody told."""
    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(WriteError, match="standard output is closed"):
        console.write_line("a")
