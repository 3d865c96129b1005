"""The report on terminals of different widths."""

from __future__ import annotations

import re

import pytest
from report_cells import FLASH, START_S, Recorder

from kickai_providers_core.cli.report_terminal import render_lines
from kickai_providers_core.operations.report_building import ReportContext, build_report

DAY_S = 86_400


def render(width):
    """Return the lines of a report, without escape sequences."""
    recorder = Recorder()
    recorder.answer(count=90_000, role="availability_manager")
    recorder.answer("gemini", FLASH, count=1234, role="team_manager")
    until_s = START_S + DAY_S
    report = build_report(recorder.cells, ReportContext(since_s=START_S, until_s=until_s, now_s=until_s))
    return [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in render_lines(report, ("provider", "role"), width)]


@pytest.mark.parametrize("width", [60, 80, 100, 140, 200])
def test_no_figure_is_cut_off(width):
    """Less important columns are left out instead."""
    lines = render(width)
    assert max(map(len, lines)) <= width
    rows = [line.split() for line in lines if line.startswith((" gemini ", " huggingface ", " availability_manager "))]
    assert [row[1] for row in rows if row[0] in {"gemini", "huggingface"}] == ["1,234", "90,000"]
    groups = [row for row in rows if "✓" not in row and "✗" not in row]
    assert ["unpriced" in row for row in groups] == [True] * 3


def test_a_wide_terminal_shows_every_column():
    """With the quantiles."""
    assert any("p99" in line and "Unpriced" in line for line in render(200))
    assert not any("p99" in line and "Unpriced" in line for line in render(80))
