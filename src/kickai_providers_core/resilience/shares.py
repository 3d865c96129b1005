"""Shares of requests, in buckets and as percentages, and the names of a rollout's arms."""

from __future__ import annotations

from kickai_providers_core.values.validation import quote, raise_value_error

__all__ = [
    "ALL_ROLES",
    "BUCKETS",
    "CANDIDATE",
    "CONTROL",
    "SHADOW",
    "format_hold",
    "format_share",
    "parse_share",
]

BUCKETS = 2**32
"""The number of buckets, and the share that means all requests."""

ALL_ROLES = "*"
"""The scope of a rollout of all roles that have none of their own."""

CANDIDATE, CONTROL, SHADOW = "candidate", "control", "shadow"


def parse_share(text: str) -> int:
    """Return the share that a percentage such as ``25%``, ``0.1 %`` or ``12.5`` stands for.

    Raises:
        ValueError: It is not a percentage from 0 to 100.
    """
    from decimal import Decimal, InvalidOperation  # noqa: PLC0415  its import takes a while

    number = text.strip().removesuffix("%").strip()
    try:
        percent = Decimal(number)
        is_share = 0 <= percent <= 100  # noqa: PLR2004
    except InvalidOperation:
        is_share = False
    if not is_share:
        raise_value_error("a share", "a percentage from 0% to 100%, such as 25% or 0.1%", quote(text))
    return int((percent * BUCKETS / 100).to_integral_value())


def format_share(share: int) -> str:
    """Return a share as a percentage."""
    percent = f"{100 * share / BUCKETS:.6f}".rstrip("0").rstrip(".")
    return f"{percent}%"


def format_hold(seconds: float) -> str:
    """Return the time that a step is held in its greatest unit without a fraction: ``1h``, ``30m`` or ``90s``."""
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds / length:g}{unit}"
    return f"{seconds:g}s"
