"""The arguments of ``kickai rollout``, shares and durations, and the examples of its help."""

from __future__ import annotations

import click

from kickai_providers_core.resilience.rollout import Ramp
from kickai_providers_core.resilience.shares import parse_share
from kickai_providers_core.values.durations import parse_duration

__all__ = ["parse_duration_option", "parse_share_argument", "parse_shares_argument", "show_examples"]


def parse_duration_option(_ctx: click.Context, _param: click.Parameter, value: str) -> float:
    """Return the seconds of a duration such as ``90s``, ``30m``, ``1h`` or ``2d``."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None


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
