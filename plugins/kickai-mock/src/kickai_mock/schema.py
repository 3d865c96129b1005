"""A small JSON text for a JSON schema: every required part with its smallest value.

The value is built for the keywords that language models get, and then checked by `check_answer`. A schema for which
it is wrong is rejected, so that the mock never returns JSON that its schema does not allow.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, inf
from typing import TYPE_CHECKING, Any

from kickai_providers_core import InvalidReplyError, UnsupportedRequestError
from kickai_providers_core.authoring import check_answer, dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["build_json"]

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
_NUMERIC = ("type", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_MAX_DEPTH = 50


def build_json(schema: Mapping[str, Any]) -> str:
    """Return compact JSON that the schema allows.

    Raises:
        UnsupportedRequestError: The schema is not valid, allows nothing, or is too complex for the mock.
    """
    try:
        text = dumps(_build(schema, schema, 0))
        check_answer(text, schema)
    except InvalidReplyError as exc:
        why = exc.message.rpartition(": ")[2]
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        why = str(exc)
    else:
        return text
    message = f"the mock cannot build JSON for the schema ({why}): give it a reply"
    raise UnsupportedRequestError(message, status_code=400)


def _build(schema: object, root: Mapping[str, Any], depth: int) -> Any:
    """Return a value for a schema that lies in ``depth`` others."""
    if depth > _MAX_DEPTH:
        raise ValueError("it contains itself without end")
    if not isinstance(schema, Mapping):
        return None
    schema = _merge(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        own_type = {name: schema[name] for name in ("type",) if name in schema}
        return next((value for value in schema["enum"] if _is_allowed(value, own_type)), None)
    kind = _infer_type(schema)
    if kind == "object":
        known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        return {name: _build(known.get(name, others), root, depth + 1) for name in schema.get("required", ())}
    if kind == "array":
        length = schema.get("minItems", 0)
        items = [*schema.get("prefixItems", ()), *[schema.get("items", True)] * length]
        return [_build(item, root, depth + 1) for item in items[:length]]
    if kind == "string":
        text: str = _FORMATS.get(schema.get("format", ""), "").ljust(schema.get("minLength", 0), "x")
        return text if len(text) <= schema.get("maxLength", inf) else ""
    if kind in {"integer", "number"}:
        own = {name: schema[name] for name in _NUMERIC if name in schema}
        return next((number for number in _generate_numbers(own) if _is_allowed(number, own)), 0)
    return False if kind == "boolean" else None


def _merge(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema with its reference, all of ``allOf`` and the first branch of ``anyOf`` and ``oneOf``."""
    for _ in range(_MAX_DEPTH):
        key = next((key for key in ("$ref", "allOf", "anyOf", "oneOf") if key in schema), None)
        if key is None:
            return schema
        own = {name: value for name, value in schema.items() if name != key}
        branches = [_resolve(schema[key], root)] if key == "$ref" else schema[key]
        if key in {"anyOf", "oneOf"}:
            branches = branches[:1]
        for branch in branches:
            own = {**branch, **own}
        schema = own
    raise ValueError("it contains itself without end")


def _resolve(reference: str, root: Any) -> Any:
    if not reference.startswith("#"):
        raise ValueError("it refers to another document")
    found = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            raise ValueError(f"there is nothing at {reference!r}")
        found = found[name]
    return found


def _infer_type(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema else "null"
    return kind if isinstance(kind, str) else kind[0]


def _is_allowed(value: object, schema: Mapping[str, Any]) -> bool:
    try:
        check_answer(dumps(value), schema)
    except InvalidReplyError:
        return False
    return True


def _generate_numbers(schema: Mapping[str, Any]) -> Iterator[float]:
    """Yield the numbers of which one lies within the limits, the simplest first."""
    low = max(schema.get("minimum", -inf), schema.get("exclusiveMinimum", -inf))
    high = min(schema.get("maximum", inf), schema.get("exclusiveMaximum", inf))
    yield 0
    if low > -inf:
        yield from (ceil(low), floor(low) + 1)
    if high < inf:
        yield from (floor(high), ceil(high) - 1)
    if -inf < low and high < inf:
        yield from (low, high, low + (high - low) / 2)
