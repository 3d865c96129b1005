"""Parses the ``Retry-After`` header of HTTP responses, for plugins."""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = ["retry_after_s"]

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]+)?")


def retry_after_s(value: str, *, now_s: float | None = None) -> float | None:
    """Return the delay that a ``Retry-After`` header states, in seconds from 0; None if it states none.

    See `kickai_providers_core.authoring.longest_retry_after` for the other ways in which services state a delay.

    Args:
        value: The value of the header: seconds (some services use a fraction) or a date, as in RFC 9110, section
            10.2.3. Empty if there is no header.
        now_s: The current time in seconds since 1970, for a date; None for the system's time.
    """
    message = value.strip()
    if _SECONDS.fullmatch(message):
        return float(message)
    from email.utils import parsedate_to_datetime  # noqa: PLC0415  only dates need it

    try:
        date = parsedate_to_datetime(message)
    except (ValueError, OverflowError):
        return None
    now = datetime.now(UTC) if now_s is None else datetime.fromtimestamp(now_s, UTC)
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds())
