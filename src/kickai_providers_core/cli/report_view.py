"""The report on a terminal: tables with colour, which are plain text in a file or a pipe."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console, Group
from rich.table import Table as RichTable
from rich.text import Text

from kickai_providers_core.operations.detail_tables import find_tables
from kickai_providers_core.operations.formatting import format_duration, format_period
from kickai_providers_core.operations.tables import list_measures, list_measures_by_role, list_summary
from kickai_providers_core.values.plain_text import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import JustifyMethod, RenderableType

    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.operations.tables import Grouping, Table

__all__ = ["build_view", "render_lines"]

WIDE = 140
"""The columns of a terminal that has room for every column of a table."""

LONGEST_CELL = 200
TRAILING = re.compile(r"(?: |\x1b\[[0-9;]*m)+$")
"""The spaces at the end of a line, and the escape sequences among them."""

SHORT_NAME = 24

STYLES = {"✓": "green", "✗": "bold red", "–": "bright_black"}


def build_view(report: Report, by: Sequence[Grouping], width: int) -> RenderableType:
    """Return the report for rich.

    Args:
        report: The report.
        by: How requests are grouped.
        width: The columns of the terminal.
    """
    return Group(*_build_parts(report, by, is_wide=width >= WIDE))


def render_lines(report: Report, by: Sequence[Grouping], width: int) -> list[str]:
    """Return the lines of the report, with escape sequences for colour."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=True, color_system="standard", highlight=False)
    console.print(build_view(report, by, width))
    return [TRAILING.sub(lambda match: match[0].replace(" ", ""), line) for line in buffer.getvalue().splitlines()]


def _build_parts(report: Report, by: Sequence[Grouping], *, is_wide: bool) -> Iterator[RenderableType]:
    role = f" · {report.role}" if report.role else ""
    period = f"{format_period(report.since_s)} to {format_period(report.until_s)} UTC"
    yield Text.assemble(("LLM traffic", "bold"), f"{role} · {period} · data for {format_duration(report.observed_s)}")
    grid = RichTable.grid(padding=(0, 2))
    for name, value in list_summary(report):
        grid.add_row(Text(name, style="bright_black"), Text(clean_line(value, LONGEST_CELL)))
    yield ""
    yield grid
    for warning in report.warnings:
        yield Text(f"warning: {clean_line(warning, 4 * LONGEST_CELL)}", style="yellow")
    yield ""
    tables = [list_measures(report), *find_tables(report, by)]
    if len(report.by_role) > 1 or report.role is None:
        tables.insert(1, list_measures_by_role(report))
    for table in tables:
        yield _build_table(table, is_wide=is_wide)


def _build_table(table: Table, *, is_wide: bool) -> RenderableType:
    shown = [at for at, column in enumerate(table.columns) if is_wide or not column.is_minor]
    built = RichTable(box=box.SIMPLE_HEAD, title=table.title, title_justify="left", title_style="bold", pad_edge=False)
    for at in shown:
        column = table.columns[at]
        longest = max((len(row[at]) for row in table.rows), default=0)
        # Short names of rows are not broken into lines.
        width = longest if at == 0 and longest <= SHORT_NAME else None
        justify: JustifyMethod = "right" if column.is_number else "left"
        built.add_column(column.title, justify=justify, overflow="fold", no_wrap=column.is_number, min_width=width)
    for row in table.rows:
        built.add_row(*(_build_cell(row[at]) for at in shown))
    return built


def _build_cell(text: str) -> Text:
    style = STYLES.get(text[:1], "") if text[1:2] == " " else ""
    return Text(clean_line(text, LONGEST_CELL), style=style)
