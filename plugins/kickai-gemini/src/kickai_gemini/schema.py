"""JSON schemas in the form that the old client can send: the few fields of the API's first ``Schema``.

Google's ``google-generativeai`` stopped before the API took JSON schemas as they are. What its form cannot say is
either a bound on a value (a minimum, a pattern), and then left out and named in the reply, or the shape itself, and
then the request is one that this client cannot send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from kickai_providers_core import UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["openapi"]

TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object"})
KEPT = {"description": "description", "format": "format", "minItems": "minItems", "maxItems": "maxItems"}
FORMATS = frozenset({"float", "double", "int32", "int64", "enum", "date-time"})
"""The formats that the service takes there; it refuses others."""

SHAPES = frozenset({"allOf", "not", "if", "patternProperties", "prefixItems", "dependentSchemas", "$dynamicRef"})
"""Keywords without which the schema would admit something else altogether."""

SILENT = frozenset({"$schema", "$id", "$defs", "$comment", "definitions", "title", "default", "examples"})
"""Keywords that admit nothing and forbid nothing."""

HANDLED = frozenset({"type", "nullable", "enum", "const", "properties", "required", "items"})
MAX_DEPTH = 32
MAX_PARTS = 2_000


def openapi(schema: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return a JSON schema as the API's ``Schema``, and the keywords that were left out of it.

    Raises:
        UnsupportedRequestError: It has a shape that the form cannot say.
    """
    work = _Work(schema)
    try:
        made = _node(schema, work, 0)
    except (AttributeError, TypeError):  # a list where an object belongs, and the like
        made = None
    if made is None:
        raise UnsupportedRequestError("the JSON schema is malformed")
    return made, tuple(sorted(work.dropped))


@define
class _Work:
    """One translation: the whole schema, the keywords left out so far, and the parts made so far."""

    root: Mapping[str, Any]
    dropped: set[str] = field(factory=set)
    parts: int = 0


def _node(schema: Any, work: _Work, depth: int) -> dict[str, Any]:
    work.parts += 1
    if work.parts > MAX_PARTS:
        raise _refused(f"more than {MAX_PARTS} parts, references resolved")
    node, nullable = _without_null(_resolved(schema, work.root, depth))
    node = _resolved(node, work.root, depth)
    refused = sorted(SHAPES.intersection(node))
    if refused:
        raise _refused(refused[0])
    made: dict[str, Any] = {"type": _type(node).upper()}
    if nullable:
        made["nullable"] = True
    made |= {name: node[key] for key, name in KEPT.items() if key in node and _takes(key, node[key])}
    if "const" in node or "enum" in node:
        made |= _enumerated(node)
    if "properties" in node:
        made["properties"] = {name: _node(part, work, depth + 1) for name, part in node["properties"].items()}
        made["required"] = [name for name in node.get("required", ()) if name in node["properties"]]
    if "items" in node:
        made["items"] = _node(node["items"], work, depth + 1)
    work.dropped |= {key for key in node if key not in HANDLED | SILENT and KEPT.get(key) not in made}
    if node.get("additionalProperties") is False:  # the service adds no properties of its own
        work.dropped.discard("additionalProperties")
    return made


def _takes(key: str, value: Any) -> bool:
    return key != "format" or value in FORMATS


def _resolved(schema: Any, root: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Return a schema with its reference replaced by what it refers to."""
    if depth > MAX_DEPTH:
        raise _refused("a schema that contains itself")
    if not isinstance(schema, dict):
        raise _refused("true or false for a schema")
    if "$ref" not in schema:
        return schema
    target: Any = root
    for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
        target = target.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(target, dict) and step else target
    if target is None:
        raise UnsupportedRequestError("the JSON schema refers to a part that it does not have")
    return _resolved({**target, **{k: v for k, v in schema.items() if k != "$ref"}}, root, depth + 1)


def _without_null(node: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """Return a schema of one type, and whether null is admitted beside it."""
    for key in ("anyOf", "oneOf"):
        if key in node:
            others = [part for part in node[key] if part != {"type": "null"}]
            if len(others) != 1:
                raise _refused(key)
            outer = {name: value for name, value in node.items() if name != key}
            return {**others[0], **outer}, len(others) < len(node[key])
    kinds = node.get("type")
    if isinstance(kinds, list):
        others = [kind for kind in kinds if kind != "null"]
        if len(others) != 1:
            raise _refused("several types")
        return {**node, "type": others[0]}, "null" in kinds
    return node, bool(node.get("nullable"))


def _type(node: dict[str, Any]) -> str:
    if node.get("type") in TYPES:
        return str(node["type"])
    if "type" not in node:
        for key, kind in (("properties", "object"), ("items", "array"), ("enum", "string"), ("const", "string")):
            if key in node:
                return kind
    raise _refused("a part of an unknown or open type")


def _enumerated(node: dict[str, Any]) -> dict[str, Any]:
    values = [node["const"]] if "const" in node else node["enum"]
    if not all(isinstance(value, str) for value in values):
        raise _refused("an enumeration of other values than texts")
    return {"enum": list(values), "format": "enum"}


def _refused(what: str) -> UnsupportedRequestError:
    return UnsupportedRequestError(
        f"google-generativeai cannot send a JSON schema with {what}: pip install 'kickai-gemini[genai]' can"
    )
