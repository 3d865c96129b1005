"""The arguments of ``kickai rollout``, shares and durations, and the examples of its help."""

from __future__ import annotations

import re

import click

from kickai_providers_core.resilience.rollout import Ramp
from kickai_providers_core.resilience.shares import parse_share

__all__ = ["parse_duration_option", "parse_share_argument", "parse_shares_argument", "show_examples"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([smhd])")


def parse_duration_option(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``30m``, ``1h`` or ``2d``."""
    match = DURATION.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is not a duration such as 90s, 30m, 1h or 2d.")
    return float(match[1]) * UNITS[match[2]]


def parse_share_argument(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | None:
    """Return a percentage such as ``25%`` in buckets of the rollout; None without a value."""
    if value is None:
        return None
    try:
        return parse_share(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


def parse_shares_argument(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[int, ...]:
    """Return rising percentages such as ``1%,5%,100%`` in buckets of the rollout."""
    try:
        return Ramp(shares=tuple(map(parse_share, value.split(","))), hold_s=0.0).shares
    except ValueError as error:
        raise click.BadParameter(f"{str(error).removeprefix('Ramp.')}.") from None


def show_examples(*lines: str) -> str:
    """Return the end of a command's help: its examples."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))
