"""The delay that a service asks for, in every form that services use. No I/O; the time is an argument."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from kickai_providers_core.authoring.strict_json import parse_error_body
from kickai_providers_core.values.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["longest_retry_after"]

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|[dhms]))+")
_DURATION_PART = re.compile(r"([0-9.]+)(ms|[dhms])")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_DRAFT_LIMIT = re.compile(r"\br\s*=\s*0\b[^,]*?\bt\s*=\s*([0-9]{1,15})")
"""``"api";r=0;t=55``: nothing remains for 55 s (draft-ietf-httpapi-ratelimit-headers)."""

_TRY_AGAIN = re.compile(
    r"(?:try again|retry) (?:in|after) ([0-9]{1,9}(?:\.[0-9]{1,9})?) ?"
    r"(milliseconds?|seconds?|minutes?|hours?|ms|s|m|h)\b",
    re.IGNORECASE,
)
"""Groups with a unit in words; ``1m30.5s`` is found by `_TRY_AGAIN_SHORT`."""

_TRY_AGAIN_SHORT = re.compile(
    r"(?:try again|retry) (?:in|after) ((?:[0-9]{1,9}(?:\.[0-9]{1,9})?(?:ms|[dhms]))+)", re.IGNORECASE
)

_REMAINING = re.compile(r"(x-ratelimit-|ratelimit-|anthropic-ratelimit-|x-rate-limit-)(?:(.+)-)?remaining(?:-(.+))?")

_EPOCH_FROM_S = 1e9
"""A reset from this value on is a point in time, not a number of seconds."""

_MS_FROM = 1e12


def longest_retry_after(
    headers: Mapping[str, str] | None = None, body: object = None, *, now_s: float | None = None
) -> float | None:
    """Return the seconds that a service asks to wait; None when it states no delay.

    It reads ``retry-after`` (seconds or a date) and ``retry-after-ms``; the rate-limit headers of OpenAI's and
    Anthropic's APIs, GitHub and the IETF draft, where they say that nothing remains; and in the body Google's
    ``RetryInfo``, Hugging Face's ``estimated_time``, and "try again in 7.5s". The longest counts. Negative, infinite
    and malformed values are ignored.

    Args:
        headers: Of the response; names in any case.
        body: Its JSON value, or its text or bytes; None when there is none.
        now_s: Seconds since 1970, for dates; None for now.
    """
    now = time.time() if now_s is None else now_s
    named = {str(name).lower(): str(value) for name, value in (headers or {}).items()}
    stated = [*_from_headers(named, now), *_from_body(parse_error_body(body))]
    return max((seconds for seconds in stated if math.isfinite(seconds) and seconds >= 0), default=None)


def _from_headers(headers: Mapping[str, str], now_s: float) -> Iterator[float]:
    stated = retry_after_s(headers.get("retry-after", ""), now_s=now_s)
    if stated is not None:
        yield stated
    milliseconds = headers.get("retry-after-ms", "").strip()
    if _NUMBER.fullmatch(milliseconds):
        yield float(milliseconds) / 1000
    for part in headers.get("ratelimit", "").split(","):
        found = _DRAFT_LIMIT.search(part)
        if found:
            yield float(found[1])
    for name, value in headers.items():
        found = _REMAINING.fullmatch(name)
        if found and value.strip() in {"0", "0.0"}:
            yield from _parse_reset_s(headers.get(name.replace("remaining", "reset"), ""), now_s)


def _parse_reset_s(text: str, now_s: float) -> Iterator[float]:
    """Yield the seconds until a reset: a duration, seconds, a point in time since 1970, or a date of RFC 3339."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        number = float(text)
        if number >= _MS_FROM:
            number /= 1000
        yield max(0.0, number - now_s) if number >= _EPOCH_FROM_S else number
    elif _DURATION.fullmatch(text):
        yield _parse_duration_s(text)
    else:
        try:
            date = datetime.fromisoformat(text)
        except ValueError:
            return
        yield max(0.0, (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now_s)


def _parse_duration_s(text: str) -> float:
    return sum(float(number) * _UNIT_S[unit] for number, unit in _DURATION_PART.findall(text.lower()))


def _from_body(body: object) -> Iterator[float]:
    if isinstance(body, list) and body:  # Google wraps the errors of a stream in a list
        body = body[0]
    if isinstance(body, str):
        yield from _parse_words_s(body)
    if not isinstance(body, Mapping):
        return
    yield from _parse_number_s(body.get("estimated_time"))
    error = body.get("error")
    for part in (body, error):
        if isinstance(part, str):
            yield from _parse_words_s(part)
        elif isinstance(part, Mapping):
            yield from _parse_words_s(part.get("message"))
            details = part.get("details")
            for detail in details if isinstance(details, list) else ():
                yield from _retry_info_s(detail)


def _parse_words_s(text: object) -> Iterator[float]:
    if not isinstance(text, str):
        return
    for found in _TRY_AGAIN.finditer(text):
        unit = found[2].lower()
        short = "ms" if unit.startswith(("ms", "milli")) else unit[0]
        yield float(found[1]) * _UNIT_S[short]
    for found in _TRY_AGAIN_SHORT.finditer(text):
        yield _parse_duration_s(found[1])


def _retry_info_s(detail: Any) -> Iterator[float]:
    """Yield the delay of a ``google.rpc.RetryInfo``: ``"34.5s"``, or an object of seconds and nanoseconds."""
    if not isinstance(detail, Mapping) or not str(detail.get("@type", "")).endswith("RetryInfo"):
        return
    delay = detail.get("retryDelay", detail.get("retry_delay"))
    if isinstance(delay, str) and _DURATION.fullmatch(delay):
        yield _parse_duration_s(delay)
    elif isinstance(delay, Mapping):
        whole = next(_parse_number_s(delay.get("seconds", 0)), math.nan)
        yield whole + next(_parse_number_s(delay.get("nanos", 0)), 0.0) / 1e9


def _parse_number_s(value: object) -> Iterator[float]:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _MS_FROM:
        yield float(value)
