"""Charts of a report: inline SVG, with the labels in HTML so that they stay readable at any width."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.operations.number_formats import escape_text, format_period

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["Chart", "Series", "render_chart"]

WIDTH, HEIGHT = 1000.0, 240.0
"""The size of the drawing in its own units; the page stretches it."""

LABELS = 4
"""The most labels of the time axis."""


@frozen(kw_only=True)
class Series:
    """One series of values, one for each period.

    Attributes:
        name: What it shows.
        values: The values from 0; None for a period without one.
        style: The number of its colour, from 1.
    """

    name: str
    values: Sequence[float | None]
    style: int


@frozen(kw_only=True)
class Chart:
    """A chart over time.

    Attributes:
        title: What it shows.
        summary: The same in a sentence, with its figures, for a screen reader.
        kind: ``lines``, or ``bars`` that are stacked.
        series: The series; at least one.
        starts_s: The beginning of each period, in seconds since 1970.
        span_s: The length of a period in seconds.
        format_value: Formats a value.
        maximum: The end of the vertical axis; None for that of the data.
    """

    title: str
    summary: str
    kind: str
    series: Sequence[Series]
    starts_s: Sequence[int]
    span_s: int
    format_value: Callable[[float], str]
    maximum: float | None = None

    @property
    def top(self) -> float:
        """The end of the vertical axis."""
        if self.maximum is not None:
            return self.maximum
        if self.kind == "lines":
            highest = max((value or 0 for series in self.series for value in series.values), default=0)
        else:
            columns = zip(*(series.values for series in self.series), strict=True)
            highest = max((sum(value or 0 for value in column) for column in columns), default=0)
        return _round_up(highest)


def _round_up(value: float) -> float:
    """Return the next value of the form 1, 2, 4, 5 or 8 times a power of ten; half of each is a short number too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * (1 - 1e-9))


def render_chart(chart: Chart) -> str:
    """Return a chart as HTML. All text in it is escaped."""
    top = chart.top
    marks = "".join(f"<span>{escape_text(chart.format_value(top * part))}</span>" for part in (1, 0.5, 0))
    times = "".join(f"<span>{escape_text(label)}</span>" for label in _label_times(chart))
    draw = _draw_lines if chart.kind == "lines" else _draw_bars
    shapes = "".join(draw(chart, top))
    keys = "".join(map(_render_key, chart.series))
    grid = "".join(f'<line class="grid" x1="0" x2="{WIDTH:g}" y1="{y:g}" y2="{y:g}"/>' for y in (0, HEIGHT / 2, HEIGHT))
    return (
        f'<ul class="legend">{keys}</ul>'
        f'<div class="chart"><div class="marks" aria-hidden="true">{marks}</div>'
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape_text(chart.summary)}">{grid}{shapes}</svg>'
        f'<div class="times" aria-hidden="true">{times}</div></div>'
    )


def _render_key(series: Series) -> str:
    return f'<li><span class="key s{series.style}" aria-hidden="true"></span>{escape_text(series.name)}</li>'


def _label_times(chart: Chart) -> list[str]:
    starts = chart.starts_s
    if len(starts) == 1:
        return [format_period(starts[0], chart.span_s)]
    # The drawing ends with the end of the last period.
    first, end = starts[0], starts[-1] + chart.span_s
    return [format_period(first + (end - first) * at / (LABELS - 1), chart.span_s) for at in range(LABELS)]


def _draw_bars(chart: Chart, top: float) -> list[str]:
    """Return one path for each series; its bars are on those of the series before it."""
    width = WIDTH / len(chart.starts_s)
    gap = min(2.0, width * 0.15)
    base = [0.0] * len(chart.starts_s)
    paths = []
    for series in chart.series:
        bars = []
        for at, value in enumerate(series.values):
            if value:
                low, high = HEIGHT * (1 - base[at] / top), HEIGHT * (1 - (base[at] + value) / top)
                base[at] += value
                left, right = at * width + gap / 2, (at + 1) * width - gap / 2
                bars.append(f"M{left:.1f} {low:.1f}V{high:.1f}H{right:.1f}V{low:.1f}Z")
        paths.append(f'<path class="bar s{series.style}" d="{"".join(bars)}"/>')
    return paths


def _draw_lines(chart: Chart, top: float) -> list[str]:
    """Return one path for each series; a period without a value interrupts it."""
    width = WIDTH / len(chart.starts_s)
    paths = []
    for series in chart.series:
        steps, is_open = [], False
        for at, value in enumerate(series.values):
            if value is None:
                is_open = False
                continue
            y = HEIGHT * (1 - min(value / top, 1))
            # A step as wide as its period, so that a single one is visible too.
            steps.append(f"{'L' if is_open else 'M'}{at * width:.1f} {y:.1f}H{(at + 1) * width:.1f}")
            is_open = True
        paths.append(f'<path class="line s{series.style}" d="{"".join(steps)}"/>')
    return paths
