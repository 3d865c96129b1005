"""Which answers keep to a schema."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_hf.schema import keeps_to

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}
    },
}


@pytest.mark.parametrize(
    ("schema", "value", "kept"),
    [
        ({}, 1, True),
        ({"type": "string"}, "x", True),
        ({"type": "string"}, 1, False),
        ({"type": "integer"}, 1, True),
        ({"type": "integer"}, 1.0, True),
        ({"type": "integer"}, 1.5, False),
        ({"type": "integer"}, True, False),
        ({"type": "number"}, 1.5, True),
        ({"type": "number"}, False, False),
        ({"type": "boolean"}, False, True),
        ({"type": "boolean"}, 0, False),
        ({"type": "null"}, None, True),
        ({"type": ["string", "null"]}, None, True),
        ({"type": ["string", "null"]}, 1, False),
        ({"enum": ["yes", "no"]}, "no", True),
        ({"enum": ["yes", "no"]}, "maybe", False),
        ({"const": 1}, 2, False),
        (PERSON, {"name": "Ann"}, True),
        (PERSON, {"name": "Ann", "age": "old"}, False),
        (PERSON, {"age": 3}, False),
        (PERSON, [], False),
        (PERSON, {"name": "Ann", "more": 1}, True),
        ({**PERSON, "additionalProperties": False}, {"name": "Ann", "more": 1}, False),
        ({**PERSON, "additionalProperties": {"type": "string"}}, {"name": "Ann", "more": 1}, False),
        ({"type": "object", "patternProperties": {"^x": {}}, "additionalProperties": False}, {"xa": 1}, True),
        ({"type": "array", "items": {"type": "string"}}, ["a"], True),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], False),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, None, True),
        ({"oneOf": [{"type": "string"}]}, 1, False),
        ({"allOf": [{"type": "object"}, {"required": ["a"]}]}, {}, False),
        (TREE, {"next": {"next": None}}, True),
        (TREE, {"next": {"next": 1}}, False),
        ({"$ref": "https://example.org/schema"}, 1, True),
        ({"$ref": "#/$defs/none"}, 1, True),
        ({"type": "string", "minLength": 5}, "x", True),
        ({"type": "weird"}, 1, True),
        ({"properties": 3}, {}, True),
    ],
)
def test_what_a_schema_admits(schema, value, kept):
    """The keywords that decide a value's shape are checked; others, and schemas that are none, are not."""
    assert keeps_to(json.dumps(value), schema) is kept


@pytest.mark.parametrize("text", ["", "no", "{", "```json\n{}\n```", '{"name": "Ann"} and more', "[" * 100_000])
def test_what_is_no_json_keeps_to_nothing(text):
    """Text that is no JSON, or more than that, keeps to no schema."""
    assert not keeps_to(text, {})


def test_a_false_schema_admits_nothing():
    """False is a schema, too."""
    assert not keeps_to('{"a": 1}', {"properties": {"a": False}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.sampled_from(["type", "enum", "items", "anyOf", "$ref", "required", "properties"]), JSON), JSON
)
def test_no_schema_breaks_it(schema, value):
    """Whatever stands in a schema, the answer is yes or no."""
    assert keeps_to(json.dumps(value), schema) in {True, False}
