"""Shares of requests, in buckets and as percentages, and the names of a rollout's arms."""

from __future__ import annotations

import re

from kickai_providers_core.values.validation import quote, raise_value_error

__all__ = [
    "ALL_ROLES",
    "BUCKETS",
    "CANDIDATE",
    "CONTROL",
    "SHADOW",
    "format_share",
    "parse_share",
]

BUCKETS = 2**32
"""The number of buckets, and the share that means all requests."""

ALL_ROLES = "*"
"""The scope of a rollout of all roles that have none of their own."""

PERCENTAGE = re.compile(r"\s*([0-9]{1,30}(?:\.[0-9]{1,30})?)\s*%?\s*")

CANDIDATE, CONTROL, SHADOW = "candidate", "control", "shadow"


def parse_share(text: str) -> int:
    """Return the share that a percentage such as ``25%``, ``0.1 %`` or ``12.5`` stands for.

    Raises:
        ValueError: It is not a percentage from 0 to 100, or one above 0 that is smaller than one bucket.
    """
    from decimal import Decimal  # noqa: PLC0415  its import takes a while

    match = PERCENTAGE.fullmatch(text)
    percent = Decimal(match[1]) if match is not None else None
    if percent is None or percent > 100:  # noqa: PLR2004
        raise_value_error("a share", "a percentage from 0% to 100%, such as 25% or 0.1%", quote(text))
    share = int((percent * BUCKETS / 100).to_integral_value())
    if percent and not share:
        raise_value_error("a share", f"0%, or at least {format_share(1)}", quote(text))
    return share


def format_share(share: int) -> str:
    """Return a share as a percentage: with at most six decimals, or ten where six would say none or all."""
    percent = f"{100 * share / BUCKETS:.6f}"
    if 0 < share < BUCKETS and float(percent) in {0, 100}:
        percent = f"{100 * share / BUCKETS:.10f}"
    return f"{percent.rstrip('0').rstrip('.')}%"
