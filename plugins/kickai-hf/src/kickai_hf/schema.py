"""Whether an answer keeps to its JSON schema.

An endpoint that does not know a way of asking for a schema ignores it without a word. The only proof that it was heard
is the answer: so each one is checked, against the keywords that decide an answer's shape. Others (``pattern``,
``minimum``, ``format``, …) are the endpoint's business, and are taken as kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["keeps_to"]


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_HAS_TYPE: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": _is_number,
    "integer": lambda value: _is_number(value) and value % 1 == 0,
}


def keeps_to(text: str, schema: Mapping[str, Any]) -> bool:
    """Say whether a text is JSON that the schema admits, as far as the keywords above can tell."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    try:
        return _admits(schema, value, schema)
    except (
        TypeError,
        AttributeError,
        KeyError,
        RecursionError,
    ):  # the schema is none, which is for the endpoint to say
        return True


def _admits(schema: Any, value: Any, root: Mapping[str, Any]) -> bool:
    if not isinstance(schema, Mapping):  # True and False are schemas too
        return schema is not False
    if "$ref" in schema:
        return _admits(_resolved(schema["$ref"], root), value, root)
    return (
        ("type" not in schema or _has_type(value, schema["type"]))
        and ("enum" not in schema or value in schema["enum"])
        and ("const" not in schema or value == schema["const"])
        and all(_admits(part, value, root) for part in schema.get("allOf", ()))
        and all(
            any(_admits(part, value, root) for part in schema[keyword])
            for keyword in ("anyOf", "oneOf")
            if keyword in schema
        )
        and (not isinstance(value, dict) or _admits_object(schema, value, root))
        and (not isinstance(value, list) or all(_admits(schema.get("items", True), item, root) for item in value))
    )


def _admits_object(schema: Mapping[str, Any], value: dict[str, Any], root: Mapping[str, Any]) -> bool:
    known = schema.get("properties", {})
    others = schema.get("additionalProperties", True) if "patternProperties" not in schema else True
    return all(name in value for name in schema.get("required", ())) and all(
        _admits(known.get(name, others), inner, root) for name, inner in value.items()
    )


def _has_type(value: Any, wanted: str | list[str]) -> bool:
    return any(_HAS_TYPE[name](value) for name in ([wanted] if isinstance(wanted, str) else wanted))


def _resolved(reference: str, root: Mapping[str, Any]) -> Any:
    """Return what a reference within the schema points to; one that leads elsewhere admits everything."""
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        if not isinstance(found, Mapping) or step not in found:
            return True
        found = found[step]
    return found if reference.startswith("#") else True
