"""The replies made of answers: text, tool calls, token counts and finish reasons."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from calling import MODES, call
from hf_wire import MODEL
from kickai_providers_core import (
    ChatRequest,
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    Tool,
    ToolCall,
    Usage,
)
from kickai_providers_core.testing.chat_completions.faults import StreamBytes
from kickai_providers_core.testing.chat_completions.wire import USAGE
from kickai_providers_core.testing.faults import Ok, WrongShape

STREAMS = ("stream", "astream")
PING = ChatRequest.of("ping")


def lines(*lines, end="clean"):
    """Return a stream of these lines."""
    return StreamBytes("".join(lines).encode(), end=end)


def event(delta=None, finish=None, **more):
    """Return an event of a stream."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({'model': MODEL, 'choices': choices, **more}, ensure_ascii=False)}\n\n"


def answer(finish="stop", usage=USAGE, **message):
    """Return a whole answer."""
    return WrongShape({"model": MODEL, "choices": [{"message": message, "finish_reason": finish}], "usage": usage})


@pytest.mark.parametrize("mode", MODES)
def test_a_reply_has_all_fields(mode, provide):
    """Text, model, tokens, finish reason and request id are returned."""
    reply = call(provide(), mode).reply
    assert (reply.text, reply.model, reply.request_id) == ("pong", MODEL, "req-7")
    assert (reply.usage, reply.finish_reason) == (Usage(input_tokens=11, output_tokens=5), FinishReason.STOP)


@pytest.mark.parametrize("mode", MODES)
def test_tool_calls_are_assembled(mode, server, provide):
    """A tool call whose arguments arrive in pieces is returned whole, in the last chunk."""
    server.default = Ok("", (), finish=FinishReason.TOOL_CALL)
    ended = call(provide(), mode, evolve(PING, tools=(Tool(name="canary_tool"),), tool_choice="required"))
    expected = ToolCall(id="call-1", name="canary_tool", arguments='{"canary_day": "Saturday"}')
    assert (ended.reply.tool_calls, ended.reply.finish_reason) == ((expected,), FinishReason.TOOL_CALL)
    assert [chunk.tool_calls for chunk in ended.chunks[:-1]] == [()] * (len(ended.chunks) - 1)


@pytest.mark.parametrize(
    ("calls", "expected"),
    [
        ([{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}], [("a", "f", '{"x":1}')]),
        (
            [{"id": str(n), "function": {"name": "f", "arguments": "{}"}} for n in (1, 2)],
            [("1", "f", "{}"), ("2", "f", "{}")],
        ),
    ],
)
def test_other_forms_of_tool_calls_are_read(calls, expected, server, provide):
    """Arguments as an object, as in older servers, and calls without an index are accepted."""
    server.script(answer(tool_calls=calls))
    reply = call(provide(), "invoke").reply
    assert [(c.id, c.name, c.arguments) for c in reply.tool_calls] == expected
    assert reply.finish_reason is FinishReason.TOOL_CALL


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        ("COMPLETE", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
    ],
)
def test_all_finish_reasons_are_known(word, reason, server, provide):
    """Inference providers have different words for the finish reason."""
    server.script(answer(finish=word, content="x"))
    assert call(provide(), "invoke").reply.finish_reason == reason


def test_content_parts_are_joined(server, provide):
    """Some providers send the text in parts, with reasoning in between."""
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "b"}]
    server.script(answer(content=parts))
    assert call(provide(), "invoke").text == "ab"


def test_reasoning_is_not_an_answer(server, provide):
    """A model that used all its tokens for reasoning has not answered."""
    server.script(answer(finish="length", content=None, reasoning="Hm."))
    ended = call(provide(), "invoke")
    assert isinstance(ended.error, InvalidReplyError)
    assert "Hm" not in str(ended.error)


def test_cached_and_reasoning_tokens_are_counted(server, provide):
    """The details of the token count are returned."""
    usage = {
        **USAGE,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    server.script(answer(usage=usage, content="x"))
    expected = Usage(input_tokens=11, output_tokens=5, cached_tokens=4, reasoning_tokens=2)
    assert call(provide(), "invoke").reply.usage == expected


@pytest.mark.parametrize(
    "usage", [None, 7, [], {}, {"prompt_tokens": "11"}, {"prompt_tokens": 1, "prompt_tokens_details": 3}]
)
def test_an_invalid_token_count_is_none(usage, server, provide):
    """A service with a missing or invalid token count still answers."""
    server.script(answer(usage=usage, content="x"))
    assert call(provide(), "invoke").reply.usage is None


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "a\x0bb", "a\\u2028b"], ids=ascii)
def test_unicode_line_breaks_are_text(mode, text, server, provide):
    """Line breaks of Unicode do not end an event."""
    server.script(lines(event({"content": text}), event({}, "stop")))
    assert call(provide(), mode).text == text


@pytest.mark.parametrize("mode", STREAMS)
def test_the_form_of_a_stream_may_vary(mode, server, provide):
    """Comments, event names, CRLF, no space after a colon, an early token count, no last line feed: all accepted."""
    events = [
        ": comment\r\n\r\n",
        "event: message\r\n" + event({"role": "assistant"}).replace("\n", "\r\n"),
        event({"content": "po"}).replace("data: ", "data:"),
        event(None, usage=USAGE),
        event({"content": None}),
        event({"content": "ng"}, "stop").rstrip("\n"),
    ]
    server.script(lines(*events))
    reply = call(provide(), mode).reply
    assert (reply.text, reply.usage) == ("pong", Usage(input_tokens=11, output_tokens=5))


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("done", ["data: [DONE]\n\n", "data:[DONE]\n\n"])
def test_done_ends_the_stream(mode, done, server, provide):
    """After ``[DONE]`` nothing is awaited, although the connection stays open."""
    server.script(lines(event({"content": "pong"}, "stop"), done, end="open"))
    ended = call(provide(), mode)
    assert ended.text == "pong"
    assert ended.elapsed_s < 2.0


@pytest.mark.parametrize("mode", STREAMS)
def test_a_complete_answer_survives_silence(mode, server, provide):
    """After the finish reason, a missing token count and a missing end of the stream do not matter."""
    server.script(lines(event({"content": "pong"}, "stop"), end="open"))
    ended = call(provide(idle_timeout_s=0.3), mode)
    assert (ended.text, ended.reply.usage) == ("pong", None)


@pytest.mark.parametrize("mode", STREAMS)
def test_a_content_filter_may_stop_a_stream(mode, server, provide):
    """The error follows the text that was already yielded."""
    server.script(lines(event({"content": "po"}), event({"content": "n"}, "content_filter")))
    ended = call(provide(), mode)
    assert isinstance(ended.error, ContentFilteredError)
    assert "".join(chunk.text for chunk in ended.chunks) == "pon"


@pytest.mark.parametrize("mode", MODES)
def test_stop_texts_are_cut_off(mode, server, provide):
    """The answer ends at a stop text that a server ignores or repeats."""
    server.default = Ok("One. END Two.", pieces=tuple("One. END Two."), finish=FinishReason.LENGTH)
    reply = call(provide(), mode, evolve(PING, stop=("END",))).reply
    assert (reply.text, reply.finish_reason) == ("One. ", FinishReason.STOP)
