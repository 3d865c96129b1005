"""How long a service asks to be left alone: every way in which it may say so. Pure; the time is an argument."""

from __future__ import annotations

import re
from math import isfinite
from typing import TYPE_CHECKING, Any

from kickai_providers_core import retry_after_s as stated_s

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["retry_after_s"]

_RATE_LIMIT = re.compile(r"\br\s*=\s*0\b.*?\bt\s*=\s*(\d+)")
"""``"api";r=0;t=55``: nothing remains for 55 s (draft-ietf-httpapi-ratelimit-headers, which Hugging Face sends)."""

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|h|m|s)", re.IGNORECASE)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}

_TRY_AGAIN = re.compile(r"(?:try again|retry) (?:in|after) (\d[\w. ]{0,20})", re.IGNORECASE)


def retry_after_s(headers: Mapping[str, str], words: str, document: Any, now_s: float) -> float | None:
    """Return the seconds until the service wants to be asked again, or None when it does not say.

    Where it says so more than once the longest counts.

    Args:
        headers: Of the response, their names in lower case or case-insensitive.
        words: What the body says in words.
        document: The body's JSON value, or None.
        now_s: Seconds since 1970, for dates.
    """
    stated = [
        *_rate_limits(headers),
        *(_duration(found.group(1)) for found in _TRY_AGAIN.finditer(words)),
        *_estimates(document),
    ]
    header_s = stated_s(headers.get("retry-after", ""), now_s=now_s)
    if header_s is not None:
        stated.append(header_s)
    return max((seconds for seconds in stated if isfinite(seconds) and seconds >= 0), default=None)


def _rate_limits(headers: Mapping[str, str]) -> Iterator[float]:
    """Yield what the rate-limit headers say, where they say that nothing remains."""
    for part in headers.get("ratelimit", "").split(","):
        found = _RATE_LIMIT.search(part)
        if found:
            yield float(found.group(1))
    for kind in ("requests", "tokens"):  # OpenAI's, which several inference providers send as well
        if headers.get(f"x-ratelimit-remaining-{kind}", "").strip() == "0":
            yield _duration(headers.get(f"x-ratelimit-reset-{kind}", ""))


def _duration(text: str) -> float:
    """Return ``1m30.5s`` or ``7.66s`` in seconds; -1 for anything else."""
    parts = _DURATION.findall(text)
    return sum(float(number) * _UNIT_S[unit.lower()] for number, unit in parts) if parts else -1.0


def _estimates(document: Any) -> Iterator[float]:
    """Yield the time that a model still takes to load, in seconds."""
    if isinstance(document, dict):
        value = document.get("estimated_time")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield float(value)
