"""The options that commands share, and the types of their values."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from kickai_providers_core.plugin_api.settings import LONGEST_S
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Number", "shared", "targets"]

F = TypeVar("F", bound="Callable[..., Any]")


class Number(click.FloatRange):
    """A finite number in a range, up to the longest time; click's own type lets ``nan`` through."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number."""
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        if number > LONGEST_S:
            self.fail(f"{value!r} is greater than {LONGEST_S}.", param, ctx)
        return number


def targets(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[Target, ...]:
    """Return the targets behind one another, as in ``huggingface:org/model,gemini``; none when nothing is given."""
    try:
        return tuple(Target.parse(part) for part in value.split(",")) if value is not None else ()
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from None


def shared(command: F) -> F:
    """Give a command the options that all commands have."""
    for option in (_DEBUG, _CONFIG, _JSON):
        command = option(command)
    return command


def _into_session(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    setattr(ctx.obj, str(param.name), value)
    if param.name == "debug" and value:
        ctx.obj.console.hide_variables()


_JSON = click.option(
    "--json", "as_json", is_flag=True, expose_value=False, is_eager=True, callback=_into_session, help="Print JSON."
)
_CONFIG = click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    expose_value=False,
    callback=_into_session,
    help="Read this settings file instead of the nearest kickai.toml or the one that KICKAI_CONFIG names.",
)
_DEBUG = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_into_session,
    help="Show where an error was raised, and the messages of what led to it, without keys and prompts.",
)
