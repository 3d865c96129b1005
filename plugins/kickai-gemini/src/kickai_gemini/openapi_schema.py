"""JSON schemas in the form that google-generativeai can send: the few fields of the API's first ``Schema``.

The client's development ended before the API took JSON schemas as they are. Its form has no bounds on values (a
minimum, a pattern): those are left out, and the reply names them. A schema whose shape does not fit the form cannot be
sent with this client.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from kickai_providers_core import UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["convert_to_openapi"]

TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})
KEPT = {"description": "description", "format": "format", "minItems": "minItems", "maxItems": "maxItems"}
FORMATS = frozenset({"float", "double", "int32", "int64", "enum", "date-time"})
"""The formats that the service accepts there."""

SHAPES = frozenset({"allOf", "not", "if", "patternProperties", "prefixItems", "dependentSchemas", "$dynamicRef"})
"""Keywords without which the schema would accept something else."""

SILENT = frozenset({"$schema", "$id", "$defs", "$comment", "definitions", "title", "default", "examples"})
"""Keywords that neither accept nor reject a value."""

HANDLED = frozenset({"type", "nullable", "enum", "const", "properties", "required", "items"})
MAX_DEPTH = 32
MAX_PARTS = 2_000


def convert_to_openapi(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a JSON schema as the API's ``Schema``, and the keywords that were left out of it.

    Raises:
        UnsupportedRequestError: Its shape does not fit the form.
    """
    work = _Work(schema)
    try:
        result = _convert_node(schema, work, 0)
    except (AttributeError, TypeError):  # such as a list in place of an object
        result = None
    if result is None:
        raise UnsupportedRequestError("the JSON schema is malformed")
    return result, tuple(sorted(work.dropped))


@define
class _Work:
    """One translation: the whole schema, the keywords left out so far, and the parts result so far."""

    root: Mapping[str, Any]
    dropped: set[str] = field(factory=set)
    parts: int = 0


def _convert_node(schema: Any, work: _Work, depth: int) -> dict[str, Any]:
    work.parts += 1
    if work.parts > MAX_PARTS:
        raise _build_unsupported_error(f"more than {MAX_PARTS} parts, references resolved")
    node, nullable = _split_null(_resolve(schema, work.root, depth))
    node = _resolve(node, work.root, depth)
    unsupported = sorted(SHAPES.intersection(node))
    if unsupported:
        raise _build_unsupported_error(unsupported[0])
    result: dict[str, Any] = {"type": _infer_type(node).upper()}
    if nullable:
        result["nullable"] = True
    result |= {name: node[key] for key, name in KEPT.items() if key in node and _is_accepted(key, node[key])}
    if "const" in node or "enum" in node:
        result |= _convert_enumeration(node)
    if "properties" in node:
        result["properties"] = {name: _convert_node(part, work, depth + 1) for name, part in node["properties"].items()}
        result["required"] = [name for name in node.get("required", ()) if name in node["properties"]]
    if "items" in node:
        result["items"] = _convert_node(node["items"], work, depth + 1)
    work.dropped |= {key for key in node if key not in HANDLED | SILENT and KEPT.get(key) not in result}
    if node.get("additionalProperties") is False:  # the service adds no other properties anyway
        work.dropped.discard("additionalProperties")
    return result


def _is_accepted(key: str, value: Any) -> bool:
    return key != "format" or value in FORMATS


def _resolve(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Return a schema with its reference replaced by what it refers to."""
    if depth > MAX_DEPTH:
        raise _build_unsupported_error("a reference to itself")
    if not isinstance(schema, dict):
        raise _build_unsupported_error("a schema that is true or false")
    if "$ref" not in schema:
        return schema
    target: Any = root
    for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
        target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) and step else target
    if target is None:
        raise UnsupportedRequestError("the JSON schema refers to a part that does not exist")
    return _resolve({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, root, depth + 1)


def _split_null(node: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a schema of one type, and whether it also accepts null."""
    for key in ("anyOf", "oneOf"):
        if key in node:
            others = [part for part in node[key] if part != {"type": "null"}]
            if len(others) != 1:
                raise _build_unsupported_error(key)
            outer = {name: value for name, value in node.items() if name != key}
            return {**others[0], **outer}, len(others) < len(node[key])
    kinds = node.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        if len(others) != 1:
            raise _build_unsupported_error("several types")
        return {**node, "type": others[0]}, "null" in kinds
    return node, bool(node.get("nullable"))


def _infer_type(node: dict[str, Any]) -> str:
    if node.get("type") in TYPES:
        return str(node["type"])
    if "type" not in node:
        for key, kind in (("properties", "object"), ("items", "array"), ("enum", "string"), ("const", "string")):
            if key in node:
                return kind
    raise _build_unsupported_error("a part of an unknown or open type")


def _convert_enumeration(node: dict[str, Any]) -> dict[str, Any]:
    values = [node["const"]] if "const" in node else node["enum"]
    if not all(isinstance(value, str) for value in values):
        raise _build_unsupported_error("an enumeration of values that are not strings")
    return {"enum": list(values), "format": "enum"}


def _build_unsupported_error(what: str) -> UnsupportedRequestError:
    return UnsupportedRequestError(
        f"google-generativeai cannot send a JSON schema with {what}: install kickai-gemini[genai], which can"
    )
