"""Formats the figures of a report for readers."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from kickai_providers_core.values.plain_text import clean_line

__all__ = [
    "escape_text",
    "format_duration",
    "format_known_cost",
    "format_number",
    "format_percentage",
    "format_period",
    "format_seconds",
    "format_target",
    "format_time",
    "format_usd",
]

LONGEST_TEXT = 2000
"""The most characters of one text on a page."""

NOTHING = "–"
"""What stands for a value that is not known."""

DAY_S, HOUR_S, MINUTE_S = 86_400, 3600, 60


def escape_text(text: str) -> str:
    """Return text for HTML, also within quotes; without control characters."""
    return escape(clean_line(text, LONGEST_TEXT))


def format_time(time_s: float) -> str:
    """Return a time in ISO 8601, in UTC."""
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_period(start_s: float, span_s: int = MINUTE_S) -> str:
    """Return the beginning of a period in UTC: its day, or its day and minute."""
    return datetime.fromtimestamp(start_s, UTC).strftime("%Y-%m-%d" if span_s >= DAY_S else "%Y-%m-%d %H:%M")


def format_number(number: int) -> str:
    """Return an integer with commas between its thousands."""
    return f"{number:,}"


def format_percentage(share: float | None) -> str:
    """Return a share as a percentage. One that is neither 0 nor 1 is not rounded to 0 % or 100 %."""
    if share is None:
        return NOTHING
    if 0 < share < 0.0005:  # noqa: PLR2004  it would be rounded to 0.0
        return "< 0.1 %"
    if 0.9995 <= share < 1:  # noqa: PLR2004  it would be rounded to 100.0
        return "> 99.9 %"
    return f"{100 * share:.0f} %" if share in {0, 1} else f"{100 * share:.1f} %"


def format_seconds(seconds: float | None) -> str:
    """Return a duration of a request."""
    if seconds is None:
        return NOTHING
    return f"{1000 * seconds:.0f} ms" if seconds < 0.0995 else f"{seconds:.2f} s"  # noqa: PLR2004  two digits


def format_usd(nano_usd: int | None) -> str:
    """Return an amount in USD, with two digits after the first one that is not 0 and at least to the cent."""
    if nano_usd is None:
        return NOTHING
    usd = abs(nano_usd) / 1e9
    sign = "-" if nano_usd < 0 else ""
    if not nano_usd or usd >= 1:
        return f"{sign}${usd:,.2f}"
    digits = next(digits for digits in range(2, 10) if usd * 10**digits >= 10 or digits == 9)  # noqa: PLR2004
    return f"{sign}${usd:.{digits}f}"


def format_known_cost(nano_usd: int | None, *, unpriced_tokens: int) -> str:
    """Return a cost in USD. A part without a price makes it a lower bound, and unknown when nothing else was paid."""
    if nano_usd is None or not unpriced_tokens:
        return format_usd(nano_usd)
    return f"≥ {format_usd(nano_usd)}" if nano_usd else "unpriced"


def format_duration(seconds: float) -> str:
    """Return a long duration in its two greatest units, such as ``2 d 3 h``."""
    rest, parts = round(seconds), []
    for unit, length in (("d", DAY_S), ("h", HOUR_S), ("min", MINUTE_S), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2]) or "0 s"


def format_target(provider: str, model: str) -> str:
    """Return the name of a target; an attempt or a request that has none gets a dash."""
    return f"{provider}:{model}" if model else provider or NOTHING
