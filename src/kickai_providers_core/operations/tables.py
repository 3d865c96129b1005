"""The tables of a report, for the terminal and for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from kickai_providers_core.operations.acceptance_criteria import MeasureStatus
from kickai_providers_core.operations.number_formats import (
    NOTHING,
    format_duration,
    format_number,
    format_percentage,
    format_seconds,
    format_usd,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.operations.acceptance_criteria import Measure
    from kickai_providers_core.operations.figures import Figures
    from kickai_providers_core.operations.report import Report

__all__ = [
    "NO_ROLE",
    "Column",
    "Grouping",
    "Table",
    "format_range",
    "format_status",
    "list_measures",
    "list_measures_by_role",
    "list_summary",
]

Grouping = Literal["provider", "model", "role"]

NO_ROLE = "(no role)"

MARKS = {MeasureStatus.PASS: "✓", MeasureStatus.FAIL: "✗", MeasureStatus.NOT_APPLICABLE: "–"}


@frozen
class Column:
    """One column of a table.

    Attributes:
        title: Its heading.
        is_number: Whether it is aligned to the right.
        is_minor: Whether a narrow terminal leaves it out, and paper too.
        is_optional: Whether a still narrower terminal leaves it out.
    """

    title: str
    is_number: bool = True
    is_minor: bool = False
    is_optional: bool = False


@frozen(kw_only=True)
class Table:
    """A table of text.

    Attributes:
        title: Its title.
        columns: Its columns; the first one names each row.
        rows: Its rows, with a text for each column.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]


def format_status(status: MeasureStatus) -> str:
    """Return a status with a mark, so that it does not depend on colour."""
    return f"{MARKS[status]} {status.value}"


def list_summary(report: Report) -> list[tuple[str, str]]:
    """Return the most important figures, each with its name."""
    total, savings, month = report.total, report.savings, report.savings.project()
    first = total.first_token
    saved = format_range(savings.least_nano_usd, savings.most_nano_usd)
    cost = format_usd(total.cost.nano_usd)
    if total.cost.unpriced_tokens:
        unpriced = f"{format_percentage(total.cost.unpriced_share)} of tokens unpriced"
        cost = f"{cost} + {unpriced}" if total.cost.nano_usd else unpriced
    summary = [
        ("Requests", format_number(total.requests)),
        ("Success rate", format_percentage(total.success_rate)),
        ("Mean response", format_seconds(total.latency.mean_s)),
        ("p50 / p95 / p99", _format_quantiles(total)),
        ("First token p50 / p95", f"{format_seconds(first.p50_s)} / {format_seconds(first.p95_s)}"),
        ("Tokens in / out", f"{format_number(total.tokens.input)} / {format_number(total.tokens.output)}"),
        ("Cost", cost),
        ("With Gemini alone", format_usd(savings.baseline.nano_usd)),
        ("Saved", saved),
    ]
    if month is not None:
        days = format_duration(report.observed_s)
        summary.append((f"Saved in a month (from {days})", format_range(month.least_nano_usd, month.most_nano_usd)))
    return summary


def list_measures(report: Report) -> Table:
    """Return the measures for all requests."""
    columns = [Column(title, is_number=False) for title in ("Measure", "Result", "Value", "Target", "Evidence")]
    rows = [
        (each.title, format_status(each.status), format_value(each), each.target, format_evidence(each))
        for each in report.measures
    ]
    return Table(title="All requests", columns=columns, rows=rows)


def list_measures_by_role(report: Report) -> Table:
    """Return the measures for each role."""
    columns = [Column("Role", is_number=False), *(Column(each.title, is_number=False) for each in report.measures)]
    roles = report.measures[0].roles if report.measures else {}
    rows = [
        (role or NO_ROLE, *(_format_short(each.roles[role]) for each in report.measures if role in each.roles))
        for role in roles
    ]
    return Table(title="Each role", columns=columns, rows=rows)


def format_value(measure: Measure) -> str:
    """Return the value of a measure with its unit."""
    if measure.value is None:
        return NOTHING
    if measure.unit == "share":
        return format_percentage(measure.value)
    if measure.unit == "s":
        return format_seconds(measure.value)
    low, high = measure.interval or (measure.value, measure.value)
    return format_range(round(low * 1e9), round(high * 1e9))


def format_evidence(measure: Measure) -> str:
    """Return the number of requests, the interval and the reason of a measure."""
    parts = [f"{format_number(measure.requests)} request{'' if measure.requests == 1 else 's'}"]
    if measure.interval is not None and measure.unit != "usd":
        convert = format_percentage if measure.unit == "share" else format_seconds
        low, high = map(convert, measure.interval)
        parts.append(f"95 % interval {low} to {high}")
    return "; ".join(filter(None, (*parts, measure.reason)))


def _format_quantiles(figures: Figures) -> str:
    latency = figures.latency
    return " / ".join(map(format_seconds, (latency.p50_s, latency.p95_s, latency.p99_s)))


def format_range(low: int, high: int) -> str:
    """Return two amounts as a range; as one when they are equal."""
    return format_usd(low) if low == high else f"{format_usd(low)} to {format_usd(high)}"


def _format_short(measure: Measure) -> str:
    return NOTHING if measure.value is None else f"{MARKS[measure.status]} {format_value(measure)}"
