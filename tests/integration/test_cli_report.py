"""``kickai report`` with a store in a file."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from command_line import PROGRAM, environment
from report_cells import FLASH, START_S, Recorder

from kickai_providers_core.cli.report import parse_since
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.metrics import MetricsBatch

if TYPE_CHECKING:
    from pathlib import Path

    from command_line import CommandLine

SETTINGS = """
[kickai]
primary = "mock"
fallback = []

[store]
url = "sqlite:///kickai.db"

[prices.models."m"]
input_usd_per_million = 1
"""

NOW_S = 1_800_000_000.0
DAY_S = 86_400


def fill(folder: Path, recorder: Recorder) -> None:
    """Write the settings, and a store with the cells of a recorder as those of the last minutes."""
    (folder / "kickai.toml").write_text(SETTINGS, encoding="utf-8")
    shift_s = (int(time.time()) - 600) // 60 * 60 - START_S
    cells = {evolve(key, start_s=key.start_s + shift_s): cell for key, cell in recorder.cells}
    store = SqliteStore(folder / "kickai.db", timeout_s=30)
    store.metrics.add(MetricsBatch(process="test", number=1, cells=cells, is_final=True))
    store.close()


@pytest.fixture
def recorder() -> Recorder:
    """Return a recorder with requests of two roles."""
    recorder = Recorder()
    recorder.answer("mock", "m", count=90, role="team_manager")
    recorder.answer("gemini", FLASH, count=10, role="squad_selector", latency_s=3)
    return recorder


@pytest.mark.parametrize(
    ("text", "since_s"),
    [
        ("30m", NOW_S - 1800),
        ("24h", NOW_S - DAY_S),
        ("7d", NOW_S - 7 * DAY_S),
        ("2w", NOW_S - 14 * DAY_S),
        ("2026-11-01", 1_793_491_200),
        ("2026-11-01T10:30", 1_793_529_000),
        ("2026-11-01T10:30+01:00", 1_793_525_400),
    ],
)
def test_since_is_an_age_or_a_date(text: str, since_s: float) -> None:
    """Dates are in UTC unless they name an offset."""
    assert parse_since(text, NOW_S) == since_s


@pytest.mark.parametrize(
    "text", ["", "7", "7y", "-1d", "0h", "1.5h", "yesterday", "2026-13-01", "2030-01-01", "999999w", "٧d", "1969-12-31"]
)
def test_other_times_are_refused_with_the_reason(kickai: CommandLine, text: str) -> None:
    """The message quotes the value and says what is allowed."""
    with pytest.raises(ValueError, match=r"is neither an age such as|is not in the past|is not between|is before 1970"):
        parse_since(text, NOW_S)
    kickai.write(SETTINGS)
    if text != "2030-01-01":
        ended = kickai("report", f"--since={text}")
        assert ended.code == 2
        assert "Invalid value for '--since'" in ended.err


def test_the_report_is_text(kickai: CommandLine, recorder: Recorder) -> None:
    """Without escape sequences in a pipe, and without trailing spaces."""
    fill(kickai.folder, recorder)
    ended = kickai("report", "--since", "1h")
    assert ended.code == 0
    assert re.search(r"^Requests +100$", ended.out, re.MULTILINE)
    assert "✗ fail" in ended.out
    assert "By provider" in ended.out
    assert "By role" in ended.out
    assert "\x1b" not in ended.out
    assert all(line == line.rstrip() for line in ended.out.splitlines())
    assert len(re.findall(r"\binterval\b", ended.out)) == 3


def test_requests_can_be_grouped_by_one_thing(kickai: CommandLine, recorder: Recorder) -> None:
    """By model alone."""
    fill(kickai.folder, recorder)
    out = kickai("report", "--by", "model").out
    assert "By model" in out
    assert "gemini:gemini-3.5-flash-lite" in out
    assert "By provider" not in out


def test_the_json_is_that_of_the_report(kickai: CommandLine, recorder: Recorder) -> None:
    """One object, whose costs have their sources."""
    fill(kickai.folder, recorder)
    found = kickai("report", "--json").json
    assert found["requests"] == 100
    assert found["shares"] == {"gemini": 0.1, "mock": 0.9}
    assert found["cost"]["calculated_nano_usd"] >= 90 * 1_000_000
    assert found["measures"]["mean_response"]["status"] == "pass"


def test_a_role_is_reported_alone(kickai: CommandLine, recorder: Recorder) -> None:
    """An unknown one without requests is an error that names similar ones."""
    fill(kickai.folder, recorder)
    assert kickai("report", "--role", "squad_selector", "--json").json["requests"] == 10
    ended = kickai("report", "--role", "squad_selecter")
    assert ended.code == 2
    assert "Unknown role 'squad_selecter', and no request has it. Did you mean 'squad_selector'?" in ended.err


def test_check_ends_with_1_when_a_measure_fails(kickai: CommandLine, recorder: Recorder) -> None:
    """It says which, and for which roles."""
    fill(kickai.folder, recorder)
    ended = kickai("report", "--check", "--json")
    assert ended.code == 1
    assert ended.json["measures"]["free_tier_share"]["status"] == "fail"
    assert "kickai: fails: Mean response time: 0.75 s, expected below 2 s, by role: squad_selector" in ended.err
    good = Recorder()
    good.answer("huggingface", "m", count=100)
    (kickai.folder / "kickai.db").unlink()
    fill(kickai.folder, good)
    assert kickai("report", "--check").code == 0


def test_a_page_is_written_as_a_whole_or_not_at_all(kickai: CommandLine, recorder: Recorder) -> None:
    """No other file is left, and the output has no tables."""
    fill(kickai.folder, recorder)
    before = {path.name for path in kickai.folder.iterdir()}
    ended = kickai("report", "--html", "report.html")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines()[-1] == "wrote report.html"
    page = (kickai.folder / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert {path.name for path in kickai.folder.iterdir()} == before | {"report.html"}
    ended = kickai("report", "--html", "no/such/report.html")
    assert ended.code == 2
    assert "no/such/report.html cannot be written: No such file or directory" in ended.err


def test_nothing_is_written_to_the_store(kickai: CommandLine, recorder: Recorder) -> None:
    """The file stays the same to the byte."""
    fill(kickai.folder, recorder)
    before = (kickai.folder / "kickai.db").read_bytes()
    kickai("report")
    assert (kickai.folder / "kickai.db").read_bytes() == before


def test_a_missing_store_says_what_to_do(kickai: CommandLine) -> None:
    """No store in the settings, a file that does not exist yet and is not created, and memory."""
    ended = kickai("report", env={"KICKAI_PRIMARY": "mock", "KICKAI_FALLBACK": "none"})
    assert ended.code == 2
    assert 'url = "sqlite:///kickai.db"' in ended.err
    kickai.write(SETTINGS)
    ended = kickai("report")
    assert ended.code == 2
    assert f"The store {kickai.folder / 'kickai.db'} does not exist yet" in ended.err
    assert not (kickai.folder / "kickai.db").exists()
    kickai.write(SETTINGS.replace("sqlite:///kickai.db", "memory:"))
    assert "nothing to report" in kickai("report").err


def test_an_empty_store_says_what_to_do(kickai: CommandLine) -> None:
    """With exit code 0, also with --check: nothing has failed."""
    fill(kickai.folder, Recorder())
    ended = kickai("report", "--check")
    assert (ended.code, ended.out) == (0, "")
    assert "no requests since" in ended.err
    assert kickai("report", "--json").json["requests"] == 0


@pytest.mark.parametrize("extra", [[], ["--json"], ["--html", "x.html"], ["--check"]])
def test_the_live_view_needs_a_terminal_for_itself(kickai: CommandLine, recorder: Recorder, extra: list[str]) -> None:
    """A file or a pipe would get escape sequences."""
    fill(kickai.folder, recorder)
    ended = kickai("report", "--watch", *extra)
    assert (ended.code, ended.out) == (2, "")
    assert "--watch" in ended.err


def test_ctrl_c_ends_the_live_view_and_restores_the_terminal(tmp_path: Path, recorder: Recorder) -> None:
    """The alternative screen and the hidden cursor are gone, and the exit code is 130."""
    fill(tmp_path, recorder)
    main, side = pty.openpty()
    variables = environment(TERM="xterm", COLUMNS="120", LINES="60")
    arguments = [sys.executable, "-W", "error", str(PROGRAM), "report", "--watch"]
    with subprocess.Popen(arguments, stdin=side, stdout=side, stderr=side, cwd=tmp_path, env=variables) as process:
        os.close(side)
        seen = read_until(main, b"Mean response")
        process.send_signal(signal.SIGINT)
        seen += read_until(main, b"interrupted")
        assert process.wait(timeout=60) == 130
    os.close(main)
    assert b"\x1b[?1049h" in seen
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"\x1b[?1049h")
    assert seen.rindex(b"\x1b[?25h") > seen.rindex(b"\x1b[?25l")
    assert b"Traceback" not in seen


def read_until(descriptor: int, text: bytes, limit_s: float = 120) -> bytes:
    """Return what a terminal shows up to a text."""
    seen, end_s = b"", time.monotonic() + limit_s
    while text not in seen:
        assert time.monotonic() < end_s, seen
        if select.select([descriptor], [], [], 1)[0]:
            seen += os.read(descriptor, 65_536)
    return seen


def test_a_store_that_cannot_be_written_is_reported(kickai: CommandLine, recorder: Recorder) -> None:
    """A file that nobody may write, in a folder that nobody may write."""
    fill(kickai.folder, recorder)
    (kickai.folder / "kickai.db").chmod(0o400)
    kickai.folder.chmod(0o500)
    try:
        assert json.loads(kickai("report", "--json").out)["requests"] == 100
    finally:
        kickai.folder.chmod(0o700)
