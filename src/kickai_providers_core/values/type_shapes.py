"""The shape of a type hint. One walk over the hint builds both the JSON schema and what reads values of it."""

from __future__ import annotations

import enum
import types
import typing
from collections import abc
from datetime import date, datetime
from typing import Annotated, Any, Literal, NoReturn, NotRequired, Required, Union, get_args, get_origin

from kickai_providers_core.values import shapes
from kickai_providers_core.values.docstrings import parse_docstring
from kickai_providers_core.values.object_shapes import (
    build_object_shape,
    build_pydantic_shape,
    is_object_class,
    is_pydantic_model,
    read_fields,
)

if typing.TYPE_CHECKING:
    from kickai_providers_core.values.shapes import Shape

__all__ = ["find_shape"]

LISTS = frozenset({list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection})
SETS = frozenset({set, frozenset, abc.Set, abc.MutableSet})
MAPPINGS = frozenset({dict, abc.Mapping, abc.MutableMapping})
MARKS = (Required, NotRequired, typing.Final)


def find_shape(hint: Any, where: str, outer: tuple[type, ...] = ()) -> Shape:
    """Return the shape of a type.

    Args:
        hint: The type: numbers, text, truth values, None, dates, ``Literal``, enumerations, unions, lists, sets,
            tuples, mappings from text, ``Annotated`` with a description, attrs classes, dataclasses, TypedDicts,
            pydantic's models, and ``Any``.
        where: What has the type, for errors.
        outer: The classes whose fields are being looked at.

    Raises:
        TypeError: JSON has no form for the type.
    """
    scalar = shapes.find_scalar_shape(hint)
    if scalar is not None:
        return scalar
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        texts = [each for each in hint.__metadata__ if isinstance(each, str)]
        return find_shape(arguments[0], where, outer).add_description(" ".join(texts))
    if origin in MARKS:
        return find_shape(arguments[0], where, outer)
    if origin is Literal:
        return _find_literal(arguments, where)
    if origin in {Union, types.UnionType}:
        return _find_union(arguments, where, outer)
    if isinstance(hint, typing.NewType):
        return find_shape(hint.__supertype__, where, outer)
    if type(hint).__name__ == "TypeAliasType":  # ``type X = …`` of Python 3.12
        return find_shape(hint.__value__, where, outer)
    if isinstance(hint, type) and origin is None and hint not in LISTS | SETS | MAPPINGS | {tuple}:
        return _find_class(hint, where, outer)
    return _find_collection(hint if origin is None else origin, arguments, where, outer)


def _refuse(hint: object, where: str, reason: str = "JSON has no form for it") -> NoReturn:
    name = hint.__name__ if isinstance(hint, type) else str(hint)
    message = f"the type of {where} is not supported: {name} ({reason})"
    raise TypeError(message)


def _find_literal(values: tuple[Any, ...], where: str) -> Shape:
    if not all(isinstance(value, str | int | None) and not isinstance(value, enum.Enum) for value in values):
        _refuse(Literal, where, "its values must be text, integers, True, False or None")
    if len(set(values)) < len({(type(value), value) for value in values}):
        _refuse(Literal, where, "JSON does not tell 1 from True")
    return shapes.build_choice_shape({value: value for value in values})


def _find_union(members: tuple[Any, ...], where: str, outer: tuple[type, ...]) -> Shape:
    # An integer also fits a float, which would convert it: the exact type comes first.
    ordered = sorted(members, key=lambda member: member is float)
    return shapes.build_union_shape([find_shape(member, where, outer) for member in ordered])


def _find_class(kind: type, where: str, outer: tuple[type, ...]) -> Shape:
    if issubclass(kind, enum.Enum):
        choices = shapes.list_enum_choices(kind)
        if not choices or not all(isinstance(value, str | int) for value in choices):
            _refuse(kind, where, "the values of an enumeration must be text or integers")
        return shapes.build_choice_shape({_convert_member(value): member for value, member in choices.items()})
    if kind in {date, datetime}:
        return shapes.build_date_shape(kind)
    if is_pydantic_model(kind):
        if outer:
            _refuse(kind, where, "a pydantic model can only be the outermost type")
        return build_pydantic_shape(kind)
    if not is_object_class(kind):
        _refuse(kind, where)
    if kind in outer:
        _refuse(kind, where, "it contains itself")
    fields = {
        field.name: (
            find_shape(field.hint, f"{kind.__name__}.{field.name}", (*outer, kind)).add_description(field.description),
            field.is_required,
        )
        for field in read_fields(kind)
    }
    return build_object_shape(fields, kind, kind.__name__).add_description(_describe_class(kind))


def _convert_member(value: str | int) -> str | int:
    """Return the value of a ``StrEnum`` or an ``IntEnum`` as what JSON has."""
    return str(value) if isinstance(value, str) else value if isinstance(value, bool) else int(value)


def _describe_class(kind: type) -> str:
    own = kind.__dict__.get("__doc__") or ""
    return "" if own.startswith(f"{kind.__name__}(") else parse_docstring(own)[0]  # as dataclasses write it


def _find_collection(origin: Any, arguments: tuple[Any, ...], where: str, outer: tuple[type, ...]) -> Shape:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return shapes.build_tuple_shape([find_shape(each, where, outer) for each in arguments])
    if origin in LISTS | SETS | {tuple}:
        item = find_shape(arguments[0] if arguments else Any, f"an item of {where}", outer)
        build: Any = list if origin in LISTS else tuple if origin is tuple else origin
        if origin in SETS:
            build = frozenset if origin in {frozenset, abc.Set} else set
        return shapes.build_array_shape(item, build, is_unique=origin in SETS)
    if origin in MAPPINGS:
        key, value = arguments or (str, Any)
        if key is not str:
            _refuse(key, f"a key of {where}", "the keys of a mapping must be str")
        return shapes.build_mapping_shape(find_shape(value, f"a value of {where}", outer))
    _refuse(origin, where)
