"""JSON values made up for schemas."""

import pytest

from kickai_mock.schema import instance_of

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
        (True, None),
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
    ],
)
def test_a_schema_gets_a_small_value_that_it_admits(schema, instance):
    """What is required is there, at its least, and nothing else."""
    assert instance_of(schema) == instance


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        ({"type": "string", "pattern": "^a+$"}, "'pattern' is not followed"),
        ({"type": "integer", "multipleOf": 3}, "'multipleOf' is not followed"),
        ({"not": {}}, "'not' is not followed"),
        ({"allOf": [{"type": "string"}, {"minLength": 3}]}, "'allOf' with several branches"),
        ({"anyOf": [{"minLength": 2}], "minLength": 3, "type": "string"}, "'minLength' beside 'anyOf'"),
        ({"type": "array", "items": True, "minItems": 2, "uniqueItems": True}, "'uniqueItems' with several items"),
        ({"$ref": "https://example.org/schema"}, "to elsewhere"),
        ({"$ref": "#/$defs/Gone"}, "nothing stands at '#/\\$defs/Gone'"),
        ({"$ref": "#"}, "without end"),
        (NODE, "without end"),
        (False, "nothing is admitted"),
        ({"anyOf": [False]}, "nothing is admitted"),
        ({"enum": []}, "nothing is admitted"),
        ({"enum": ["a"], "type": "integer"}, "nothing is admitted"),
        ({"enum": ["a"], "minLength": 2}, "'minLength' beside 'enum'"),
        ({"type": "array", "minItems": 2, "maxItems": 1}, "more items"),
        ({"type": "object", "required": ["a", "b"], "maxProperties": 1}, "more properties"),
        ({"type": "string", "minLength": 5, "maxLength": 4}, "lengths"),
        ({"type": "string", "format": "uuid", "maxLength": 4}, "lengths"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "no number"),
        ({"type": "number", "exclusiveMinimum": 3, "maximum": 3}, "no number"),
        ({"type": "number", "exclusiveMaximum": 3, "minimum": 3}, "no number"),
        ({"type": "text"}, "no type 'text'"),
    ],
)
def test_a_schema_that_is_not_followed_is_refused_with_the_reason(schema, complaint):
    """Nothing is made up that might not be valid."""
    with pytest.raises(ValueError, match=complaint):
        instance_of(schema)
