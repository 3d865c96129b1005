"""The end of a response's body is found as RFC 9112 says, however the bytes are split."""

from itertools import pairwise

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.authoring.http_framing import (
    MAX_LINE_BYTES,
    ChunkedBody,
    FramingError,
    SizedBody,
    UnboundedBody,
    choose_framing,
)

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def split(data, cuts):
    """Return the pieces between the cuts."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(places)]


def read(framing, pieces):
    """Return the body; None when it is malformed or cut."""
    try:
        body = b"".join(framing.feed(piece) for piece in pieces)
        framing.end()
    except FramingError:
        return None
    return body


def read_with_h11(data):
    """Return the body as h11 reads it; None when it refuses the body."""
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(HEAD + data)
    connection.receive_data(b"")
    body = b""
    try:
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            body += bytes(event.data) if isinstance(event, h11.Data) else b""
    except h11.RemoteProtocolError:
        return None
    return body


def encode(chunks, extension=b"", trailers=b""):
    """Return a chunked body."""
    parts = [b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks]
    return b"".join(parts) + b"0\r\n" + trailers + b"\r\n"


pieces = st.lists(st.integers(0, 200), max_size=6)


@given(
    st.lists(st.binary(min_size=1, max_size=30), max_size=5),
    st.sampled_from([b"", b";name=value", b" ;x"]),
    st.sampled_from([b"", b"x: y\r\n", b"x: y\r\nz: 1\r\n"]),
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n"]),
    pieces,
)
def test_chunks_are_joined_however_they_are_split(chunks, extension, trailers, rest, cuts):
    """The body is the data of all chunks, and what follows the last one is not part of it."""
    framing = ChunkedBody()
    body = read(framing, split(encode(chunks, extension, trailers) + rest, cuts))
    assert body == b"".join(chunks)
    assert framing.is_done
    assert rest.startswith(framing.rest)


@given(
    st.lists(st.sampled_from([b"x", b"hello", b"\r\n"]), max_size=3),
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from([b"", b"\r\n", b"\r", b"\n", b"x", b";e", b" ", b"-", b"5"]))
    ),
    pieces,
)
def test_chunks_are_read_as_h11_reads_them(chunks, changes, cuts):
    """Also malformed ones, up to the last chunk: each is read by both in the same way, or refused by both."""
    start = encode(chunks)[: -len(encode([]))]
    for place, new in changes:
        start = start[:place] + new + start[place + 1 :]
    data = start + encode([])
    assert read(ChunkedBody(), split(data, cuts)) == read_with_h11(data)


@pytest.mark.parametrize(
    "data",
    [
        *(b"x\r\n", b"-1\r\nx\r\n", b"0x1\r\nx\r\n", b"\r\n", b"1 1\r\n", b"11111111111111111\r\n"),
        *(b"1\r\nxy\r\n0\r\n\r\n", b"1\r\nx0\r\n\r\n", b"5\r\nhel", b"5\r\nhello", b"5\r\nhello\r\n", b"0\r\n", b""),
        b"1;" + b"x" * MAX_LINE_BYTES + b"\r\n",
        b"1" * (MAX_LINE_BYTES + 1),
        b"0\r\n" + b"x: y\r\n" * MAX_LINE_BYTES + b"\r\n",
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
def test_a_malformed_or_cut_body_is_an_error(data, at_once):
    """No part of it counts as whole."""
    parts = [data] if at_once else [data[place : place + 1] for place in range(len(data))]
    assert read(ChunkedBody(), parts) is None


@given(st.binary(max_size=20), st.integers(0, 30), pieces)
def test_a_sized_body_ends_with_its_size(data, size, cuts):
    """What follows is not part of it, and less is an error."""
    framing = SizedBody(size)
    body = b""
    for piece in split(data, cuts):
        if framing.is_done:
            break
        body += framing.feed(piece)
    assert body == data[:size]
    assert framing.is_done == (len(data) >= size)
    if not framing.is_done:
        with pytest.raises(FramingError):
            framing.end()


def test_a_body_of_unknown_size_ends_with_the_connection():
    """All bytes belong to it."""
    framing = UnboundedBody()
    assert (framing.feed(b"a"), framing.is_done) == (b"a", False)
    framing.end()
    assert framing.is_done


@pytest.mark.parametrize(
    ("method", "status", "headers", "kind"),
    [
        (b"GET", 200, {}, UnboundedBody),
        (b"GET", 200, {b"content-length": b"3"}, SizedBody),
        (b"GET", 200, {b"transfer-encoding": b"chunked"}, ChunkedBody),
        (b"GET", 200, {b"transfer-encoding": b"chunked", b"content-length": b"3"}, ChunkedBody),
        (b"HEAD", 200, {b"content-length": b"3"}, SizedBody),
        (b"GET", 204, {b"transfer-encoding": b"chunked"}, SizedBody),
        (b"GET", 304, {b"content-length": b"3"}, SizedBody),
    ],
)
def test_the_head_says_where_the_body_ends(method, status, headers, kind):
    """RFC 9112, section 6.3."""
    framing = choose_framing(method, status, headers)
    assert type(framing) is kind
    assert framing.is_done == (method == b"HEAD" or status in {204, 304})
