"""Durations in text, such as ``90s``, ``30m``, ``1h`` or ``2d``."""

from __future__ import annotations

import re

from kickai_providers_core.values.validation import quote, raise_value_error

__all__ = ["parse_duration", "write_duration"]

UNITS = {"d": 86_400, "h": 3600, "m": 60, "s": 1}
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


def parse_duration(text: str) -> float:
    """Return the seconds of a duration.

    Raises:
        ValueError: It is not a number with one of the units.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise_value_error("a duration", "a number with a unit, such as 90s, 30m, 1h or 2d", quote(text))
    return float(match[1]) * UNITS[match[2]]


def write_duration(seconds: float) -> str:
    """Return seconds in the greatest unit that they fill without a fraction."""
    for unit, length in UNITS.items():
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
