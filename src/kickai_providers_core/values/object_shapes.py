"""The shapes of classes with named fields: attrs classes, dataclasses, TypedDicts, and pydantic's models."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Mapping
from typing import Any, NotRequired, Required, get_origin

import attrs

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.docstrings import parse_docstring
from kickai_providers_core.values.shapes import MISSING, MisfitError, Shape

__all__ = [
    "Field",
    "build_object_shape",
    "build_pydantic_shape",
    "is_object_class",
    "is_pydantic_model",
    "read_fields",
    "resolve_hints",
]

BROKEN = (TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
"""What a constructor or a validator raises for a value that it does not accept."""


@attrs.frozen(eq=False, repr=False)
class Field(Value):
    """A named part of an object in JSON.

    Attributes:
        name: Its key.
        hint: Its type.
        is_required: Whether an object must have it.
        description: What it means, for the model; may be empty.
    """

    name: str
    hint: Any
    is_required: bool
    description: str = ""


def resolve_hints(thing: Any, what: str) -> dict[str, Any]:
    """Return the type hints of a class or a function.

    Raises:
        TypeError: One of them names something that does not exist at module level.
    """
    try:
        return typing.get_type_hints(thing, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        message = (
            f"the type hints of {what} cannot be resolved ({error}): define or import what they name at module level"
        )
        raise TypeError(message) from None


def is_pydantic_model(kind: object) -> bool:
    """Return whether this is a model class of pydantic, which is not imported for it."""
    return isinstance(kind, type) and hasattr(kind, "model_json_schema") and hasattr(kind, "model_validate_json")


def is_object_class(kind: object) -> bool:
    """Return whether this is an attrs class, a dataclass or a TypedDict."""
    return isinstance(kind, type) and (attrs.has(kind) or dataclasses.is_dataclass(kind) or typing.is_typeddict(kind))


def read_fields(kind: type) -> list[Field]:
    """Return the fields of such a class that its constructor takes, or that its mappings have.

    Raises:
        TypeError: Their types cannot be resolved, or one has none.
    """
    hints = resolve_hints(kind, kind.__name__)
    descriptions = parse_docstring(kind.__doc__)[1]
    if typing.is_typeddict(kind):
        needed: frozenset[str] = kind.__required_keys__  # type: ignore[attr-defined]
        marks = {name: get_origin(hint) for name, hint in hints.items()}
        found = [
            (name, hint, marks[name] is Required or (name in needed and marks[name] is not NotRequired))
            for name, hint in hints.items()
        ]
    elif attrs.has(kind):
        found = [
            (each.alias or each.name, hints.get(each.name), each.default is attrs.NOTHING)
            for each in attrs.fields(kind)
            if each.init
        ]
    else:
        found = [
            (each.name, hints.get(each.name), each.default is dataclasses.MISSING is each.default_factory)
            for each in dataclasses.fields(kind)
            if each.init
        ]
    for name, hint, _ in found:
        if hint is None:
            message = f"the field {name!r} of {kind.__name__} has no type"
            raise TypeError(message)
    return [Field(name, hint, is_required, descriptions.get(name, "")) for name, hint, is_required in found]


def build_object_shape(fields: Mapping[str, tuple[Shape, bool]], build: Callable[..., Any], name: str) -> Shape:
    """Return the shape of an object with these fields and no others.

    Args:
        fields: By name, each field's shape and whether it is required.
        build: Returns the object for the fields, given as keyword arguments.
        name: The name of the type.
    """
    required = [key for key, (_, is_required) in fields.items() if is_required]

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, Mapping):
            raise MisfitError(path, "an object", value)
        if not value.keys() <= fields.keys():
            raise MisfitError(path, f"an object with no other keys than {', '.join(fields) or 'none'}", value)
        dot = f"{path}." if path else ""
        for key in required:
            if key not in value:
                raise MisfitError(f"{dot}{key}", "present", MISSING)
        known = {key: shape.read(value[key], f"{dot}{key}") for key, (shape, _) in fields.items() if key in value}
        try:
            return build(**known)
        except BROKEN:  # its message may quote the answer
            raise MisfitError(path, f"what {name} accepts", value) from None

    schema: dict[str, Any] = {
        "type": "object",
        "properties": {key: dict(shape.schema) for key, (shape, _) in fields.items()},
        "required": required,
        "additionalProperties": False,
    }
    return Shape(schema, read)


def build_pydantic_shape(kind: Any) -> Shape:
    """Return the shape of a pydantic model; pydantic itself reads it, in its strict mode."""

    def read(value: Any, path: str) -> Any:
        try:
            return kind.model_validate_json(json.dumps(value), strict=True)
        except BROKEN:  # a ValidationError is a ValueError, and quotes the answer
            raise MisfitError(path, f"what {kind.__name__} accepts", value) from None

    return Shape(kind.model_json_schema(), read)
