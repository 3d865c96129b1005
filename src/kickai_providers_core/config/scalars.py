"""Single values: nothing is coerced, except that text from an environment variable is parsed as its setting's type."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from functools import partial
from typing import Any

from kickai_providers_core.config.descriptions import (
    describe_kind,
    describe_type,
    describe_value,
    join_options,
    suggest_name,
)
from kickai_providers_core.config.problems import StructuringError, Violation
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

__all__ = ["ResolveSecret", "Text", "choose", "structure_scalar", "structure_secret", "structure_target"]

ResolveSecret = Callable[[Mapping[str, Any]], Secret]
"""Looks up the secret of a reference (``{ env = "NAME" }``), or raises a `StructuringError`."""

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class Text(str):
    """Text from an environment variable: the setting's type decides whether it is a number, an array or text."""

    __slots__ = ()


def structure_scalar(value: object, hint: type) -> object:
    """Return a value as a string, boolean, number or enum member.

    Raises:
        StructuringError: It is not of that type.
    """
    if issubclass(hint, Enum):
        return value if isinstance(value, hint) else hint(choose(value, [member.value for member in hint]))
    result: object = None
    if isinstance(value, Text):
        result = _parse(value.strip(), hint)
    elif hint in {str, bool}:
        result = value if isinstance(value, hint) else None
    elif isinstance(value, int if hint is int else int | float) and not isinstance(value, bool):
        result = _number(value, hint)
    if result is None:
        finite = not isinstance(value, float) or math.isfinite(value)
        expected = describe_type(hint) if finite else "a finite number"
        raise StructuringError(Violation.from_mismatch(expected, describe_value(value)))
    return result


def _parse(text: str, hint: type) -> object:
    if hint is str:
        return str(text)
    return _BOOLEANS.get(text.lower()) if hint is bool else _number(text, hint)


def _number(value: str | float, hint: type) -> object:
    try:
        number = hint(value)
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def choose(value: object, options: Sequence[Any]) -> Any:
    """Return the option that a value equals.

    Raises:
        StructuringError: It equals none of them.
    """
    for option in options:
        matches = isinstance(value, Text) and str(option).lower() == value.strip().lower()
        if matches or (value == option and isinstance(value, bool) == isinstance(option, bool)):
            return option
    hint = partial(suggest_name, value, map(str, options)) if isinstance(value, str) else ""
    expected = join_options(map(describe_value, options))
    raise StructuringError(Violation.from_message(f"must be {expected}, got {describe_value(value)}", hint))


def structure_target(value: object, hint: Any) -> Target:
    """Return the target of a text: ``instance`` or ``instance:model``.

    Raises:
        StructuringError: It is neither.
    """
    if isinstance(value, Target):
        return value
    if isinstance(value, str):
        try:
            return Target.parse(value)
        except ValueError:
            pass  # its message quotes the text, however long that is
    raise StructuringError(Violation.from_mismatch(describe_type(hint), describe_value(value)))


def structure_secret(value: object, resolve: ResolveSecret) -> Secret:
    """Return the secret that a value is, or that it refers to.

    Raises:
        StructuringError: It is neither text nor a reference, or the reference cannot be resolved. No message quotes
            the value.
    """
    if isinstance(value, Secret):
        return value
    if isinstance(value, str):
        return Secret(value.strip())  # a line break at the end would make an invalid header
    if isinstance(value, Mapping):
        return resolve(value)
    raise StructuringError(Violation.from_mismatch(describe_type(Secret), describe_kind(value)))
