"""The arguments of ``kickai ask``: numbers, targets and the prompt."""

from __future__ import annotations

import math
import sys
from typing import Any

import click

from kickai_providers_core.plugin_api.settings import LONGEST_S
from kickai_providers_core.values.targets import Target

__all__ = ["FiniteNumber", "parse_targets", "read_prompt", "require_utf8"]


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


def read_prompt(words: tuple[str, ...]) -> str:
    """Return the prompt: the words, or standard input without words or for ``-``.

    Raises:
        click.UsageError: There is no prompt, or it is empty or not UTF-8 text.
    """
    if words and words != ("-",):
        text = require_utf8(" ".join(words), "the prompt")
    else:
        if sys.stdin is None or (not words and sys.stdin.isatty()):
            raise click.UsageError("There is no prompt: pass it as an argument or on standard input.")
        text = _read_stdin()
    if not text.strip():
        raise click.UsageError("The prompt is empty.")
    return text


def _read_stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("Standard input is not UTF-8 text.") from None
    except OSError as exc:
        raise click.UsageError(f"Standard input cannot be read: {exc.strerror}.") from None


def require_utf8(value: str, what: str) -> str:
    """Return an argument, which has to be UTF-8 text; other bytes arrive as lone surrogates.

    Raises:
        click.UsageError: It is not UTF-8 text.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{what.capitalize()} is not UTF-8 text.") from None
    return value
