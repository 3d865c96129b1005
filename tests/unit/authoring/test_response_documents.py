"""The documents of a streamed response: server-sent events, or one JSON document when the server ignores ``stream``."""

from __future__ import annotations

import json

import pytest

from kickai_providers_core import InvalidReplyError
from kickai_providers_core.authoring import DocumentStream, openai_chat
from kickai_providers_core.authoring.response_documents import MAX_DOCUMENT_BYTES

HALF = b'data: {"choices": [{"delta": {"content": "Satur"}}]}\n\n'
END = b'data: {"choices": [{"delta": {"content": "day"}, "finish_reason": "stop"}]}\n\n'
WHOLE = json.dumps({"choices": [{"message": {"content": "Saturday"}, "finish_reason": "stop"}]}).encode()


def open_stream(*, is_json=False):
    """Return a stream and its decoder."""
    decoder = openai_chat.ChatDecoder()
    return DocumentStream(decoder, is_json=is_json), decoder


def feed(stream, *parts):
    """Return the text of the chunks of all parts."""
    return "".join(chunk.text for part in parts for chunk in stream.feed(part))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_events_in_any_split(size):
    """``[DONE]`` ends the stream, and what follows is not read."""
    stream, decoder = open_stream()
    data = HALF + b": comment\n\ndata:\n\n" + END + b"data: [DONE]\n\ndata: {\n\n"
    text = ""
    while not stream.is_done:
        text, data = text + feed(stream, data[:size]), data[size:]
    assert (text, decoder.finish().finish_reason) == ("Saturday", "stop")


def test_the_end_of_the_body_completes_the_last_event():
    """No blank line needs to follow it."""
    stream, decoder = open_stream()
    assert feed(stream, HALF, END.rstrip(), b"") == "Saturday"
    assert (stream.is_done, decoder.is_finished) == (True, True)


def test_one_document_in_place_of_a_stream():
    """It is read at its end, and its size is limited."""
    stream, decoder = open_stream(is_json=True)
    assert feed(stream, WHOLE[:9], WHOLE[9:]) == ""
    assert feed(stream, b"") == "Saturday"
    assert (stream.is_done, decoder.is_finished) == (True, True)
    stream, _ = open_stream(is_json=True)
    with pytest.raises(InvalidReplyError, match="larger than"):
        feed(stream, b" " * (MAX_DOCUMENT_BYTES + 1))


def test_a_failed_connection_after_a_whole_answer_is_accepted():
    """But not before, nor within an event."""
    stream, _ = open_stream()
    feed(stream, HALF)
    with pytest.raises(ConnectionError):
        stream.end_early(ConnectionError())
    feed(stream, END, b"data: {")
    with pytest.raises(InvalidReplyError, match="within an event"):
        stream.end_early(ConnectionError())
    stream, _ = open_stream()
    feed(stream, HALF, END)
    stream.end_early(ConnectionError())
    assert stream.is_done
