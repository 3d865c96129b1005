"""Streams of server-sent events: every valid form is read, and nothing that cannot be read is skipped."""

from __future__ import annotations

import asyncio
import json

import pytest
from calling import call
from hf_wire import MODEL
from kickai_providers_core import (
    ChatRequest,
    FinishReason,
    InvalidReplyError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Usage,
)
from kickai_providers_core.testing.chat_completions.faults import StreamBytes
from kickai_providers_core.testing.chat_completions.wire import USAGE
from kickai_providers_core.testing.faults import Cut

STREAMS = ("stream", "astream")
in_both = pytest.mark.parametrize("mode", STREAMS)


def choice(delta=None, finish=None, **more):
    """Return a choice of an event."""
    return {"index": 0, "delta": delta or {}, "finish_reason": finish, **more}


def event(*choices, **more):
    """Return the bytes of an event."""
    return b"data: " + json.dumps({"model": MODEL, "choices": choices, **more}).encode() + b"\n\n"


def text_event(text, finish=None):
    """Return an event with text."""
    return event(choice({"content": text}, finish))


DONE = b"data: [DONE]\n\n"
PONG = text_event("po") + text_event("ng") + event(choice(finish="stop")) + event(usage=USAGE) + DONE


def run(server, provide, mode, fault, **settings):
    """Return how a call ends that meets the fault."""
    server.script(fault)
    return call(provide(**settings), mode)


FORMS = {
    "plain": PONG,
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
    "[DONE] between blanks": PONG.replace(b"data: [DONE]", b"data:  [DONE] "),
    "token count first": event(usage=USAGE) + PONG,
    "token count without choices": PONG.replace(b'"choices": [], "usage"', b'"usage"'),
    "text in the last chunk": text_event("po") + event(choice({"content": "ng"}, "stop")) + event(usage=USAGE) + DONE,
    "text after the last chunk": text_event("po", "stop") + text_event("ng") + event(usage=USAGE) + DONE,
    "last chunk twice": text_event("po", "stop") + text_event("ng", "stop") + event(usage=USAGE) + DONE,
    "null delta": text_event("po")
    + text_event("ng")
    + event({"index": 0, "delta": None, "finish_reason": "stop"}, usage=USAGE),
    "null content": event(choice({"role": "assistant", "content": None, "tool_calls": None})) + PONG,
    "no index": PONG.replace(b'"index": 0, ', b""),
    "message instead of delta": PONG.replace(b'"delta"', b'"message"'),
}


@in_both
@pytest.mark.parametrize("size", [0, 1, 7])
@pytest.mark.parametrize("form", FORMS)
def test_every_valid_form_is_read(form, size, mode, server, provide):
    """Nothing is lost, however the events are written and wherever the network splits them."""
    reply = run(server, provide, mode, StreamBytes(FORMS[form], size)).reply
    assert (reply.text, reply.finish_reason) == ("pong", FinishReason.STOP)
    assert reply.usage == Usage(input_tokens=11, output_tokens=5)


@in_both
def test_only_the_first_of_several_answers_is_read(mode, server, provide):
    """Other answers are not mixed into it."""
    other = {"index": 1, "delta": {"content": "other"}, "finish_reason": "length"}
    data = event(other, choice({"content": "po"})) + event(other) + event(choice({"content": "ng"}, "stop"), other)
    reply = run(server, provide, mode, StreamBytes(data + DONE)).reply
    assert (reply.text, reply.finish_reason) == ("pong", FinishReason.STOP)


UNREADABLE = {
    "truncated JSON": b"data: {\n\n",
    "a word": b"data: pong\n\n",
    "null": b"data: null\n\n",
    "a list": b"data: [1]\n\n",
    "NaN": b'data: {"choices": [], "x": NaN}\n\n',
    "invalid UTF-8": b'data: {"choices": [{"index": 0, "delta": {"content": "\xff"}}]}\n\n',
    "a ping": b'event: ping\ndata: {"type": "ping"}\n\n',
    "an object without choices": event().replace(b', "choices": []', b""),
    "choices that are null": b'data: {"choices": null}\n\n',
    "choices that are an object": b'data: {"choices": {}}\n\n',
    "a choice that is a text": b'data: {"choices": ["pong"]}\n\n',
    "an empty choice": b'data: {"choices": [{"index": 0}]}\n\n',
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
def test_an_unreadable_event_is_an_error(what, place, mode, server, provide):
    """It may contain a part of the answer, so the rest does not count as complete."""
    bad, po, end = UNREADABLE[what], text_event("po"), text_event("ng", "stop")
    data = {"first": bad + po + end, "middle": po + bad + end, "after the end": po + end + bad}[place]
    ended = run(server, provide, mode, StreamBytes(data + DONE))
    assert type(ended.error) is InvalidReplyError
    assert {"first": "", "middle": "po", "after the end": "pong"}[place].startswith(
        "".join(chunk.text for chunk in ended.chunks)
    )


@in_both
@pytest.mark.parametrize("end", ["clean", "cut"])
@pytest.mark.parametrize(
    "data",
    [
        b"",
        text_event("po"),
        text_event("po") + DONE,
        text_event("po") + event(usage=USAGE) + DONE,
        text_event("po")[:-20],
        text_event("po", ""),
    ],
    ids=["nothing", "one chunk", "[DONE] only", "a token count only", "half an event", "an empty reason"],
)
def test_a_stream_without_a_finish_reason_is_cut(data, end, mode, server, provide):
    """It is an error, however the stream ends."""
    ended = run(server, provide, mode, StreamBytes(data, end=end))
    assert type(ended.error) is InvalidReplyError


@in_both
def test_text_after_the_finish_reason_needs_another_one(mode, server, provide):
    """If the service continues after a finish reason and is cut then, the answer is incomplete."""
    ended = run(server, provide, mode, StreamBytes(text_event("po", "stop") + text_event("n"), end="cut"))
    assert type(ended.error) is InvalidReplyError
    ended = run(
        server, provide, mode, StreamBytes(text_event("po", "stop") + text_event("n"), end="open"), idle_timeout_s=0.3
    )
    assert type(ended.error) is ProviderTimeoutError


@in_both
def test_late_text_after_the_finish_reason_is_read(mode, server, provide):
    """The stream is read to its end."""
    data = text_event("p", "stop") + text_event("o", "stop") + text_event("n", "stop") + text_event("g", "stop")
    ended = run(server, provide, mode, StreamBytes(data + DONE, size=len(text_event("p", "stop")), pause_s=0.4))
    assert ended.text == "pong"


@in_both
@pytest.mark.parametrize("end", ["cut", "open"])
def test_a_connection_may_fail_after_the_finish_reason(end, mode, server, provide):
    """The answer is complete, although the token count is missing."""
    ended = run(
        server, provide, mode, StreamBytes(text_event("po") + text_event("ng", "stop"), end=end), idle_timeout_s=0.3
    )
    assert ended.text == "pong"


@in_both
def test_an_event_cut_after_the_finish_reason_is_an_error(mode, server, provide):
    """It may contain a part of the answer."""
    ended = run(server, provide, mode, StreamBytes(text_event("po", "stop") + text_event("ng")[:-9], end="cut"))
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
    """Two surrogates in two events become one character, and a lone one becomes U+FFFD."""
    data = b"".join(map(text_event, pieces)) + event(choice(finish="stop")) + DONE
    ended = run(server, provide, mode, StreamBytes(data, size))
    assert ended.text == text
    assert all(piece.text.encode() is not None for piece in ended.chunks)


@in_both
@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "Application/JSON"])
def test_a_json_answer_instead_of_a_stream_is_accepted(content_type, mode, server, provide):
    """A server may ignore ``stream``."""
    message = {"role": "assistant", "content": "pong"}
    data = json.dumps({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}).encode()
    assert run(server, provide, mode, StreamBytes(data, content_type=content_type)).text == "pong"


@pytest.mark.slow
@in_both
@pytest.mark.parametrize("name", ["content", "reasoning_content", "reasoning", "tool_calls"])
def test_reasoning_and_tool_calls_are_progress(name, mode, server, provide):
    """Like text, they restart the idle timeout."""
    call_ = [{"index": 0, "function": {"arguments": " "}}]
    first = [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{"}}]
    piece = {"tool_calls": call_} if name == "tool_calls" else {name: "x"}
    begin = event(choice({"tool_calls": first} if name == "tool_calls" else piece))
    size = 200
    pieces = (begin, *[event(choice(piece))] * 7, event(choice({"content": "y"}, "stop")))
    data = b"".join(part.rjust(size, b"\n") for part in pieces)
    bounds = {"first_token_timeout_s": 2.0, "idle_timeout_s": 2.0}
    ended = run(server, provide, mode, StreamBytes(data, size, pause_s=0.3), **bounds)
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
def test_an_error_in_a_stream_is_raised(data, error, place, mode, server, provide):  # noqa: PLR0917
    """At its start, in its middle, and after the finish reason."""
    before = {"first": b"", "middle": text_event("po"), "after the end": text_event("pong", "stop")}[place]
    ended = run(server, provide, mode, StreamBytes(before + data + text_event("x", "stop") + DONE))
    assert type(ended.error).__name__ == error


@in_both
def test_an_unread_stream_sends_nothing(mode, server, provide):
    """The request is sent when the first chunk is requested."""
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
def test_a_reset_in_a_stream_is_an_outage(mode, server, provide):
    """The text before it was already yielded."""
    server.script(Cut(1, "rst"))
    assert type(call(provide(), mode).error) is ProviderUnavailableError
