"""Shapes: what a type looks like in JSON, and how a JSON value becomes an object of the type.

Reading is strict. Nothing is converted except where JSON has no form of its own: an integer for a float, text for an
enumeration or a date, an array for a tuple or a set. No message quotes a value, which may belong to an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from enum import Enum

__all__ = [
    "MisfitError",
    "Read",
    "Shape",
    "build_array_shape",
    "build_choice_shape",
    "build_date_shape",
    "build_mapping_shape",
    "build_tuple_shape",
    "build_union_shape",
    "describe_json",
    "find_scalar_shape",
    "list_enum_choices",
]

Read = Callable[[Any, str], Any]
"""Returns the object for a JSON value. The text is the value's path in errors, empty for the whole."""


class MisfitError(ValueError):
    """A JSON value does not have the form that a type needs. The message has its path, and no part of the value.

    Args:
        path: Where the value is; empty for the whole.
        expected: What it must be.
        value: The value, of which only the kind is kept.
    """

    def __init__(self, path: str, expected: str, value: object) -> None:
        super().__init__(f"{path or 'the value'} must be {expected}, got {describe_json(value)}")


class _Missing:
    """Represents a field that an object does not have."""


MISSING = _Missing()


@frozen(eq=False, repr=False)
class Shape(Value):
    """The form of a type in JSON.

    Attributes:
        schema: Its JSON schema.
        read: Returns the object for a JSON value. Raises a `MisfitError` for one of another form. Two shapes with the
            same schema are equal.
    """

    schema: Mapping[str, Any]
    read: Read = field(eq=False)

    def add_description(self, text: str) -> Shape:
        """Return the shape with a description; an empty one changes nothing."""
        return Shape({**self.schema, "description": text}, self.read) if text else self


def describe_json(value: object) -> str:
    """Return what kind of JSON value this is."""
    kinds = ((bool, "true or false"), (str, "text"), (int, "an integer"), (float, "a number"), (Mapping, "an object"))
    if value is None or value is MISSING:
        return "null" if value is None else "nothing"
    return next((name for kind, name in kinds if isinstance(value, kind)), "an array")


def _read_boolean(value: Any, path: str) -> bool:
    if isinstance(value, bool):
        return value
    raise MisfitError(path, "true or false", value)


def _read_integer(value: Any, path: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise MisfitError(path, "an integer", value)


def _read_number(value: Any, path: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            pass
    raise MisfitError(path, "a number", value)


def _read_text(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    raise MisfitError(path, "text", value)


def _read_null(value: Any, path: str) -> None:
    if value is not None:
        raise MisfitError(path, "null", value)


def _read_anything(value: Any, _path: str) -> Any:
    return value


_SCALARS: Mapping[Any, Shape] = {
    bool: Shape({"type": "boolean"}, _read_boolean),
    int: Shape({"type": "integer"}, _read_integer),
    float: Shape({"type": "number"}, _read_number),
    str: Shape({"type": "string"}, _read_text),
    type(None): Shape({"type": "null"}, _read_null),
    None: Shape({"type": "null"}, _read_null),
    Any: Shape({}, _read_anything),
    object: Shape({}, _read_anything),
}


def find_scalar_shape(hint: object) -> Shape | None:
    """Return the shape of a number, of text, of a truth value, of None or of anything; None for another type."""
    try:
        return _SCALARS.get(hint)
    except TypeError:  # a hint that cannot be hashed
        return None


def build_date_shape(kind: type[date]) -> Shape:
    """Return the shape of `date` or `datetime`: text in the ISO form."""
    is_time = issubclass(kind, datetime)
    expected = "a date and time in the form 2030-12-31T23:59:59Z" if is_time else "a date in the form 2030-12-31"

    def read(value: Any, path: str) -> date:
        try:
            return kind.fromisoformat(value)
        except (TypeError, ValueError):
            raise MisfitError(path, expected, value) from None

    return Shape({"type": "string", "format": "date-time" if is_time else "date"}, read)


def build_choice_shape(choices: Mapping[Any, Any]) -> Shape:
    """Return the shape of a fixed choice.

    Args:
        choices: From each allowed JSON value (text, an integer, true, false or null) to the object that it means.
    """
    known = {(type(value), value): meaning for value, meaning in choices.items()}
    expected = f"one of {', '.join(map(repr, choices))}"

    def read(value: Any, path: str) -> Any:
        if isinstance(value, str | int | None) and (type(value), value) in known:
            return known[type(value), value]
        raise MisfitError(path, expected, value)

    kinds = {_SCALARS[type(value)].schema["type"] for value in choices}
    schema: dict[str, Any] = {"enum": list(choices)}
    return Shape({"type": kinds.pop()} | schema if len(kinds) == 1 else schema, read)


def list_enum_choices(kind: type[Enum]) -> dict[Any, Enum]:
    """Return the members of an enumeration by value."""
    return {member.value: member for member in kind}


def build_union_shape(shapes: Sequence[Shape]) -> Shape:
    """Return the shape of a union: the first member that a value fits."""

    def read(value: Any, path: str) -> Any:
        misfits = []
        for shape in shapes:
            try:
                return shape.read(value, path)
            except MisfitError as misfit:
                misfits.append(misfit)
        real = [each for each, shape in zip(misfits, shapes, strict=True) if shape.schema.get("type") != "null"]
        if len(real) == 1 and value is not None:
            raise real[0]
        raise MisfitError(path, f"of one of {len(shapes)} allowed types", value)

    return Shape({"anyOf": [dict(shape.schema) for shape in shapes]}, read)


def build_array_shape(item: Shape, build: Callable[[list[Any]], Any], *, is_unique: bool = False) -> Shape:
    """Return the shape of a list, set or tuple whose items all have one shape.

    Args:
        item: The shape of each item.
        build: Returns the collection for the items.
        is_unique: Whether the items must differ.
    """

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, list):
            raise MisfitError(path, "an array", value)
        try:
            found = build([item.read(each, f"{path}[{place}]") for place, each in enumerate(value)])
        except TypeError:
            raise MisfitError(path, "an array of values that can be compared", value) from None
        if is_unique and len(found) < len(value):
            raise MisfitError(path, "an array of different items", value)
        return found

    schema: dict[str, Any] = {"type": "array", "items": dict(item.schema)}
    return Shape(schema | {"uniqueItems": True} if is_unique else schema, read)


def build_tuple_shape(items: Sequence[Shape]) -> Shape:
    """Return the shape of a tuple of a fixed length."""

    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(items):
            raise MisfitError(path, f"an array of {len(items)}", value)
        return tuple(shape.read(each, f"{path}[{place}]") for place, (shape, each) in enumerate(zip(items, value)))  # noqa: B905

    size = len(items)
    return Shape(
        {"type": "array", "prefixItems": [dict(shape.schema) for shape in items], "minItems": size, "maxItems": size},
        read,
    )


def build_mapping_shape(item: Shape) -> Shape:
    """Return the shape of a mapping from text to values of one shape. Its keys are not in the paths of errors."""

    def read(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise MisfitError(path, "an object", value)
        return {key: item.read(each, f"{path}[…]") for key, each in value.items()}

    return Shape({"type": "object", "additionalProperties": dict(item.schema)}, read)
