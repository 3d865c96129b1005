"""A small JSON value that a JSON schema admits, for the keywords that language models are asked with.

Followed: ``type``, ``enum``, ``const``, ``properties``, ``required``, ``additionalProperties``, ``items``,
``prefixItems``, ``minItems``, ``uniqueItems``, ``minLength``, ``minimum``, ``maximum``, ``exclusiveMinimum``,
``exclusiveMaximum``, ``format``, a ``$ref`` within the schema, the first branch of ``anyOf`` and ``oneOf``, and
``allOf`` with one branch (JSON Schema, draft 2020-12). Keywords that only describe, and limits that a small value
keeps, need nothing. A schema with any other keyword is refused, so that what is made up is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil, floor, inf
from typing import Any

__all__ = ["instance_of"]

_FOLLOWED = {
    *("type", "enum", "const", "properties", "required", "additionalProperties", "items", "prefixItems", "minItems"),
    *("uniqueItems", "minLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "format"),
    *("$ref", "anyOf", "oneOf", "allOf"),
}
_HARMLESS = {
    *("$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default", "examples"),
    *("deprecated", "readOnly", "writeOnly", "nullable", "discriminator", "maxItems", "maxLength", "maxProperties"),
}
_FORMATS = {
    "date": "2000-01-01",
    "date-time": "2000-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "a@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "ipv4": "192.0.2.1",
}
_DEEPEST = 50


def instance_of(schema: object, root: object = None, depth: int = 0) -> Any:
    """Return a value that the schema admits.

    Args:
        schema: The schema.
        root: What its ``$ref`` point into; the schema itself when None.
        depth: How many schemas this one lies in.

    Raises:
        ValueError: The schema admits nothing, or has a keyword that is not followed, or needs itself.
    """
    if schema is True:
        return None
    if not isinstance(schema, Mapping):
        raise ValueError("nothing is admitted")  # noqa: TRY004  a schema of the wrong type is a wrong value to whoever asks
    root = schema if root is None else root
    if depth > _DEEPEST:
        raise ValueError("the schema needs itself without end")
    schema = _folded(schema, root)
    unknown = sorted(set(schema) - _FOLLOWED - _HARMLESS)
    if unknown:
        raise ValueError(f"the keyword {unknown[0]!r} is not followed")
    if "const" in schema or "enum" in schema:
        return _listed(schema)
    make = _MAKERS.get(_type(schema))
    if make is None:
        raise ValueError(f"there is no type {_type(schema)!r}")
    return make(schema, root, depth + 1)


def _folded(schema: Mapping[str, Any], root: object) -> Mapping[str, Any]:
    """Return the schema with its reference, and its first branch, drawn into it."""
    for _ in range(_DEEPEST):
        key = next((key for key in ("$ref", "allOf", "anyOf", "oneOf") if key in schema), None)
        if key is None:
            return schema
        if key == "$ref":
            branch = _referred(schema[key], root)
        elif key == "allOf" and len(schema[key]) != 1:
            raise ValueError("'allOf' with several branches is not followed")
        else:
            branch = _first(schema[key])
        if not isinstance(branch, Mapping):
            raise ValueError("nothing is admitted")  # noqa: TRY004
        own = {name: value for name, value in schema.items() if name != key}
        if clash := sorted((own.keys() & branch.keys()) - _HARMLESS):
            raise ValueError(f"{clash[0]!r} beside {key!r} is not followed")
        schema = {**branch, **own}
    raise ValueError("the schema needs itself without end")


def _referred(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        raise ValueError("a '$ref' to elsewhere is not followed")
    found = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            raise ValueError(f"nothing stands at {reference!r}")
        found = found[name]
    return found


def _listed(schema: Mapping[str, Any]) -> Any:
    """Return the first value of an enumeration that has the schema's type."""
    key = "const" if "const" in schema else "enum"
    if clash := sorted(set(schema) - _HARMLESS - {key, "type", "format"}):
        raise ValueError(f"{clash[0]!r} beside {key!r} is not followed")
    values = [schema["const"]] if key == "const" else schema["enum"]
    kinds = schema.get("type", list(_MAKERS))
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    return _first([value for value in values if kinds & _types_of(value)])


def _types_of(value: object) -> set[str]:
    if isinstance(value, bool) or value is None:
        return {"null" if value is None else "boolean"}
    if isinstance(value, int | float):
        return {"number", "integer"} if value == int(value) else {"number"}
    return {"string" if isinstance(value, str) else "object" if isinstance(value, Mapping) else "array"}


def _first(values: Any) -> Any:
    if not values:
        raise ValueError("nothing is admitted")
    return values[0]


def _type(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "null"
    return str(kind if isinstance(kind, str) else _first(kind))


def _object(schema: Mapping[str, Any], root: object, depth: int) -> dict[str, Any]:
    names, known = schema.get("required", ()), schema.get("properties", {})
    if len(names) > schema.get("maxProperties", inf):
        raise ValueError("more properties are required than are allowed")
    others = schema.get("additionalProperties", True)
    return {name: instance_of(known.get(name, others), root, depth) for name in names}


def _array(schema: Mapping[str, Any], root: object, depth: int) -> list[Any]:
    length = schema.get("minItems", 0)
    if length > schema.get("maxItems", inf):
        raise ValueError("more items are required than are allowed")
    if length > 1 and schema.get("uniqueItems"):
        raise ValueError("'uniqueItems' with several items is not followed")
    schemas = [*schema.get("prefixItems", ()), *[schema.get("items", True)] * length]
    return [instance_of(item, root, depth) for item in schemas[:length]]


def _string(schema: Mapping[str, Any], _root: object, _depth: int) -> str:
    text = _FORMATS.get(schema.get("format", ""), "").ljust(schema.get("minLength", 0), "x")
    if len(text) > schema.get("maxLength", inf):
        raise ValueError("its lengths admit no text that is known here")
    return text


def _integer(schema: Mapping[str, Any], _root: object, _depth: int) -> int:
    least = max(_ceil(schema.get("minimum", -inf)), _floor(schema.get("exclusiveMinimum", -inf)) + 1)
    most = min(_floor(schema.get("maximum", inf)), _ceil(schema.get("exclusiveMaximum", inf)) - 1)
    return int(_between(least, most))


def _number(schema: Mapping[str, Any], _root: object, _depth: int) -> float:
    least, most = schema.get("minimum", -inf), schema.get("maximum", inf)
    above, below = schema.get("exclusiveMinimum", -inf), schema.get("exclusiveMaximum", inf)
    low, high = max(least, above), min(most, below)
    value = _between(least, most) if above < _between(least, most) < below else _inside(low, high)
    if not (least <= value <= most and above < value < below):
        raise ValueError("no number is admitted")
    return value


def _between(least: float, most: float) -> float:
    """Return the number from least to most that is nearest to 0."""
    if least > most:
        raise ValueError("no number is admitted")
    return min(max(0, least), most)


def _inside(low: float, high: float) -> float:
    if low > -inf and high < inf:
        return low + (high - low) / 2
    return low + 1 if low > -inf else high - 1


def _ceil(value: float) -> float:
    return value if abs(value) == inf else ceil(value)


def _floor(value: float) -> float:
    return value if abs(value) == inf else floor(value)


_MAKERS: Mapping[str, Callable[[Mapping[str, Any], object, int], Any]] = {
    "object": _object,
    "array": _array,
    "string": _string,
    "integer": _integer,
    "number": _number,
    "boolean": lambda _schema, _root, _depth: False,
    "null": lambda _schema, _root, _depth: None,
}
