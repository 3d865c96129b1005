"""Durations as whole microseconds, in which the server counts."""

from __future__ import annotations

__all__ = ["from_us", "to_us"]

SECOND_US = 1_000_000

LONGEST_S = 1e9
"""A longer duration, in seconds, is cut: sums of times must be whole numbers in Lua."""


def to_us(duration_s: float) -> int:
    """Return a duration in seconds as microseconds, at least 1 unless it is 0."""
    return max(round(min(duration_s, LONGEST_S) * SECOND_US), 1 if duration_s > 0 else 0)


def from_us(duration_us: bytes | str) -> float:
    """Return a duration that the server has given in microseconds as seconds."""
    return int(duration_us) / SECOND_US
