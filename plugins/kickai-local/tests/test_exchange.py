"""One exchange with the model's process, byte by byte."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kickai_providers_core import InvalidReplyError, ProviderUnavailableError, Secret, UnsupportedRequestError

from kickai_local.exchange import HttpExchange
from kickai_local.hidden_bytes import Sealed

EVENTS = [b'{"a": 1}', b'{"text": "\xe6\x9d\xb1\xe4\xba\xac"}', b"[DONE]"]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def _chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


ANSWER = HEAD + _chunk(b": ping\n\n") + b"".join(_chunk(b"data: " + event + b"\n\n") for event in EVENTS) + _chunk(b"")


def _refused(status, body):
    return b"HTTP/1.1 %d No\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def _exchange():
    return HttpExchange(Secret("canary-key"), Sealed(b'{"messages": []}'))


def test_the_request_is_whole():
    """What is sent has the key in a header, and the body with its length."""
    head, _, body = bytes(_exchange().opening).partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/chat/completions HTTP/1.1\r\n")
    assert b"Authorization: Bearer canary-key" in head
    assert b"Content-Length: 16" in head
    assert body == b'{"messages": []}'


def test_no_repr_holds_the_key_or_the_prompt():
    """Logs with local variables show lengths alone."""
    exchange = _exchange()
    assert repr(exchange.opening) == f"<{len(exchange.opening)} bytes>"
    assert "canary" not in repr(vars(exchange))


@given(st.lists(st.integers(0, len(ANSWER))))
def test_events_come_whole_however_they_arrive(cuts):
    """Wherever the bytes are cut, the same events come, and the exchange is over with the last byte alone."""
    exchange, events = _exchange(), []
    edges = sorted({0, len(ANSWER), *cuts})
    for start, end in pairwise(edges):
        assert not exchange.is_over
        events += exchange.receive(ANSWER[start:end])
    assert [event.data.encode() for event in events] == EVENTS
    assert exchange.is_over


@given(st.integers(0, len(ANSWER) - 1))
def test_hanging_up_is_no_end(length):
    """An answer that is cut at any byte does not pass for a whole one."""
    exchange = _exchange()
    with pytest.raises(ConnectionAbortedError):  # noqa: PT012  the cut may come at the very first byte
        if length:
            exchange.receive(ANSWER[:length])
        exchange.receive(b"")


@given(st.binary(min_size=1))
def test_noise_is_no_answer(noise):
    """Bytes that are not HTTP are an InvalidReplyError, or wait for more; nothing else is raised."""
    exchange = _exchange()
    with suppress(InvalidReplyError):
        assert exchange.receive(noise + b"\r\n\r\n") == []


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, json.dumps({"error": {"message": "x"}}).encode(), UnsupportedRequestError),
        (400, b"<html>", UnsupportedRequestError),
        (500, b"", ProviderUnavailableError),
        (301, b"", ProviderUnavailableError),
    ],
)
def test_a_refusal_is_read_to_its_end(status, body, kind):
    """An answer with another status is an error once its body is there."""
    exchange, answer = _exchange(), _refused(status, body)
    assert exchange.receive(answer[:20]) == []
    with pytest.raises(kind) as caught:
        exchange.receive(answer[20:])
    assert caught.value.status_code == status


@pytest.mark.parametrize(
    "stream",
    [
        b"\xef\xbb\xbfdata: one\n\ndata: two\n\n",
        b"data:one\r\n\r\ndata:two\r\n\r\n",
        b"data: one\r\rdata: two\r\r",
        b": comment\nevent: x\nid: 1\nretry: 5\ndata: one\n\ndata: two\n\n",
    ],
)
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_an_event_stream_is_read_as_its_specification_says(stream, size):
    """A byte-order mark, any line end, comments, other fields and any split give the same events."""
    exchange, events = _exchange(), []
    answer = HEAD + b"".join(_chunk(stream[at : at + size]) for at in range(0, len(stream), size)) + _chunk(b"")
    for at in range(0, len(answer), size):
        events += exchange.receive(answer[at : at + size])
    assert [event.data for event in events] == ["one", "two"]


def test_an_answer_that_ends_inside_an_event_is_cut():
    """The rest is never dropped silently."""
    with pytest.raises(InvalidReplyError, match="cut"):
        _exchange().receive(HEAD + _chunk(b"data: one\n\ndata: tw") + _chunk(b""))


@pytest.mark.slow
def test_an_answer_without_an_end_is_too_large():
    """However small its events are, the number of bytes that are read is bounded."""
    exchange = _exchange()
    piece = _chunk(b"data: x\n\n" * 100_000)
    exchange.receive(HEAD)
    with pytest.raises(InvalidReplyError, match="too large"):  # noqa: PT012
        for _ in range(50):
            exchange.receive(piece)
