"""JSON that is written and read is JSON for every parser."""

import json
import math
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring import as_object, dump_bytes, dumps, loads
from kickai_providers_core.values.errors import InvalidReplyError, UnsupportedRequestError

loop: list[object] = []
loop.append({"again": loop})
deep: list[object] = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (math.nan, "the value is NaN or infinite"),
        ({"messages": [{"content": "x"}, {"content": {"price": math.inf}}]}, "messages[1].content.price is NaN"),
        ({"a": (1.0, -math.inf)}, "a[1] is NaN"),
        ({"a": {1, 2}}, "a is of type set"),
        ({"a": b"secret"}, "a is of type bytes"),
        ({"a": object()}, "a is of type object"),
        ({"a": [print]}, "a[0] is of type builtin_function_or_method"),
        ({("secret",): 1}, "the value has a key of type tuple"),
        (loop, "[0].again contains itself"),
        ({"my secret": math.nan}, "? is NaN"),
        ({math.nan: "secret"}, "a value is of an unusual type"),
        ({"a": 10**5000}, "a is too large"),
        (deep, "is nested too deeply"),
    ],
)
@pytest.mark.parametrize("write", [dumps, dump_bytes])
def test_what_json_cannot_express(value: object, where: str, write: object) -> None:
    """What JSON cannot express is an unsupported request; the message has the place and no value."""
    with pytest.raises(UnsupportedRequestError) as caught:
        write(value)
    assert where in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_mappings_and_sequences() -> None:
    """Read-only mappings and tuples are written as objects and arrays, and text as it is."""
    assert dumps(MappingProxyType({"a": (1, MappingProxyType({"b": range(2)}))})) == '{"a":[1,{"b":[0,1]}]}'
    assert dump_bytes("東\u2028") == '"東\u2028"'.encode()


@pytest.mark.parametrize(
    ("text", "written"), [("\ud83c\udfc9", '"🏉"'), ("a\ud83c", '"a\ufffd"'), ("\udfc9", '"\ufffd"')]
)
def test_half_characters_are_joined_or_replaced(text: str, written: str) -> None:
    """Surrogate pairs are joined and lone ones replaced, in values and keys."""
    assert dumps(text) == written
    assert json.loads(dump_bytes({text: 1}).decode()) == {json.loads(written): 1}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=8,
)


@given(JSON)
def test_what_is_written_can_be_read(value: object) -> None:
    """What `dump_bytes` writes is UTF-8 and strict JSON, with the same values."""
    assert loads(dump_bytes(value)) == json.loads(dumps(value))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"NaN",
        b'{"a":Infinity}',
        b"[-Infinity]",
        b"1e999",
        b"{} {}",
        b'{"done":false,"done":true}',
        b'{"a":1,}',
        b"{'a':1}",
        b'"\xff"',
        b"\xff\xfe{\x00}\x00",
        b"[" * 100_000,
        b"9" * 5000,
        b'"\n"',
        b"\xef\xbb\xbf\xef\xbb\xbf1",
    ],
)
def test_what_is_not_json(data: bytes) -> None:
    """It is an invalid reply, and the message does not quote it."""
    with pytest.raises(InvalidReplyError) as caught:
        loads(data)
    assert caught.value.__suppress_context__
    assert "done" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [b'\xef\xbb\xbf{"a":[{"b":1}]}', bytearray(b'{"a":[{"b":1}]}'), '\ufeff{"a":[{"b":1}]}']
)
def test_json_is_read(data: object) -> None:
    """JSON is read from bytes or text, with or without a byte-order mark."""
    assert loads(data) == {"a": [{"b": 1}]}


def test_a_repeated_name_in_an_inner_object() -> None:
    """The last one counts, as in every parser."""
    assert loads(b'{"a":{"b":1,"b":2},"c":[]}') == {"a": {"b": 2}, "c": []}


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a":1}', {"a": 1}), ("", {}), (" \n", {}), ("{}", {}), (MappingProxyType({"a": 1}), {"a": 1})],
)
def test_arguments_in_a_history(text: object, value: object) -> None:
    """The arguments of a tool call are text or a mapping; empty text is an empty object."""
    assert as_object(text) == value


@pytest.mark.parametrize(
    "text", ['{"a":', "[]", "1", "null", '"x"', "{'a':1}", '{"a":NaN}', "secret", "{}{}", "[" * 100_000]
)
def test_arguments_that_are_not_an_object(text: str) -> None:
    """Arguments that were cut off, or are not an object, make an unsupported request."""
    with pytest.raises(UnsupportedRequestError, match="not a JSON object") as caught:
        as_object(text)
    assert "secret" not in str(caught.value)
