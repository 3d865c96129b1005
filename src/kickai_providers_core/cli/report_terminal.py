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
from kickai_providers_core.operations.number_formats import format_duration, format_period
from kickai_providers_core.operations.tables import list_measures, list_measures_by_role, list_summary
from kickai_providers_core.values.plain_text import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import JustifyMethod, RenderableType

    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.operations.tables import Grouping, Table

__all__ = ["build_view", "render_lines"]

LONGEST_CELL = 200
TRAILING = re.compile(r"(?: |\x1b\[[0-9;]*m)+$")
"""The spaces at the end of a line, and the escape sequences among them."""


SHORT_NAME, SHORT_TEXT = 24, 12
"""The most characters of a row's name, and of another text, that a column has room for."""

SPACING = 3
"""The columns of the terminal between two columns of a table."""

STYLES = {"✓": "green", "✗": "bold red", "–": "bright_black"}


def build_view(report: Report, by: Sequence[Grouping], width: int) -> RenderableType:
    """Return the report for rich.

    Args:
        report: The report.
        by: How requests are grouped.
        width: The columns of the terminal.
    """
    return Group(*_build_parts(report, by, width))


def render_lines(report: Report, by: Sequence[Grouping], width: int) -> list[str]:
    """Return the lines of the report, with escape sequences for colour."""
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, force_terminal=True, color_system="standard", highlight=False)
    console.print(build_view(report, by, width))
    return [TRAILING.sub(lambda match: match[0].replace(" ", ""), line) for line in buffer.getvalue().splitlines()]


def _build_parts(report: Report, by: Sequence[Grouping], width: int) -> Iterator[RenderableType]:
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
        yield _build_table(table, width)


def _build_table(table: Table, width: int) -> RenderableType:
    built = RichTable(box=box.SIMPLE_HEAD, title=table.title, title_justify="left", title_style="bold", pad_edge=False)
    shown = _choose_columns(table, width)
    for at in shown:
        column = table.columns[at]
        # Numbers and short names of rows are not broken into lines.
        is_whole = column.is_number or (at == 0 and _measure(table, at) <= SHORT_NAME)
        justify: JustifyMethod = "right" if column.is_number else "left"
        built.add_column(Text(column.title), justify=justify, overflow="fold", no_wrap=is_whole)
    for row in table.rows:
        built.add_row(*(_build_cell(row[at]) for at in shown))
    return built


def _choose_columns(table: Table, width: int) -> list[int]:
    """Return the columns that fit next to each other: less important ones are left out, from the right."""
    shown = list(range(len(table.columns)))
    candidates = [at for at in shown if table.columns[at].is_optional] + [
        at for at in shown if table.columns[at].is_minor
    ]
    while candidates and sum(_find_least_width(table, at) + SPACING for at in shown) > width:
        shown.remove(candidates.pop())
    return shown


def _find_least_width(table: Table, at: int) -> int:
    """Return the columns of the terminal that a column needs at least."""
    longest = _measure(table, at)
    if table.columns[at].is_number:
        return max(longest, len(table.columns[at].title))
    return min(longest, SHORT_NAME if at == 0 else SHORT_TEXT)


def _measure(table: Table, at: int) -> int:
    return max((len(row[at]) for row in table.rows), default=0)


def _build_cell(text: str) -> Text:
    style = STYLES.get(text[:1], "") if text[1:2] == " " else ""
    return Text(clean_line(text, LONGEST_CELL), style=style)
