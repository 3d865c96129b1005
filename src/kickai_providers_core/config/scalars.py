"""Single values, exactly: nothing is coerced, but text from an environment variable is read as what is wanted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any

from kickai_providers_core.config.annotations import wanted
from kickai_providers_core.config.faults import Fault, Misfit
from kickai_providers_core.config.wording import did_you_mean, found, kind_of, one_of
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

__all__ = ["Reveal", "Text", "chosen", "scalar", "secret", "target"]

Reveal = Callable[[Mapping[str, Any]], Secret]
"""Finds the secret that a reference (``{ env = "NAME" }``) stands for, or raises a `Misfit`."""

_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class Text(str):
    """Text from an environment variable: whether it is a number or an array is for the wanted type to say."""

    __slots__ = ()


def scalar(value: object, hint: type) -> object:
    """Return a value as the string, boolean, number or enum member that it is.

    Raises:
        Misfit: It is none of that type.
    """
    if issubclass(hint, Enum):
        return value if isinstance(value, hint) else hint(chosen(value, [member.value for member in hint]))
    fits: object = None
    if isinstance(value, Text):
        fits = _read(value.strip(), hint)
    elif hint in {str, bool}:
        fits = value if isinstance(value, hint) else None
    elif isinstance(value, int if hint is int else int | float) and not isinstance(value, bool):
        fits = _number(value, hint)
    if fits is None:
        finite = not isinstance(value, float) or math.isfinite(value)
        raise Misfit(Fault.of(found(value), wanted(hint) if finite else "a finite number"))
    return fits


def _read(text: str, hint: type) -> object:
    if hint is str:
        return str(text)
    return _TRUTH.get(text.lower()) if hint is bool else _number(text, hint)


def _number(value: str | float, hint: type) -> object:
    try:
        number = hint(value)
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def chosen(value: object, options: Sequence[Any]) -> Any:
    """Return the one of the options that a value is.

    Raises:
        Misfit: It is none of them.
    """
    for option in options:
        written = isinstance(value, Text) and str(option).lower() == value.strip().lower()
        if written or (value == option and isinstance(value, bool) == isinstance(option, bool)):
            return option
    hint = partial(did_you_mean, value, map(str, options)) if isinstance(value, str) else ""
    raise Misfit(Fault.of(found(value), one_of(map(found, options)), hint))


def target(value: object, hint: Any) -> Target:
    """Return the target that is written ``instance`` or ``instance:model``.

    Raises:
        Misfit: It is written otherwise.
    """
    if isinstance(value, Target):
        return value
    if isinstance(value, str):
        try:
            return Target.parse(value)
        except ValueError:
            pass  # its message repeats the text, however long
    raise Misfit(Fault.of(found(value), wanted(hint)))


def secret(value: object, reveal: Reveal) -> Secret:
    """Return the secret that a value is or refers to.

    Raises:
        Misfit: It is neither text nor a reference, or the reference leads nowhere. No message holds the value.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value.strip())  # a line break at its end would make an illegal header, and be shown as such
    if isinstance(value, Mapping):
        return reveal(value)
    raise Misfit(Fault.of(kind_of(value), wanted(Secret)))
