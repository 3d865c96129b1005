"""Turns plain data into settings classes: nothing is coerced, and all violations are reported at once.

cattrs selects the hook for a type. The hooks are ours, since its own would turn ``"false"`` into True, None into
``'None'`` and 2.9 into 2. Instances of the settings classes are accepted as they are, so that code may mix both.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from functools import partial
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_origin

import attrs
import cattrs

from kickai_providers_core.config.descriptions import (
    describe_bounds,
    describe_hint,
    describe_kind,
    describe_validation_error,
    describe_value,
    join_names,
    suggest_name,
)
from kickai_providers_core.config.problems import StructuringError, Violation
from kickai_providers_core.config.value_hooks import (
    ResolveSecret,
    build_array_hook,
    build_literal_hook,
    build_mapping_hook,
    build_union_hook,
    describe_safely,
    structure_scalar,
    structure_secret,
    structure_target,
    structure_value,
)
from kickai_providers_core.plugin_api.settings import LONGEST_S, resolve_type_hints
from kickai_providers_core.values.secrets import Secret
from kickai_providers_core.values.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cattrs.dispatch import StructureHook

    from kickai_providers_core.config.descriptions import Path

__all__ = ["build_converter", "structure_table"]

MAX_UNKNOWN = 100
"""The most unknown keys of one table that are reported one by one."""


@attrs.frozen
class _Shape:
    """The fields of a settings class with their types and bounds, by alias."""

    fields: Mapping[str, attrs.Attribute[Any]]
    hints: Mapping[str, Any]
    bounds: Mapping[str, str]

    @classmethod
    def from_class(cls, settings_class: Any) -> _Shape:
        hints = resolve_type_hints(settings_class)
        fields = {str(field.alias): field for field in attrs.fields(settings_class) if field.init}
        return cls(
            fields,
            {alias: hints[field.name] for alias, field in fields.items()},
            {alias: describe_bounds(field) for alias, field in fields.items()},
        )


class _Converter(cattrs.Converter):
    """A converter that caches the shapes of settings classes."""

    def __init__(self) -> None:
        super().__init__()
        self._shapes: dict[Any, _Shape] = {}

    def get_shape(self, cls: Any) -> _Shape:
        """Return the shape of a settings class; raises whatever evaluating its annotations raises."""
        if cls not in self._shapes:
            self._shapes[cls] = _Shape.from_class(cls)
        return self._shapes[cls]


def build_converter(resolve: ResolveSecret) -> cattrs.Converter:
    """Return a converter with strict hooks that looks up references to secrets with ``resolve``."""
    converter = _Converter()
    for single in (bool, int, float, str, Enum):
        converter.register_structure_hook(single, structure_scalar)
    converter.register_structure_hook(Target, structure_target)
    converter.register_structure_hook(Secret, lambda value, _hint: structure_secret(value, resolve))
    factories: tuple[tuple[Callable[[Any], bool], Callable[[Any, Any], StructureHook]], ...] = (
        (_has_origin(Literal), build_literal_hook),
        (_has_origin(tuple, list, frozenset, Sequence), build_array_hook),
        (_has_origin(dict, Mapping), build_mapping_hook),
        (_has_origin(Union, UnionType), build_union_hook),
        (attrs.has, _build_class_hook),
    )
    for matches, factory in factories:
        converter.register_structure_hook_factory(matches, factory)
    return converter


def _has_origin(*origins: object) -> Callable[[Any], bool]:
    return lambda hint: get_origin(hint) in origins


def structure_table(converter: cattrs.Converter, table: object, hint: Any) -> tuple[Any, tuple[Violation, ...]]:
    """Return a table as a settings class, and its violations.

    Invalid values are left out, so that the rest can be checked as well; their fields have the defaults then. The
    first item is None when even that fails.
    """
    violations: tuple[Violation, ...] = ()
    while True:
        try:
            return structure_value(converter, table, hint), violations
        except StructuringError as error:
            # Violations that appear only after something was left out may be a consequence of that.
            violations = violations or error.violations
            rest = _remove_paths(table, {violation.path for violation in error.violations})
            if rest == table:
                return None, violations
            table = rest


def _remove_paths(table: Any, paths: Collection[Path]) -> Any:
    """Return a table without the fields at some paths; an array with a violation is left out as a whole."""
    if not isinstance(table, Mapping) or () in paths:
        return {}
    below: dict[Any, set[Path]] = {}
    for key, *inner_path in paths:
        below.setdefault(key, set()).add(tuple(inner_path))
    if not below.keys() <= {str(key) for key in table}:
        return {}
    rest = {}
    for key, inner in table.items():
        removed = below.get(str(key))
        if removed is None:
            rest[key] = inner
        elif () not in removed and isinstance(inner, Mapping):
            inner_rest = _remove_paths(inner, removed)
            if inner_rest:
                rest[key] = inner_rest
    return rest


def _build_class_hook(hint: Any, converter: _Converter) -> StructureHook:
    def structure(value: object, _hint: Any) -> Any:
        if isinstance(value, hint):
            return value
        if not isinstance(value, Mapping):
            raise StructuringError(Violation.from_mismatch(describe_hint(hint), describe_kind(value)))
        return _build(converter, hint, value, None)

    return structure


def _build(converter: _Converter, cls: Any, table: Mapping[str, object], base: Any) -> Any:
    """Return an instance of a class with the fields of a table; the others come from a base, or are the defaults."""
    try:
        shape = converter.get_shape(cls)
    except Exception as exc:  # noqa: BLE001 # an annotation is code of the plugin
        message = f"the settings class {cls.__name__} cannot be read ({type(exc).__name__}: {exc})"
        raise StructuringError(Violation.from_message(message)) from None
    values: dict[str, Any] = {}
    violations: list[Violation] = []
    unknown: list[str] = []
    for key, value in table.items():
        if key not in shape.fields:
            unknown.append(str(key))
            continue
        try:
            values[key] = _structure_field(converter, shape, key, value, base)
        except StructuringError as error:
            violations += error.prepend_key(key)
    violations += _find_unknown_keys(unknown, shape.fields)
    if base is None:
        violations += _find_missing_keys(table, shape)
    if violations:
        raise StructuringError(*violations)
    try:
        return cls(**values) if base is None else attrs.evolve(base, **values)
    except Exception as exc:  # noqa: BLE001 # a class may validate several of its fields together
        message = f"invalid combination of fields: {describe_validation_error(exc, table)}"
        raise StructuringError(Violation.from_message(message)) from None


def _find_unknown_keys(keys: list[str], fields: Collection[str]) -> Iterator[Violation]:
    """Yield a violation for each unknown key; beyond `MAX_UNKNOWN`, one with their number."""
    allowed = f"(allowed: {join_names(fields)})"
    for key in keys[:MAX_UNKNOWN]:
        yield Violation((key,), f"unknown key {allowed}", partial(suggest_name, key, fields))
    rest = keys[MAX_UNKNOWN:]
    for position, key in enumerate(rest):
        unknown = f"unknown key, the first of {len(rest)} more" if len(rest) > 1 else "unknown key"
        yield Violation((key,), "" if position else f"{unknown} {allowed}")


def _find_missing_keys(table: Mapping[str, object], shape: _Shape) -> Iterator[Violation]:
    for key, field in shape.fields.items():
        if field.default is attrs.NOTHING and key not in table:
            expected = f"{describe_hint(shape.hints[key])} {shape.bounds[key]}".rstrip()
            yield Violation((key,), f"missing (must be {expected})")


def _structure_field(converter: _Converter, shape: _Shape, key: str, value: object, base: Any) -> Any:
    field, hint, bounds = shape.fields[key], shape.hints[key], shape.bounds[key]
    default = _build_default(field) if base is None else getattr(base, field.name)
    if attrs.has(type(default)) and isinstance(value, Mapping):
        return _build(converter, type(default), value, default)
    try:
        result = structure_value(converter, value, hint)
    except StructuringError as error:
        only = error.violations[0]
        if bounds and not only.path:
            expected, _, got = only.message.partition(", got ")
            raise StructuringError(attrs.evolve(only, message=f"{expected} {bounds}, got {got}")) from None
        raise
    if str(field.alias).endswith("_s") and isinstance(result, int | float) and result > LONGEST_S:
        raise StructuringError(Violation.from_mismatch(f"at most {LONGEST_S} seconds", describe_value(result)))
    if field.validator is not None and field.converter is None:
        _validate(field, result, bounds and f"{describe_hint(hint)} {bounds}", describe_safely(value, hint))
    return result


def _validate(field: attrs.Attribute[Any], value: object, expected: str, got: str) -> None:
    try:
        field.validator(None, field, value)  # type: ignore[misc] # it is not None
    except (TypeError, ValueError) as exc:
        message = (
            f"must be {expected}, got {got}"
            if expected
            else f"invalid value ({got}): {describe_validation_error(exc, value)}"
        )
        raise StructuringError(Violation.from_message(message)) from None
    except Exception:  # noqa: BLE001, S110 # it needs the other fields: the class calls it again with them
        pass


def _build_default(field: attrs.Attribute[Any]) -> Any:
    default: Any = field.default
    if not isinstance(default, attrs.Factory):  # type: ignore[arg-type] # a class, but its stubs declare a function
        return default
    return None if default.takes_self else default.factory()
