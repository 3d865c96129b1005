"""The charts of a report over time, and the table behind each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.operations.charts import Chart, Series
from kickai_providers_core.operations.number_formats import (
    NOTHING,
    format_number,
    format_percentage,
    format_period,
    format_seconds,
    format_usd,
)
from kickai_providers_core.operations.tables import Column, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from kickai_providers_core.operations.report import Report
    from kickai_providers_core.operations.timeline import Point

__all__ = ["find_charts"]

NAMED = 4
"""The most providers with a series of their own."""

OTHERS, FAILED = "others", "failed"
FAILED_STYLE = 6

MOST_PERIODS = 1000

CENT_NANO_USD = 10_000_000
"""The end of the axis of a chart without costs."""


def find_charts(report: Report) -> Iterator[tuple[Chart, Table]]:
    """Yield each chart with the table behind it; nothing for a report without requests."""
    if not report.timeline:
        return
    first_s, last_s = report.timeline[0].start_s, report.timeline[-1].start_s
    starts_s = list(range(first_s, last_s + 1, report.span_s))[-MOST_PERIODS:]
    points = {point.start_s: point for point in report.timeline}
    found = [points.get(start_s) for start_s in starts_s]
    for make in (_chart_shares, _chart_latency, _chart_errors, _chart_cost):
        chart = make(report, found, starts_s)
        rows = [
            (
                format_period(start_s, report.span_s),
                *(NOTHING if value is None else chart.format_value(value) for value in values),
            )
            for start_s, point, *values in zip(starts_s, found, *(each.values for each in chart.series), strict=True)
            if point is not None
        ]
        names = [Column(series.name) for series in chart.series]
        yield chart, Table(title=chart.title, columns=[Column("Begins (UTC)", is_number=False), *names], rows=rows)


def _chart_shares(report: Report, points: Sequence[Point | None], starts_s: Sequence[int]) -> Chart:
    ranked = sorted(report.shares, key=lambda name: -report.shares[name])
    named, others = ranked[:NAMED], ranked[NAMED:]

    def compute_share(point: Point | None, count: Callable[[Point], int]) -> float | None:
        completed = point.succeeded + point.failed if point is not None else 0
        return count(point) / completed if point is not None and completed else None

    def count_served(names: Sequence[str]) -> Callable[[Point], int]:
        return lambda point: sum(point.served.get(name, 0) for name in names)

    groups = [(name, [name]) for name in named] + ([(OTHERS, others)] if others else [])
    series = [
        Series(name=name, values=[compute_share(point, count_served(names)) for point in points], style=style)
        for style, (name, names) in enumerate(groups, start=1)
    ]
    failed = [compute_share(point, lambda point: point.failed) for point in points]
    parts = [f"{name} {format_percentage(report.shares[name])}" for name in named]
    return Chart(
        title="Share of requests by provider",
        summary=f"Share of requests by provider: {', '.join(parts) or 'none'}",
        kind="bars",
        series=[*series, Series(name=FAILED, values=failed, style=FAILED_STYLE)],
        starts_s=starts_s,
        span_s=report.span_s,
        format_value=format_percentage,
        maximum=1.0,
    )


def _chart_latency(report: Report, points: Sequence[Point | None], starts_s: Sequence[int]) -> Chart:
    latency = report.total.latency
    return Chart(
        title="Response time",
        summary=f"Response time: p50 {format_seconds(latency.p50_s)}, p95 {format_seconds(latency.p95_s)} in all",
        kind="lines",
        series=[
            Series(name="p50", values=[point.p50_s if point else None for point in points], style=1),
            Series(name="p95", values=[point.p95_s if point else None for point in points], style=2),
        ],
        starts_s=starts_s,
        span_s=report.span_s,
        format_value=format_seconds,
    )


def _chart_errors(report: Report, points: Sequence[Point | None], starts_s: Sequence[int]) -> Chart:
    failed = [point.failed if point else None for point in points]
    return Chart(
        title="Failed requests",
        summary=f"Failed requests: {format_number(report.total.failed)} of {format_number(report.total.completed)}",
        kind="bars",
        series=[Series(name=FAILED, values=failed, style=FAILED_STYLE)],
        starts_s=starts_s,
        span_s=report.span_s,
        format_value=_format_count,
    )


def _chart_cost(report: Report, points: Sequence[Point | None], starts_s: Sequence[int]) -> Chart:
    cost = [point.cost.nano_usd if point else None for point in points]
    return Chart(
        title="Known cost",
        summary=f"Known cost: {format_usd(report.total.cost.nano_usd)}",
        kind="bars",
        series=[Series(name="cost", values=cost, style=1)],
        starts_s=starts_s,
        span_s=report.span_s,
        format_value=lambda value: format_usd(round(value)),
        maximum=None if any(cost) else CENT_NANO_USD,
    )


def _format_count(value: float) -> str:
    return format_number(round(value)) if value == round(value) else f"{value:g}"
