"""From bytes to JSON objects, in any split and within bounds."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from contextlib import suppress

import pytest
from gemini_service import candidate
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import InvalidReplyError

from kickai_gemini import body as bodies
from kickai_gemini.body import Body

ANSWERS = [candidate('a\u2028b]}"\\'), candidate("{[é\U0001f600"), candidate("", "STOP")]
EVENTS = b"".join(b"data: %s\n\n" % json.dumps(each, ensure_ascii=False).encode() for each in ANSWERS)
ARRAY = json.dumps(ANSWERS, indent=2).encode()
SSE = {"Content-Type": "text/event-stream"}


def read(pieces, *, status=200, headers=SSE, is_stream=True):
    """Return the objects in a body that comes in pieces."""
    body = Body(status, headers, is_stream=is_stream)
    found = [each for piece in pieces for some in body.feed(piece) for each in some]
    return [*found, *body.finish()]


def split(data, cuts):
    """Return data cut at some places."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[start:end] for start, end in zip([0, *places], [*places, len(data)], strict=True)]


FORMS = {
    "events": (EVENTS, SSE),
    "events with CRLF": (EVENTS.replace(b"\n", b"\r\n"), SSE),
    "events with CR": (EVENTS.replace(b"\n", b"\r"), SSE),
    "events with a byte-order mark": (b"\xef\xbb\xbf" + EVENTS, SSE),
    "events without a space": (EVENTS.replace(b"data: ", b"data:"), SSE),
    "events with comments and fields": (b": hello\n\nevent: x\nid: 1\nretry: 5\n" + EVENTS + b":\n\n:", SSE),
    "events without a content type": (EVENTS, {}),
    "events after a comment, as text": (b": hi\n\n" + EVENTS, {"content-type": "text/plain"}),
    "events over several lines": (EVENTS.replace(b'"parts"', b'\ndata: "parts"'), SSE),
    "events of which the last has no blank line": (EVENTS.rstrip(b"\n"), SSE),
    "an array": (ARRAY, {"content-type": "application/json"}),
    "an array without a content type": (b"\xef\xbb\xbf \r\n" + ARRAY + b"\n", {}),
}


@pytest.mark.parametrize("form", FORMS)
@given(cuts=st.lists(st.integers(0, 10_000), max_size=8))
def test_a_stream_is_read_in_any_form_and_any_split(form, cuts):
    """Events and arrays give the same objects however their bytes are split between reads."""
    data, headers = FORMS[form]
    assert read(split(data, cuts), headers=headers) == ANSWERS


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "GZIP"])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_compressed_stream_is_the_same(form, encoding, size):
    """Whatever the encoding that was asked for, and the split, the objects are the same."""
    data, headers = FORMS[form]
    packed = zlib.compress(data) if encoding == "deflate" else gzip.compress(data[:9]) + gzip.compress(data[9:])
    pieces = [packed[start : start + size] for start in range(0, len(packed), size)]
    assert read(pieces, headers={**headers, "Content-Encoding": encoding}) == ANSWERS


def test_deflate_without_a_header_is_read():
    """Some servers take deflate for the bare algorithm."""
    bare = zlib.compressobj(wbits=-15)
    packed = bare.compress(EVENTS) + bare.flush()
    assert read([packed[:3], packed[3:]], headers={**SSE, "content-encoding": "deflate"}) == ANSWERS


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_another_encoding_is_no_answer(encoding):
    """What was not asked for is not guessed at."""
    with pytest.raises(InvalidReplyError, match="compressed"):
        read([EVENTS], headers={**SSE, "content-encoding": encoding})


DAMAGED = {"plain": EVENTS, "without its end": gzip.compress(EVENTS)[:-9], "its beginning": gzip.compress(EVENTS)[:30]}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_compressed_data_that_is_damaged_is_no_answer(data):
    """Data that is not compressed, or cut, passes for nothing."""
    with pytest.raises(InvalidReplyError):
        read([data], headers={**SSE, "content-encoding": "gzip"})


@given(st.integers(1, len(ARRAY) - 1))
def test_an_array_that_is_cut_anywhere_is_no_answer(length):
    """An array without its end is cut, wherever it was cut, though all its objects may have come."""
    with pytest.raises(InvalidReplyError):
        read([ARRAY[:length]], headers={"content-type": "application/json"})


@given(st.integers(1, len(EVENTS) - 1))
def test_events_that_are_cut_anywhere_give_whole_objects_or_an_error(length):
    """Of a stream that is cut, no half of an object passes for one."""
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
def test_a_stream_in_no_form_is_no_answer(data, size):
    """What is neither events nor an array of objects is an invalid reply, whatever the content type."""
    for headers in ({}, {"content-type": "application/json"}):
        with pytest.raises(InvalidReplyError):
            read([data[start : start + size] for start in range(0, len(data), size)], headers=headers)


@pytest.mark.parametrize("size", [1, 3, 100])
def test_an_error_between_the_events_is_read(size):
    """A service that fails in the middle writes its error as plain lines, which the standard would ignore."""
    error = b'{\n  "error": {\r\n    "code": 503\n  }\n}\n'
    data = b"data: {}\n\n" + error
    (first, last) = read([data[start : start + size] for start in range(0, len(data), size)])
    assert (first, last) == ({}, {"error": {"code": 503}})


FLOODS = {
    "one endless event": (SSE, b"data: ", b"x" * 2**16),
    "one endless line": (SSE, b"x", b"x" * 2**16),
    "one endless comment": (SSE, b": ", b"x" * 2**16),
    "one endless field": (SSE, b"id: ", b"x" * 2**16),
    "data lines without end": (SSE, b"", b"data: x\n" * 2**13),
    "events without end": (SSE, b"", b"data: {}\n\n" * 2**13),
    "blank lines": (SSE, b"", b"\n" * 2**16),
    "one endless text": ({}, b'[{"a": "', b"x" * 2**16),
    "one endless object": ({}, b'[{"a": [', b"{}," * 2**14),
    "objects without end": ({}, b"[{}", b",{}" * 2**14),
    "space": ({}, b"[", b" " * 2**16),
}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_flood_is_left_after_a_bound(flood, packed, monkeypatch):
    """However an answer goes on without end, it is an error after a bounded number of bytes."""
    monkeypatch.setattr(bodies, "MAX_STREAM_BYTES", 2**20)
    monkeypatch.setattr(bodies, "MAX_RESPONSE_BYTES", 2**18)
    headers, start, more = FLOODS[flood]
    pack = zlib.compressobj(wbits=31)
    body = Body(200, {**headers, "content-encoding": "gzip"} if packed else headers, is_stream=True)
    sizes = []

    def read_on():
        for piece in (start, *[more] * 32):
            sizes.append(len(piece))
            list(body.feed(pack.compress(piece) + pack.flush(zlib.Z_SYNC_FLUSH) if packed else piece))

    with pytest.raises(InvalidReplyError, match="larg"):
        read_on()
    assert sum(sizes) <= 2**20 + 2**17


def test_a_bomb_is_left_with_bounded_memory():
    """A megabyte that unpacks to hundreds is left early, as an answer and as an error."""
    pack = zlib.compressobj(1, wbits=31)
    bomb = b"".join(pack.compress(bytes(2**24)) for _ in range(16)) + pack.flush()
    for status, is_stream in ((200, False), (200, True), (500, False)):
        body = Body(status, {"content-encoding": "gzip"}, is_stream=is_stream)
        tracemalloc.start()
        try:
            with suppress(InvalidReplyError):
                for _ in body.feed(bomb):
                    pass
            assert body.is_full is (status == 500)
            assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
        finally:
            tracemalloc.stop()


def test_a_whole_answer_is_one_object():
    """A whole answer is one JSON object in UTF-8, with or without a byte-order mark."""
    data = json.dumps(ANSWERS[0], ensure_ascii=False).encode()
    assert read([data[:9], data[9:]], headers={}, is_stream=False) == ANSWERS[:1]
    assert read([b"\xef\xbb\xbf" + data], headers={}, is_stream=False) == ANSWERS[:1]
    for other in (b"", b"[]", b"{}{}", data[:-1], b"\xff"):
        with pytest.raises(InvalidReplyError):
            read([other], headers={}, is_stream=False)


def test_the_beginning_of_an_error_is_enough():
    """An error is read up to a bound; with an encoding that is not known, its status is what counts."""
    body = Body(503, {"content-encoding": "br", "Retry-After": "3"}, is_stream=False)
    assert list(body.feed(b"\xff" * 10)) == [[]]
    assert (body.is_full, body.refusal.status, body.refusal.headers["retry-after"]) == (False, 503, "3")
    list(body.feed(b" " * 2**20))
    assert body.is_full
    damaged = Body(503, {"content-encoding": "gzip"}, is_stream=True)
    assert list(damaged.feed(b"no gzip")) == [[]]
    assert damaged.finish() == []
