"""The report as a page: one HTML file that loads nothing, with charts and a table behind each.

All text is escaped, since the names of models come from services.
"""

from __future__ import annotations

import re
from itertools import count
from typing import TYPE_CHECKING

from kickai_providers_core.operations.acceptance_criteria import MeasureStatus
from kickai_providers_core.operations.charts import render_chart
from kickai_providers_core.operations.detail_tables import find_tables
from kickai_providers_core.operations.number_formats import escape_text, format_duration, format_period
from kickai_providers_core.operations.page_style import STYLE
from kickai_providers_core.operations.tables import (
    format_status,
    list_measures,
    list_measures_by_role,
    list_summary,
)
from kickai_providers_core.operations.timeline_charts import find_charts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.operations.tables import Column, Table

__all__ = ["render_page"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
"""Nothing is loaded and no script runs, even if a name was not escaped."""

BREAKS = re.compile(r"[/_:](?=\w)")
"""Where the name of a target may be broken into lines."""

CLASSES = {MeasureStatus.PASS: "pass", MeasureStatus.FAIL: "fail", MeasureStatus.NOT_APPLICABLE: "open"}
STATUS_CLASSES = {format_status(status): name for status, name in CLASSES.items()}
MARKS = {text[0]: name for text, name in STATUS_CLASSES.items()}

SECTIONS = (("measures", "Measures"), ("charts", "Over time"), ("tables", "Details"))


def render_page(report: Report) -> str:
    """Return the report as an HTML document."""
    role = f" for {report.role}" if report.role else ""
    period = f"{format_period(report.since_s)} to {format_period(report.until_s)} UTC"
    title = escape_text(f"LLM traffic{role}")
    links = "".join(f'<li><a href="#{name}">{heading}</a></li>' for name, heading in SECTIONS)
    return "".join(
        (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">',
            f"<title>{title}, {period}</title><style>{STYLE}</style></head><body>\n",
            f"<header><h1>{title}</h1>",
            f'<p class="muted">{period}, with data for {format_duration(report.observed_s)}</p>',
            f'<nav aria-label="Sections"><ul>{links}</ul></nav></header>\n<main>\n',
            *_render_body(report),
            "</main>\n<footer class=muted><p>Quantiles are within 1 %. Costs are in US dollars. ",
            f"Written by <code>kickai report</code>{_render_prices(report)}.</p></footer>\n</body></html>\n",
        )
    )


def _render_prices(report: Report) -> str:
    return f" with the prices of {escape_text(report.price_list)}" if report.price_list else ""


def _render_body(report: Report) -> Iterator[str]:
    numbers = count(1)
    tiles = "".join(map(_render_tile, list_summary(report)))
    yield f'<dl class="tiles">{tiles}</dl>\n'
    if report.warnings:
        items = "".join(f"<li>{escape_text(warning)}</li>" for warning in report.warnings)
        yield f'<section class="warnings" aria-label="Warnings"><ul>{items}</ul></section>\n'
    yield '<section aria-labelledby="measures"><h2 id="measures">Measures</h2>\n'
    yield _render_table(list_measures(report), next(numbers))
    yield _render_table(list_measures_by_role(report), next(numbers))
    yield '</section>\n<section aria-labelledby="charts"><h2 id="charts">Over time</h2><div class="charts">\n'
    for chart, table in find_charts(report):
        yield f"<figure><figcaption><h3>{escape_text(chart.title)}</h3></figcaption>{render_chart(chart)}"
        yield f"<details><summary>Data: {escape_text(chart.title)}</summary>"
        yield f"{_render_table(table, next(numbers))}</details></figure>\n"
    yield '</div></section>\n<section aria-labelledby="tables"><h2 id="tables">Details</h2>\n'
    yield from (_render_table(table, next(numbers)) for table in find_tables(report))
    yield "</section>\n"


def _render_tile(item: tuple[str, str]) -> str:
    name, value = map(escape_text, item)
    return f"<div><dt>{name}</dt><dd>{value}</dd></div>"


def _render_head(column: Column) -> str:
    return f'<th scope="col"{_format_class(column)}>{escape_text(column.title)}</th>'


def _render_table(table: Table, number: int) -> str:
    """Return a table in a region that can be scrolled with the keyboard."""
    heads = "".join(map(_render_head, table.columns))
    rows = "".join(_render_row(table, row) for row in table.rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="t{number}">'
        f'<table><caption id="t{number}">{escape_text(table.title)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>\n"
    )


def _render_row(table: Table, row: Sequence[str]) -> str:
    first, *others = row
    cells = "".join(map(_render_cell, others, table.columns[1:]))
    return f'<tr><th scope="row">{BREAKS.sub(_add_break, escape_text(first))}</th>{cells}</tr>'


def _render_cell(text: str, column: Column) -> str:
    status = MARKS.get(text[:1]) if text[1:2] == " " else None
    if status is not None:
        return f'<td><span class="status {status}">{escape_text(text)}</span></td>'
    return f"<td{_format_class(column)}>{escape_text(text)}</td>"


def _format_class(column: Column) -> str:
    names = [name for name, applies in (("n", column.is_number), ("minor", column.is_minor)) if applies]
    return f' class="{" ".join(names)}"' if names else ""


def _add_break(match: re.Match[str]) -> str:
    return f"{match[0]}<wbr>"
