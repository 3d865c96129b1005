"""Streams of server-sent events: every form that the specification allows, and nothing that is not understood."""

from __future__ import annotations

import asyncio
import json

import pytest
from attrs import field, frozen
from calling import call
from hf_wire import MODEL, USAGE
from kickai_providers_core import (
    ChatRequest,
    FinishReason,
    InvalidReplyError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Usage,
)
from kickai_providers_core.testing.faults import Cut, Fault, Response
from kickai_providers_core.testing.faults.exchange import chunk, head_of

STREAMS = ("stream", "astream")
in_both = pytest.mark.parametrize("mode", STREAMS)


@frozen
class Sends(Fault):
    """A stream of bytes of our own.

    Attributes:
        data: The bytes.
        size: How many of them are sent at once; 0 for all.
        pause_s: Between two sends.
        end: ``clean``, ``cut`` (within the HTTP message) or ``open`` (nothing more, and the connection stays).
        content_type: Of the response.
    """

    data: bytes
    size: int = 0
    pause_s: float = 0.0
    end: str = "clean"
    content_type: str = "text/event-stream"
    headers: dict = field(factory=dict)

    async def play(self, exchange):
        """Send the bytes."""
        head = Response(headers={"content-type": self.content_type, **self.headers})
        await exchange.link.send(head_of(head, {"transfer-encoding": "chunked"}))
        size = self.size or max(len(self.data), 1)
        for start in range(0, len(self.data), size):
            await exchange.link.send(chunk(self.data[start : start + size]))
            await asyncio.sleep(self.pause_s)
        if self.end == "clean":
            await exchange.link.send(b"0\r\n\r\n")
        elif self.end == "cut":
            exchange.link.close()
        else:
            await exchange.hold()


def choice(delta=None, finish=None, **more):
    """Return a choice of an event."""
    return {"index": 0, "delta": delta or {}, "finish_reason": finish, **more}


def event(*choices, **more):
    """Return an event's bytes."""
    return b"data: " + json.dumps({"model": MODEL, "choices": choices, **more}).encode() + b"\n\n"


def said(text, finish=None):
    """Return an event that brings text."""
    return event(choice({"content": text}, finish))


DONE = b"data: [DONE]\n\n"
PONG = said("po") + said("ng") + event(choice(finish="stop")) + event(usage=USAGE) + DONE


def run(server, provide, mode, fault, **settings):
    """Return how a call ends that meets the fault."""
    server.script(fault)
    return call(provide(**settings), mode)


FORMS = {
    "as it is": PONG,
    "byte order mark": b"\xef\xbb\xbf" + PONG,
    "CRLF": PONG.replace(b"\n", b"\r\n"),
    "CR": PONG.replace(b"\n", b"\r"),
    "comments": b": hello\n\n" + PONG.replace(b"\n\n", b"\n\n: ping\n\n:\n"),
    "blank lines": b"\n\n\n" + PONG.replace(b"\n\n", b"\n\n\n\n"),
    "no space": PONG.replace(b"data: ", b"data:"),
    "other fields": b"retry: 10\n\n" + PONG.replace(b"data: {", b"id: 7\nevent: message\nnonsense: x\ndata: {"),
    "several data lines": PONG.replace(b'", "choices"', b'",\ndata: "choices"'),
    "empty data": b"data\n\ndata:\n\n" + PONG,
    "no last blank line": PONG.removesuffix(b"\n\n"),
    "no [DONE]": PONG.removesuffix(DONE),
    "no [DONE], no last blank line": PONG.removesuffix(b"\n\n" + DONE),
    "[DONE] without a space": PONG.replace(b"data: [DONE]", b"data:[DONE]"),
    "[DONE] among blanks": PONG.replace(b"data: [DONE]", b"data:  [DONE] "),
    "count first": event(usage=USAGE) + PONG,
    "count without choices": PONG.replace(b'"choices": [], "usage"', b'"usage"'),
    "text in the last chunk": said("po") + event(choice({"content": "ng"}, "stop")) + event(usage=USAGE) + DONE,
    "text after the last chunk": said("po", "stop") + said("ng") + event(usage=USAGE) + DONE,
    "last chunk twice": said("po", "stop") + said("ng", "stop") + event(usage=USAGE) + DONE,
    "null delta": said("po") + said("ng") + event({"index": 0, "delta": None, "finish_reason": "stop"}, usage=USAGE),
    "null content": event(choice({"role": "assistant", "content": None, "tool_calls": None})) + PONG,
    "no index": PONG.replace(b'"index": 0, ', b""),
    "message for delta": PONG.replace(b'"delta"', b'"message"'),
}


@in_both
@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_a_stream_is_read(form, size, mode, server, provide):
    """However the events are written, and wherever the network splits them, nothing is lost."""
    reply = run(server, provide, mode, Sends(FORMS[form], size)).reply
    assert (reply.text, reply.finish_reason) == ("pong", FinishReason.STOP)
    assert reply.usage == Usage(input_tokens=11, output_tokens=5)


@in_both
def test_only_one_of_several_answers_is_read(mode, server, provide):
    """A service that sends more answers than were requested gets none of them mixed into the first."""
    other = {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}
    data = event(other, choice({"content": "po"})) + event(other) + event(choice({"content": "ng"}, "stop"), other)
    reply = run(server, provide, mode, Sends(data + DONE)).reply
    assert (reply.text, reply.finish_reason) == ("pong", FinishReason.STOP)


UNREADABLE = {
    "half a JSON text": b"data: {\n\n",
    "a word": b"data: pong\n\n",
    "null": b"data: null\n\n",
    "a list": b"data: [1]\n\n",
    "NaN": b'data: {"choices": [], "x": NaN}\n\n',
    "no UTF-8": b'data: {"choices": [{"index": 0, "delta": {"content": "\xff"}}]}\n\n',
    "a ping": b'event: ping\ndata: {"type": "ping"}\n\n',
    "an object without choices": event().replace(b', "choices": []', b""),
    "choices that are null": b'data: {"choices": null}\n\n',
    "choices that are an object": b'data: {"choices": {}}\n\n',
    "a choice that is a text": b'data: {"choices": ["pong"]}\n\n',
    "a choice without anything": b'data: {"choices": [{"index": 0}]}\n\n',
    "an index that is a text": b'data: {"choices": [{"index": "0", "delta": {"content": "x"}}]}\n\n',
    "a delta that is a text": b'data: {"choices": [{"index": 0, "delta": "pong"}]}\n\n',
    "content that is a number": event(choice({"content": 7})),
    "content that is an object": event(choice({"content": {"text": "pong"}})),
    "a part that is an image": event(choice({"content": [{"type": "image_url"}]})),
    "a part that is a number": event(choice({"content": [7]})),
    "an end that is a number": event(choice({}, 7)),
    "tool calls that are an object": event(choice({"tool_calls": {"id": "a"}})),
    "a tool call that is a text": event(choice({"tool_calls": ["f()"]})),
    "a tool call of another type": event(choice({"tool_calls": [{"id": "a", "type": "custom", "custom": {}}]})),
    "arguments that are a list": event(choice({"tool_calls": [{"id": "a", "function": {"arguments": [1]}}]})),
    "a name that is a number": event(choice({"tool_calls": [{"id": "a", "function": {"name": 7}}]})),
}


@in_both
@pytest.mark.parametrize("place", ["first", "middle", "after the end"])
@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_not_understood_is_never_skipped(what, place, mode, server, provide):
    """An event that cannot be read may hold a part of the answer: the rest does not pass for the whole."""
    bad, po, end = UNREADABLE[what], said("po"), said("ng", "stop")
    data = {"first": bad + po + end, "middle": po + bad + end, "after the end": po + end + bad}[place]
    ended = run(server, provide, mode, Sends(data + DONE))
    assert type(ended.error) is InvalidReplyError
    assert {"first": "", "middle": "po", "after the end": "pong"}[place].startswith(
        "".join(chunk.text for chunk in ended.chunks)
    )


@in_both
@pytest.mark.parametrize("end", ["clean", "cut"])
@pytest.mark.parametrize(
    "data",
    [b"", said("po"), said("po") + DONE, said("po") + event(usage=USAGE) + DONE, said("po")[:-20], said("po", "")],
    ids=["nothing", "one piece", "done without an end", "a count without an end", "half a piece", "an empty end"],
)
def test_a_part_is_not_the_whole(data, end, mode, server, provide):
    """A stream without a finish reason was cut, however it ends."""
    ended = run(server, provide, mode, Sends(data, end=end))
    assert type(ended.error) is InvalidReplyError


@in_both
def test_text_after_the_end_needs_an_end_of_its_own(mode, server, provide):
    """A service that went on after a finish reason, and was cut then, has not sent a whole answer."""
    ended = run(server, provide, mode, Sends(said("po", "stop") + said("n"), end="cut"))
    assert type(ended.error) is InvalidReplyError
    ended = run(server, provide, mode, Sends(said("po", "stop") + said("n"), end="open"), idle_timeout_s=0.3)
    assert type(ended.error) is ProviderTimeoutError


@in_both
def test_text_that_comes_late_after_the_end_is_read(mode, server, provide):
    """A finish reason that came early ends nothing: the stream is read to its end."""
    data = said("p", "stop") + said("o", "stop") + said("n", "stop") + said("g", "stop")
    ended = run(server, provide, mode, Sends(data + DONE, size=len(said("p", "stop")), pause_s=0.4))
    assert ended.text == "pong"


@in_both
@pytest.mark.parametrize("end", ["cut", "open"])
def test_a_connection_that_fails_after_the_end_takes_nothing_away(end, mode, server, provide):
    """With the finish reason the answer is whole, though the count of tokens never comes."""
    ended = run(server, provide, mode, Sends(said("po") + said("ng", "stop"), end=end), idle_timeout_s=0.3)
    assert ended.text == "pong"


@in_both
def test_an_event_cut_after_the_end_may_hold_text(mode, server, provide):
    """Half an event behind the finish reason may be a part of the answer."""
    ended = run(server, provide, mode, Sends(said("po", "stop") + said("ng")[:-9], end="cut"))
    assert type(ended.error) is InvalidReplyError


@in_both
@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (("Goal \ud83d", "\ude00!"), "Goal \U0001f600!"),
        (("\ud83d", "", "\ude00"), "\U0001f600"),
        (("a\ud83d", "b"), "a\ufffdb"),
        (("a", "\ude00b"), "a\ufffdb"),
        (("a\ud83d",), "a\ufffd"),
        (("Grüße ", "東京"), "Grüße 東京"),
    ],
    ids=ascii,
)
def test_halves_of_a_character_are_joined(pieces, text, size, mode, server, provide):  # noqa: PLR0917
    """A character whose halves come in two events is whole, and a half alone is a replacement character."""
    data = b"".join(map(said, pieces)) + event(choice(finish="stop")) + DONE
    ended = run(server, provide, mode, Sends(data, size))
    assert ended.text == text
    assert all(piece.text.encode() is not None for piece in ended.chunks)


@in_both
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_whole_answer_in_place_of_a_stream_is_an_answer(content_type, mode, server, provide):
    """A server that ignores ``stream`` has answered all the same."""
    message = {"role": "assistant", "content": "pong"}
    data = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    assert run(server, provide, mode, Sends(data, content_type=content_type)).text == "pong"


@in_both
@pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning", "tool_calls"])
def test_a_stream_that_flows_is_healthy(name, mode, server, provide):
    """Reasoning and the pieces of a tool call are signs of life as text is: no bound for silence ends them."""
    call_ = [{"index": 0, "function": {"arguments": " "}}]
    first = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]
    piece = {"tool_calls": call_} if name == "tool_calls" else {name: "x"}
    begin = event(choice({"tool_calls": first} if name == "tool_calls" else piece))
    size = 200
    pieces = (begin, *[event(choice(piece))] * 7, event(choice({"content": "y"}, "stop")))
    data = b"".join(part.rjust(size, b"\n") for part in pieces)
    bounds = {"first_token_timeout_s": 2.0, "idle_timeout_s": 2.0}
    ended = run(server, provide, mode, Sends(data, size, pause_s=0.3), **bounds)
    assert ended.error is None
    assert ended.elapsed_s > 2.0


@in_both
@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b'event: error\ndata: {"message": "overloaded"}\n\n', "RateLimitedError"),
        (b"event: error\ndata: out of memory\n\n", "ProviderUnavailableError"),
        (b'data: {"error": {"message": "x", "code": 429}}\n\n', "RateLimitedError"),
        (b'data: {"error": {"message": "x", "code": "429"}}\n\n', "RateLimitedError"),
        (b'data: {"error": "boom"}\n\n', "ProviderUnavailableError"),
        (b'data: {"object": "error", "message": "maximum context length is 64"}\n\n', "ContextLengthExceededError"),
    ],
    ids=ascii,
)
@pytest.mark.parametrize("place", ["first", "middle", "after the end"])
def test_errors_within_a_stream_are_errors(data, error, place, mode, server, provide):  # noqa: PLR0917
    """An error is an error wherever it comes."""
    before = {"first": b"", "middle": said("po"), "after the end": said("pong", "stop")}[place]
    ended = run(server, provide, mode, Sends(before + data + said("x", "stop") + DONE))
    assert type(ended.error).__name__ == error


@in_both
def test_a_stream_that_was_never_read_sends_nothing(mode, server, provide):
    """Opening a stream makes no request and starts no clock; closing it unread is fine."""
    provider = provide()
    if mode == "stream":
        provider.stream(ChatRequest.of("ping"), 1.0).close()
    else:

        async def close():
            await provider.astream(ChatRequest.of("ping"), 1.0).aclose()

        asyncio.run(close())
    assert server.requests == []
    assert server.accepted_connections == 0


@in_both
def test_a_reset_within_a_stream_is_unavailable(mode, server, provide):
    """A connection that breaks before the end is an outage with its partial text handed out."""
    server.script(Cut(1, "rst"))
    assert type(call(provide(), mode).error) is ProviderUnavailableError
