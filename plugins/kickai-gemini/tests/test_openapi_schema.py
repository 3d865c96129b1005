"""JSON schemas for google-generativeai."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import UnsupportedRequestError

from kickai_gemini.openapi_schema import convert_to_openapi

STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (STRING, {"type": "STRING"}),
        ({"type": ["string", "null"]}, {"type": "STRING", "nullable": True}),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": "INTEGER", "nullable": True}),
        ({"anyOf": [STRING], "description": "d"}, {"type": "STRING", "description": "d"}),
        ({"enum": ["a", "b"]}, {"type": "STRING", "enum": ["a", "b"], "format": "enum"}),
        ({"const": "a"}, {"type": "STRING", "enum": ["a"], "format": "enum"}),
        (
            {"type": "array", "items": STRING, "minItems": 1},
            {"type": "ARRAY", "minItems": 1, "items": {"type": "STRING"}},
        ),
        (
            {"properties": {"a": STRING}, "required": ["a", "b"], "additionalProperties": False, "title": "T"},
            {"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "required": ["a"]},
        ),
        (
            {"$defs": {"d": STRING}, "type": "object", "properties": {"a": {"$ref": "#/$defs/d", "description": "x"}}},
            {"type": "OBJECT", "properties": {"a": {"type": "STRING", "description": "x"}}, "required": []},
        ),
        (
            {"$defs": {"d": STRING}, "anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}]},
            {"type": "STRING", "nullable": True},
        ),
    ],
)
def test_schema_is_translated(schema, expected):
    """Types, null, enumerations, objects, lists and references are translated completely."""
    assert convert_to_openapi(schema) == (expected, ())


def test_bounds_are_left_out_and_named():
    """Bounds on values are left out, and each is named once."""
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string", "pattern": "x", "maxLength": 3, "format": "email"},
            "b": {"type": "integer", "minimum": 1},
            "c": {"type": "string", "pattern": "y"},
        },
    }
    made, dropped = convert_to_openapi(schema)
    assert dropped == ("format", "maxLength", "minimum", "pattern")
    assert made["properties"]["a"] == {"type": "STRING"}


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [STRING, {"type": "integer"}]},
        {"type": ["string", "integer"]},
        {"allOf": [STRING]},
        {"type": "array", "prefixItems": [STRING]},
        {"enum": [1, 2]},
        {"type": "object", "properties": {"a": True}},
        {"$ref": "#/$defs/missing"},
        {"$defs": {"d": {"type": "array", "items": {"$ref": "#/$defs/d"}}}, "$ref": "#/$defs/d"},
        {"$ref": "#"},
        {},
    ],
)
def test_other_shapes_are_unsupported(schema):
    """A schema that would change its meaning is unsupported."""
    with pytest.raises(UnsupportedRequestError):
        convert_to_openapi(schema)


@given(
    st.recursive(
        st.sampled_from([STRING, {"type": "integer"}, {"type": "boolean"}]),
        lambda inner: (
            st.builds(lambda items: {"type": "array", "items": items}, inner)
            | st.builds(
                lambda parts: {"type": "object", "properties": parts},
                st.dictionaries(st.text(max_size=3), inner, max_size=3),
            )
        ),
    )
)
def test_shape_is_kept(schema):
    """The translation has the shape of the schema."""

    def shape(node):
        inner = [shape(node["items"])] if "items" in node else []
        return (
            node["type"].lower(),
            *inner,
            *((name, shape(part)) for name, part in node.get("properties", {}).items()),
        )

    made, dropped = convert_to_openapi(schema)
    assert (shape(made), dropped) == (shape(schema), ())


KEYWORDS = ["type", "enum", "const", "properties", "required", "items", "anyOf", "$ref", "$defs", "format", "minimum"]


@given(
    st.recursive(
        st.none() | st.integers() | st.sampled_from(["object", "array", "string", "null", "#", "#/$defs/enum"]),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=4),
    ).filter(lambda value: isinstance(value, dict))
)
def test_any_json_is_translated_or_unsupported(schema):
    """Any JSON object is translated or unsupported."""
    with suppress(UnsupportedRequestError):
        assert convert_to_openapi(schema)[0]["type"]


def test_multiplying_references_are_unsupported():
    """A schema whose references expand to millions of parts is unsupported."""
    definitions = {
        f"d{depth}": {"type": "object", "properties": {name: {"$ref": f"#/$defs/d{depth + 1}"} for name in "ab"}}
        for depth in range(25)
    }
    definitions["d25"] = {"type": "string"}
    with pytest.raises(UnsupportedRequestError, match="more than 2000 parts"):
        convert_to_openapi({"$defs": definitions, "$ref": "#/$defs/d0"})
