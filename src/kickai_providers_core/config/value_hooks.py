"""The structuring hooks for single values, arrays, mappings and unions.

Nothing is coerced, except that text from an environment variable is parsed as its setting's type.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from functools import partial
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_origin

from kickai_providers_core.config.descriptions import (
    describe_hint,
    describe_kind,
    describe_value,
    is_secret_type,
    join_options,
    suggest_name,
)
from kickai_providers_core.config.problems import StructuringError, Violation
from kickai_providers_core.values.plain_text import format_count
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    import cattrs
    from cattrs.dispatch import StructureHook

__all__ = [
    "EnvironmentText",
    "ResolveSecret",
    "build_array_hook",
    "build_literal_hook",
    "build_mapping_hook",
    "build_mismatch_error",
    "build_union_hook",
    "describe_safely",
    "structure_scalar",
    "structure_secret",
    "structure_target",
    "structure_value",
]

ResolveSecret = Callable[[Mapping[str, Any]], Secret]
"""Looks up the secret of a reference (``{ env = "NAME" }``), or raises a `StructuringError`."""

_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


class EnvironmentText(str):
    """Text from an environment variable: the setting's type decides whether it is a number, an array or text."""

    __slots__ = ()


def structure_scalar(value: object, hint: type) -> object:
    """Return a value as a string, boolean, number or enum member.

    Raises:
        StructuringError: It is not of that type.
    """
    if issubclass(hint, Enum):
        return value if isinstance(value, hint) else hint(_choose(value, [member.value for member in hint]))
    result: object = None
    if isinstance(value, EnvironmentText):
        result = _parse(value.strip(), hint)
    elif hint in {str, bool}:
        result = value if isinstance(value, hint) else None
    elif isinstance(value, int if hint is int else int | float) and not isinstance(value, bool):
        result = _parse_number(value, hint)
    if result is None:
        finite = not isinstance(value, float) or math.isfinite(value)
        expected = describe_hint(hint) if finite else "a finite number"
        raise StructuringError(Violation.from_mismatch(expected, describe_value(value)))
    return result


def _parse(text: str, hint: type) -> object:
    if hint is str:
        return str(text)
    return _BOOLEANS.get(text.lower()) if hint is bool else _parse_number(text, hint)


def _parse_number(value: str | float, hint: type) -> object:
    try:
        number = hint(value)
        return number if math.isfinite(number) else None
    except (ValueError, OverflowError):
        return None


def _choose(value: object, options: Sequence[Any]) -> Any:
    """Return the option that a value equals.

    Raises:
        StructuringError: It equals none of them.
    """
    for option in options:
        matches = isinstance(value, EnvironmentText) and str(option).lower() == value.strip().lower()
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
    raise StructuringError(Violation.from_mismatch(describe_hint(hint), describe_value(value)))


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
    raise StructuringError(Violation.from_mismatch(describe_hint(Secret), describe_kind(value)))


def structure_value(converter: cattrs.Converter, value: object, hint: Any) -> Any:
    """Return a value as a type.

    Raises:
        StructuringError: It is not of that type.
    """
    try:
        return converter.structure(value, hint)
    except StructuringError:
        raise
    except Exception:  # noqa: BLE001 # a plugin may use any type, and cattrs raises what that type raises
        raise build_mismatch_error(value, hint) from None


def build_mismatch_error(value: object, hint: Any) -> StructuringError:
    """Return the error of a value that is not of a type."""
    return StructuringError(Violation.from_mismatch(describe_hint(hint), describe_safely(value, hint)))


def describe_safely(value: object, hint: Any) -> str:
    """Return a value as messages show it: only its kind if it may be a secret."""
    return describe_kind(value) if is_secret_type(hint) else describe_value(value)


def build_literal_hook(hint: Any, _converter: cattrs.Converter) -> StructureHook:
    """Return the hook of a ``Literal``."""
    return lambda value, _hint: _choose(value, get_args(hint))


def build_array_hook(hint: Any, converter: cattrs.Converter) -> StructureHook:
    """Return the hook of a tuple, list, frozenset or sequence."""
    origin, items = get_origin(hint), get_args(hint)
    fixed = origin is tuple and items[-1] is not Ellipsis
    build = origin if origin in {list, frozenset} else tuple

    def structure(value: object, _hint: Any) -> Any:
        if isinstance(value, EnvironmentText):
            value = [EnvironmentText(part.strip()) for part in value.split(",")] if value.strip() else []
        if not isinstance(value, list | tuple | frozenset):
            raise build_mismatch_error(value, hint)
        if fixed and len(value) != len(items):
            expected = f"an array of {format_count(len(items), 'item')}"
            raise StructuringError(Violation.from_mismatch(expected, format_count(len(value), "item")))
        hints = items if fixed else (items[0],) * len(value)
        return build(_structure_items(converter, ((key, item, hints[key]) for key, item in enumerate(value))).values())

    return structure


def build_mapping_hook(hint: Any, converter: cattrs.Converter) -> StructureHook:
    """Return the hook of a mapping."""
    item_hint = get_args(hint)[1]

    def structure(value: object, _hint: Any) -> Any:
        if not isinstance(value, Mapping):
            raise StructuringError(Violation.from_mismatch(describe_hint(hint), describe_kind(value)))
        return _structure_items(converter, ((str(key), item, item_hint) for key, item in value.items()))

    return structure


def _structure_items(converter: cattrs.Converter, items: Iterable[tuple[Any, object, Any]]) -> dict[Any, Any]:
    results: dict[Any, Any] = {}
    violations: list[Violation] = []
    for key, item, hint in items:
        try:
            results[key] = structure_value(converter, item, hint)
        except StructuringError as error:
            violations += error.prepend_key(key)
    if violations:
        raise StructuringError(*violations)
    return results


def build_union_hook(hint: Any, converter: cattrs.Converter) -> StructureHook:
    """Return the hook of a union: the first option that accepts the value wins."""
    options = [option for option in get_args(hint) if option is not NoneType]

    def structure(value: object, _hint: Any) -> Any:
        if value is None and NoneType in get_args(hint):
            return None
        errors = []
        for option in options:
            try:
                return structure_value(converter, value, option)
            except StructuringError as error:
                errors.append(error)
        if len(errors) == 1:
            raise errors[0]
        raise build_mismatch_error(value, hint)

    return structure
