"""How long a service asks to be left alone, in the way that every HTTP service has for it; for plugins."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["retry_after_s"]

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]+)?")


def retry_after_s(value: str, *, now_s: float | None = None) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, from 0; None when it does not say.

    See `kickai_providers_core.authoring.longest_retry_after` for all the ways in which services say it.

    Args:
        value: The value of the header: seconds, which some services give with a fraction, or a date (RFC 9110,
            section 10.2.3). Empty when there is none.
        now_s: Seconds since 1970, which a date is counted from; None for now.
    """
    message = value.strip()
    if _SECONDS.fullmatch(message):
        return float(message)
    try:
        date = parsedate_to_datetime(message)
    except (ValueError, OverflowError):
        return None
    now = datetime.now(UTC) if now_s is None else datetime.fromtimestamp(now_s, UTC)
    return max(0.0, ((date if date.tzinfo else date.replace(tzinfo=UTC)) - now).total_seconds())
