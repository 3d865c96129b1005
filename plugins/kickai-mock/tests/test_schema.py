"""JSON values for schemas."""

import json

import pytest
from kickai_providers_core import UnsupportedRequestError

from kickai_mock.schema import build_json

NODE = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
PLAYER = {
    "$defs": {
        "Position": {"enum": ["keeper", "striker"]},
        "Player": {
            "type": "object",
            "title": "Player",
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "number": {"type": "integer", "minimum": 1, "maximum": 99},
                "position": {"$ref": "#/$defs/Position", "description": "where"},
                "nickname": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            },
            "required": ["name", "number", "position"],
            "additionalProperties": False,
        },
    },
    "type": "object",
    "properties": {"squad": {"type": "array", "items": {"$ref": "#/$defs/Player"}, "minItems": 2, "maxItems": 3}},
    "required": ["squad"],
}


@pytest.mark.parametrize(
    ("schema", "instance"),
    [
        (PLAYER, {"squad": [{"name": "x", "number": 1, "position": "keeper"}] * 2}),
        ({}, None),
        ({"type": "string"}, ""),
        ({"type": "string", "format": "date"}, "2000-01-01"),
        ({"type": "string", "format": "unheard-of", "maxLength": 3}, ""),
        ({"type": "boolean"}, False),
        ({"type": ["null", "string"]}, None),
        ({"type": "integer"}, 0),
        ({"type": "integer", "minimum": 2.5}, 3),
        ({"type": "integer", "exclusiveMinimum": 2}, 3),
        ({"type": "integer", "maximum": -3}, -3),
        ({"type": "integer", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}, 0.5),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 1.5),
        ({"type": "number", "exclusiveMinimum": 0}, 1),
        ({"type": "number", "exclusiveMaximum": 0}, -1),
        ({"type": "number", "minimum": 0, "maximum": 0}, 0),
        ({"type": "array"}, []),
        ({"type": "array", "prefixItems": [{"const": 1}], "items": {"const": 2}, "minItems": 3}, [1, 2, 2]),
        ({"type": "array", "prefixItems": [{"const": 1}, {"const": 2}], "minItems": 1}, [1]),
        ({"type": "array", "prefixItems": [{"const": 1}]}, []),
        ({"type": "array", "minItems": 2, "maxItems": 2}, [None, None]),
        ({"type": "string", "minLength": 2, "maxLength": 2}, "xx"),
        ({"type": "object", "required": ["a"], "maxProperties": 1}, {"a": None}),
        ({"type": ["string", "null"], "enum": [1, True, "a"]}, "a"),
        ({"type": "integer", "enum": [0.5, True, 2.0]}, 2.0),
        ({"type": "object", "const": {"a": []}, "title": "A"}, {"a": []}),
        ({"type": "array", "items": {"type": "null"}, "minItems": 1, "uniqueItems": True}, [None]),
        ({"properties": {"a": {"type": "integer"}}, "required": ["a", "b"]}, {"a": 0, "b": None}),
        ({"required": ["a"], "type": "object", "additionalProperties": {"type": "string"}}, {"a": ""}),
        ({"oneOf": [{"const": "goal"}, {"const": "miss"}]}, "goal"),
        ({"allOf": [{"type": "integer"}], "minimum": 4, "title": "n"}, 4),
        ({"$defs": {"a/b": {"const": 7}}, "$ref": "#/$defs/a~1b"}, 7),
        ({"type": "integer", "multipleOf": 3}, 0),
        ({"allOf": [{"type": "string"}, {"minLength": 3}]}, "xxx"),
        ({"anyOf": [{"minLength": 2}], "minLength": 3, "type": "string"}, "xxx"),
        ({"type": "string", "format": "uuid", "maxLength": 4}, ""),
    ],
)
def test_a_schema_gets_a_small_value_that_it_allows(schema, instance):
    """The value has every required part with its smallest value, and nothing else."""
    assert json.loads(build_json(schema)) == instance


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "string", "pattern": "^a+$"}, "violates pattern"),
        ({"not": {}}, "violates not"),
        ({"type": "array", "items": True, "minItems": 2, "uniqueItems": True}, "violates uniqueItems"),
        ({"$ref": "https://example.org/schema"}, "refers to another document"),
        ({"$ref": "#/$defs/Gone"}, r"there is nothing at '#/\$defs/Gone'"),
        ({"$ref": "#"}, "without end"),
        (NODE, "without end"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "violates"),
        ({"anyOf": [False]}, "cannot build JSON"),
        ({"enum": []}, "cannot build JSON"),
        ({"enum": ["a"], "type": "integer"}, "violates"),
        ({"enum": ["a"], "minLength": 2}, "violates minLength"),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "violates maxItems"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "violates maxProperties"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, "violates minLength"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "violates minimum"),
        ({"type": "number", "exclusiveMinimum": 3, "maximum": 3}, "violates"),
        ({"type": "number", "exclusiveMaximum": 3, "minimum": 3}, "violates"),
        ({"type": "text"}, "not valid"),
        ({"required": 7, "type": "object"}, "cannot build JSON|not valid"),
    ],
)
def test_a_schema_for_which_the_value_is_wrong_is_rejected_with_the_reason(schema, reason):
    """The mock never returns JSON that its schema does not allow."""
    with pytest.raises(UnsupportedRequestError, match=reason):
        build_json(schema)
