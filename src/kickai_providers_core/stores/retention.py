"""How long metrics are kept: as minutes, then as hours, then as days, until they are deleted.

Every store follows these rules. The days are a setting, ``keep_days``.
"""

from __future__ import annotations

__all__ = [
    "DAY_S",
    "HOURS_KEPT_S",
    "HOUR_S",
    "MINUTES_KEPT_S",
    "MINUTE_S",
    "WRITERS_KEPT_S",
    "find_compacted_before",
    "find_deleted_before",
]

MINUTE_S = 60
HOUR_S = 3600
DAY_S = 86_400

MINUTES_KEPT_S = 2 * DAY_S
"""The age in seconds from which the minutes of an hour are added up."""

HOURS_KEPT_S = 30 * DAY_S
"""The age in seconds from which the hours of a day are added up."""

WRITERS_KEPT_S = 2 * DAY_S
"""The age in seconds from which a process that no longer writes is forgotten."""


def find_compacted_before(span_s: int, now_s: float) -> int:
    """Return the end of the periods that are added up to longer ones of ``span_s`` seconds, in seconds since 1970."""
    kept_s = MINUTES_KEPT_S if span_s == HOUR_S else HOURS_KEPT_S
    end = int(now_s) - kept_s
    return end - end % span_s


def find_deleted_before(now_s: float, keep_days: int) -> int:
    """Return the end of the days that are deleted, in seconds since 1970."""
    end = int(now_s) - keep_days * DAY_S
    return end - end % DAY_S
