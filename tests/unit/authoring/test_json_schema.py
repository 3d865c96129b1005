"""Answers are checked against their JSON schema."""

import subprocess
import sys
from types import MappingProxyType

import pytest

from kickai_providers_core.authoring import check_answer
from kickai_providers_core.values.errors import InvalidReplyError, UnsupportedRequestError

PLAYER = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "goals": {"type": "array", "items": {"type": "integer", "minimum": 0}}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ('{"name":"A","goals":[1]}', PLAYER, {"name": "A", "goals": [1]}),
        ('\n {"name":"A"} ', MappingProxyType(PLAYER), {"name": "A"}),
        ("3", {"type": "integer", "x-unknown": 1, "nullable": True, "propertyOrdering": []}, 3),
        ('"x"', {"format": "email"}, "x"),
        ('["a"]', {"prefixItems": ({"const": "a"},)}, ["a"]),
        ("3", {"$ref": "#/$defs/number", "$defs": {"number": {"type": "number"}}}, 3),
        ("5", {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 5, "exclusiveMinimum": False}, 5),
        ('{"a":{"a":{}}}', {"type": "object", "additionalProperties": {"$ref": "#"}}, {"a": {"a": {}}}),
        ('{"a":1,"b":2}', {"dependentRequired": {"a": ["b"]}, "unevaluatedProperties": True}, {"a": 1, "b": 2}),
        ("1", {}, 1),
    ],
)
def test_answers_that_keep_to_their_schema(text: str, schema: dict[str, object], value: object) -> None:
    """An answer that keeps to its schema is returned; keywords that the draft does not know are ignored."""
    assert check_answer(text, schema) == value


@pytest.mark.parametrize(
    ("text", "schema", "why"),
    [
        ('{"name":3}', PLAYER, "name violates type"),
        ('{"name":"A","goals":[1,-1]}', PLAYER, "goals[1] violates minimum"),
        ('{"goals":[]}', PLAYER, "the value violates required"),
        ('{"name":"A","secret":1}', PLAYER, "the value violates additionalProperties"),
        ('{"secret":{"x":1}}', {"additionalProperties": {"type": "string"}}, "? violates type"),
        (
            "5",
            {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 5, "exclusiveMinimum": True},
            "violates minimum",
        ),
        ("secret", PLAYER, "not valid JSON"),
        ("", PLAYER, "not valid JSON"),
        ("NaN", {}, "NaN"),
        ('```json\n{"name":"A"}\n```', PLAYER, "not valid JSON"),
    ],
)
def test_answers_that_violate_their_schema(text: str, schema: dict[str, object], why: str) -> None:
    """The error is due to the request, and its message quotes nothing of the answer."""
    with pytest.raises(InvalidReplyError) as caught:
        check_answer(text, schema)
    assert caught.value.due_to_request
    assert why in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"type": 3},
        {"minimum": "x"},
        {"properties": {"a": {"pattern": "("}}},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$ref": "#/nowhere"},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}]},
    ],
)
def test_schemas_that_cannot_be_used(schema: dict[str, object]) -> None:
    """An invalid schema, or one that refers to another document, is an unsupported request; nothing is fetched."""
    with pytest.raises(UnsupportedRequestError, match="the JSON schema"):
        check_answer('{"a":"b"}', schema)


def test_the_validator_is_imported_on_first_use() -> None:
    """Importing the toolkit does not import the validator."""
    code = "import sys, kickai_providers_core.authoring; print('jsonschema' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
