"""From bytes to JSON objects, in any split and within size limits."""

from __future__ import annotations

import json

import pytest
from gemini_service import candidate
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import InvalidReplyError

from kickai_gemini import response_body as bodies
from kickai_gemini.response_body import BodyReader

ANSWERS = [candidate('a\u2028b]}"\\'), candidate("{[é\U0001f600"), candidate("", "STOP")]
EVENTS = b"".join(b"data: %s\n\n" % json.dumps(each, ensure_ascii=False).encode() for each in ANSWERS)
ARRAY = json.dumps(ANSWERS, indent=2).encode()
SSE = "text/event-stream"
JSON = "application/json"


def read(pieces, *, content_type=SSE, is_stream=True):
    """Return the responses in a body that arrives in pieces."""
    body = BodyReader(content_type, is_stream=is_stream)
    found = [each for piece in pieces for some in body.feed(piece) for each in some]
    return [*found, *body.finish()]


def split(data, cuts):
    """Return the data, split at these places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


FORMS = {
    "events": (EVENTS, SSE),
    "events with CRLF": (EVENTS.replace(b"\n", b"\r\n"), SSE),
    "events with CR": (EVENTS.replace(b"\n", b"\r"), SSE),
    "events with a byte-order mark": (b"\xef\xbb\xbf" + EVENTS, SSE),
    "events without a space": (EVENTS.replace(b"data: ", b"data:"), SSE),
    "events with comments and fields": (b": hello\n\nevent: x\nid: 1\nretry: 5\n" + EVENTS + b":\n\n:", SSE),
    "events without a content type": (EVENTS, ""),
    "events after a comment, as text": (b": hi\n\n" + EVENTS, "text/plain"),
    "events over several lines": (EVENTS.replace(b'"parts"', b'\ndata: "parts"'), SSE),
    "events of which the last has no blank line": (EVENTS.rstrip(b"\n"), SSE),
    "an array": (ARRAY, JSON),
    "an array without a content type": (b"\xef\xbb\xbf \r\n" + ARRAY + b"\n", ""),
}


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_stream_is_read_in_any_form_and_any_split(form, cuts):
    """Events and arrays give the same objects however their bytes are split."""
    data, content_type = FORMS[form]
    assert read(split(data, cuts), content_type=content_type) == ANSWERS


@given(st.integers(1, len(ARRAY) - 1))
def test_cut_array_is_an_error(length):
    """An array without its end was cut, even if all its objects have arrived."""
    with pytest.raises(InvalidReplyError):
        read([ARRAY[:length]], content_type=JSON)


@given(st.integers(1, len(EVENTS) - 1))
def test_cut_events_give_whole_objects_or_an_error(length):
    """A stream that was cut gives no half of an object."""
    try:
        found = read([EVENTS[:length]])
    except InvalidReplyError:
        return
    assert found == ANSWERS[: len(found)]


@pytest.mark.parametrize(
    "data",
    [
        b"[1]",
        b'["a"]',
        b"[[{}]]",
        b"[{},]",
        b"[{} {}]",
        b"[,{}]",
        b"{}{}",
        b"[{}]x",
        b"[{}",
        b"[",
        b"7",
        b"<html>",
        b"\xef\xbb",
        b'[{"a": NaN}]',
        b"[{" + b'"a":{' * 200,
        b"data: {\n\n",
        b"data: 7\n\n",
        b"data: [1]\n\n",
        b'data: "\xff"\n\n',
        b"data: {}\n\nnonsense\n\n",
        b"data: {}\n\nnonsense",
        b"data: {}\n\n{half\n",
    ],
)
@pytest.mark.parametrize("size", [1, 100])
def test_stream_in_another_form_is_an_error(data, size):
    """Anything but events or an array of objects is an invalid reply, whatever the content type."""
    for content_type in ("", JSON):
        with pytest.raises(InvalidReplyError):
            read([data[start : start + size] for start in range(0, len(data), size)], content_type=content_type)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_error_between_the_events_is_read(size):
    """A service that fails within a stream writes its error as plain lines, which the specification ignores."""
    error = b'{\n  "error": {\r\n    "code": 503\n  }\n}\n'
    data = b"data: {}\n\n" + error
    (first, last) = read([data[start : start + size] for start in range(0, len(data), size)])
    assert (first, last) == ({}, {"error": {"code": 503}})


ENDLESS = {
    "one endless event": (SSE, b"data: ", b"x" * 2**16),
    "one endless line": (SSE, b"x", b"x" * 2**16),
    "one endless comment": (SSE, b": ", b"x" * 2**16),
    "one endless field": (SSE, b"id: ", b"x" * 2**16),
    "data lines without end": (SSE, b"", b"data: x\n" * 2**13),
    "one endless text": ("", b'[{"a": "', b"x" * 2**16),
    "one endless object": ("", b'[{"a": [', b"{}," * 2**14),
    "objects without end": ("", b"[{}", b",{}" * 2**14),
    "space": ("", b"[", b" " * 2**16),
}


@pytest.mark.parametrize("form", ENDLESS)
def test_endless_answer_ends_at_a_size_limit(form, monkeypatch):
    """An endless answer of any kind is an error after a limited number of bytes."""
    monkeypatch.setattr(bodies, "MAX_RESPONSE_BYTES", 2**18)
    content_type, start, more = ENDLESS[form]
    body = BodyReader(content_type, is_stream=True)
    sizes = []

    def read_on():
        for piece in (start, *[more] * 32):
            sizes.append(len(piece))
            list(body.feed(piece))

    with pytest.raises(InvalidReplyError, match="larg"):
        read_on()
    assert sum(sizes) <= 2**18 + 2**17


def test_whole_answer_is_one_object():
    """A whole answer is one JSON object in UTF-8, with or without a byte-order mark."""
    data = json.dumps(ANSWERS[0], ensure_ascii=False).encode()
    assert read([data[:9], data[9:]], content_type=JSON, is_stream=False) == ANSWERS[:1]
    assert read([b"\xef\xbb\xbf" + data], content_type=JSON, is_stream=False) == ANSWERS[:1]
    for other in (b"", b"[]", b"{}{}", data[:-1], b"\xff"):
        with pytest.raises(InvalidReplyError):
            read([other], content_type=JSON, is_stream=False)
