"""What becomes of answers: text, calls, tokens and ends, whatever form the server gives them."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from calling import MODES, call
from hf_wire import MODEL, USAGE
from kickai_providers_core import (
    ChatRequest,
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    Tool,
    ToolCall,
    Usage,
)
from kickai_providers_core.testing.faults import Fault, Ok, Response, WrongShape
from kickai_providers_core.testing.faults.exchange import chunk, head_of

STREAMS = ("stream", "astream")
PING = ChatRequest.of("ping")


class Raw(Fault):
    """Lines of a stream, as they are."""

    def __init__(self, *lines: str, end: bool = True) -> None:
        super().__init__()
        object.__setattr__(self, "lines", lines)
        object.__setattr__(self, "end", end)

    async def play(self, exchange):
        """Send the lines, and then the end or nothing more."""
        head = Response(headers={"content-type": "text/event-stream", "x-request-id": "req-7"})
        await exchange.link.send(head_of(head, {"transfer-encoding": "chunked"}))
        await exchange.link.send(chunk("".join(self.lines).encode()))
        await (exchange.link.send(b"0\r\n\r\n") if self.end else exchange.hold())


def event(delta=None, finish=None, **more):
    """Return an event's line."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return f"data: {json.dumps({'model': MODEL, 'choices': choices, **more}, ensure_ascii=False)}\n\n"


def answer(finish="stop", usage=USAGE, **message):
    """Return a whole answer."""
    return WrongShape({"model": MODEL, "choices": [{"message": message, "finish_reason": finish}], "usage": usage})


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_is_whole(mode, provide):
    """Text, model, tokens, end and the service's name for the request come back."""
    reply = call(provide(), mode).reply
    assert (reply.text, reply.model, reply.request_id) == ("pong", MODEL, "req-7")
    assert (reply.usage, reply.finish_reason) == (Usage(input_tokens=11, output_tokens=5), FinishReason.STOP)


@pytest.mark.parametrize("mode", MODES)
def test_calls_of_tools_are_put_together(mode, server, provide):
    """A call whose arguments come in pieces is handed out whole, with the end."""
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
def test_calls_of_other_forms_are_read(calls, expected, server, provide):
    """Arguments as an object, as older servers send them, and calls without an index are understood."""
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
def test_every_word_for_the_end_is_known(word, reason, server, provide):
    """Inference providers use words of their own for why the model stopped."""
    server.script(answer(finish=word, content="x"))
    assert call(provide(), "invoke").reply.finish_reason == reason


def test_content_in_parts_is_joined(server, provide):
    """Some providers send the text in parts, and reasoning among them."""
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "Hm."}, {"type": "text", "text": "b"}]
    server.script(answer(content=parts))
    assert call(provide(), "invoke").text == "ab"


def test_thoughts_are_no_answer(server, provide):
    """A model that only thought, until its tokens were spent, has not answered."""
    server.script(answer(finish="length", content=None, reasoning="Hm."))
    ended = call(provide(), "invoke")
    assert isinstance(ended.error, InvalidReplyError)
    assert "Hm" not in str(ended.error)


def test_tokens_of_caches_and_thoughts_are_told(server, provide):
    """The details of the count come along."""
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
def test_a_count_that_is_none_is_none(usage, server, provide):
    """A service that does not count, or strangely, still answers."""
    server.script(answer(usage=usage, content="x"))
    assert call(provide(), "invoke").reply.usage is None


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("text", ["a\u2028b", "a\x85b", "a\x0bb", "a\\u2028b"], ids=ascii)
def test_line_breaks_of_unicode_are_text(mode, text, server, provide):
    """What Unicode calls a line break does not break an event in two."""
    server.script(Raw(event({"content": text}), event({}, "stop")))
    assert call(provide(), mode).text == text


@pytest.mark.parametrize("mode", STREAMS)
def test_the_form_of_a_stream_is_read_generously(mode, server, provide):
    """Comments, names of events, CRLF, no space after the colon, an early count, and no last line feed are all fine."""
    lines = [
        ": comment\r\n\r\n",
        "event: message\r\n" + event({"role": "assistant"}).replace("\n", "\r\n"),
        event({"content": "po"}).replace("data: ", "data:"),
        event(None, usage=USAGE),
        event({"content": None}),
        event({"content": "ng"}, "stop").rstrip("\n"),
    ]
    server.script(Raw(*lines))
    reply = call(provide(), mode).reply
    assert (reply.text, reply.usage) == ("pong", Usage(input_tokens=11, output_tokens=5))


@pytest.mark.parametrize("mode", STREAMS)
@pytest.mark.parametrize("done", ["data: [DONE]\n\n", "data:[DONE]\n\n"])
def test_the_end_is_the_end(mode, done, server, provide):
    """After ``[DONE]`` nothing is waited for, though the connection stays open."""
    server.script(Raw(event({"content": "pong"}, "stop"), done, end=False))
    ended = call(provide(), mode)
    assert ended.text == "pong"
    assert ended.elapsed_s < 2.0


@pytest.mark.parametrize("mode", STREAMS)
def test_a_whole_answer_is_not_lost_to_silence(mode, server, provide):
    """Once the model has stopped, a token count and an end that do not come take nothing away."""
    server.script(Raw(event({"content": "pong"}, "stop"), end=False))
    ended = call(provide(idle_timeout_s=0.3), mode)
    assert (ended.text, ended.reply.usage) == ("pong", None)


@pytest.mark.parametrize("mode", STREAMS)
def test_a_withheld_end_keeps_what_came_before(mode, server, provide):
    """A filter that steps in half-way is an error, after the text that was handed out."""
    server.script(Raw(event({"content": "po"}), event({"content": "n"}, "content_filter")))
    ended = call(provide(), mode)
    assert isinstance(ended.error, ContentFilteredError)
    assert "".join(chunk.text for chunk in ended.chunks) == "pon"


@pytest.mark.parametrize("mode", MODES)
def test_stop_texts_are_no_part_of_the_answer(mode, server, provide):
    """A server that takes no heed of a stop text, or repeats it, is cut off at it."""
    server.default = Ok("One. END Two.", pieces=tuple("One. END Two."), finish=FinishReason.LENGTH)
    reply = call(provide(), mode, evolve(PING, stop=("END",))).reply
    assert (reply.text, reply.finish_reason) == ("One. ", FinishReason.STOP)
