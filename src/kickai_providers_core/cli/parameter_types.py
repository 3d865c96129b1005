"""How the values of arguments and options are read: numbers, targets, durations and shares."""

from __future__ import annotations

import math
from typing import Any

import click

from kickai_providers_core.plugin_api.settings import LONGEST_S
from kickai_providers_core.resilience.rollout import Ramp
from kickai_providers_core.resilience.rollout_shares import parse_share
from kickai_providers_core.values.durations import parse_duration
from kickai_providers_core.values.targets import Target

__all__ = ["FiniteNumber", "parse_duration_option", "parse_share_argument", "parse_shares_argument", "parse_targets"]


class FiniteNumber(click.FloatRange):
    """A finite number in a range, up to the longest time; click's own type accepts ``nan``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        if number > LONGEST_S:
            self.fail(f"{value!r} is greater than {LONGEST_S}.", param, ctx)
        return number


def parse_targets(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Target, ...]:
    """Return the targets of a list such as ``huggingface:org/model,gemini``; none without the option."""
    try:
        return tuple(Target.parse(part) for part in value.split(",")) if value is not None else ()
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


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
