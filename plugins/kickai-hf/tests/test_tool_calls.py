"""Tool calls in all the forms in which servers send them."""

from __future__ import annotations

import json

import pytest
from calling import MODES, call
from kickai_providers_core import ChatRequest, FinishReason, InvalidReplyError, Message
from kickai_providers_core.testing.chat_completions.faults import StreamBytes
from kickai_providers_core.testing.faults import WrongShape
from test_streams import DONE, choice, event, in_both

ADD = ("add", '{"x": 1}')
SUB = ("sub", '{"y": 2}')


def piece(id_=None, name=None, arguments=None, **more):
    """Return a piece of a tool call."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, **({} if id_ is None else {"id": id_}), "type": "function", "function": function}


STREAMED = {
    "one index each": [[piece("a", *ADD, index=0)], [piece("b", *SUB, index=1)]],
    "one index for both": [[piece("a", *ADD, index=0)], [piece("b", *SUB, index=0)]],
    "no index": [[piece("a", *ADD)], [piece("b", *SUB)]],
    "no index, in one event": [[piece("a", *ADD), piece("b", *SUB)]],
    "no id": [[piece(None, *ADD, index=0)], [piece(None, *SUB, index=1)]],
    "no id and no index": [[piece(None, *ADD)], [piece(None, *SUB)]],
    "neither, in one event": [[piece(None, *ADD), piece(None, *SUB)]],
    "empty ids": [[piece("", *ADD, index=0)], [piece("", *SUB, index=1)]],
    "numbers as ids": [[piece(7, *ADD, index=0)], [piece(8, *SUB, index=0)]],
    "fragments under one index": [
        [piece("a", "add", '{"x"', index=0)],
        [piece(None, None, ": 1}", index=0)],
        [piece("b", "sub", '{"y"', index=0)],
        [piece(None, None, ": 2}", index=0)],
    ],
    "fragments without an index": [
        [piece("a", "add", '{"x"')],
        [piece(None, None, ": 1}")],
        [piece("b", "sub", '{"y": 2}')],
    ],
    "the id with each fragment": [
        [piece("a", "add", '{"x"', index=0)],
        [piece("a", None, ": 1}", index=0)],
        [piece("b", "sub", '{"y": 2}', index=1)],
    ],
    "interleaved": [
        [piece("a", "add", '{"x"', index=0), piece("b", "sub", '{"y"', index=1)],
        [piece(None, None, ": 2}", index=1), piece(None, None, ": 1}", index=0)],
    ],
    "objects": [[piece("a", "add", {"x": 1}, index=0)], [piece("b", "sub", {"y": 2}, index=0)]],
}


@in_both
@pytest.mark.parametrize("form", STREAMED)
def test_two_calls_are_not_merged(form, mode, server, provide):
    """A new id begins a new call, whatever its index, and each call has its own id."""
    data = b"".join(event(choice({"tool_calls": pieces})) for pieces in STREAMED[form])
    server.script(StreamBytes(data + event(choice(finish="tool_calls")) + DONE))
    calls = call(provide(), mode).reply.tool_calls
    assert [(c.name, json.loads(c.arguments)) for c in calls] == [(n, json.loads(a)) for n, a in (ADD, SUB)]
    assert len({c.id for c in calls}) == 2
    assert all(c.id and isinstance(c.id, str) for c in calls)


WHOLE = {
    "as usual": [piece("a", *ADD), piece("b", *SUB)],
    "one index for both": [piece("a", *ADD, index=0), piece("b", *SUB, index=0)],
    "one index, no ids": [piece(None, *ADD, index=0), piece(None, *SUB, index=0)],
    "one id for both": [piece("a", *ADD), piece("a", *SUB)],
    "no ids": [piece(None, *ADD), piece(None, *SUB)],
    "empty ids": [piece("", *ADD), piece("", *SUB)],
    "numbers as ids": [piece(0, *ADD), piece(1, *SUB)],
    "objects": [piece("a", "add", {"x": 1}), piece("b", "sub", {"y": 2})],
}


@pytest.mark.parametrize("mode", ["invoke", "ainvoke"])
@pytest.mark.parametrize("form", WHOLE)
def test_each_entry_of_a_whole_answer_is_a_call(form, mode, server, provide):
    """Its id and index do not matter."""
    message = {"role": "assistant", "content": None, "tool_calls": WHOLE[form]}
    server.script(WrongShape({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}))
    reply = call(provide(), mode).reply
    found = [(c.name, json.loads(c.arguments)) for c in reply.tool_calls]
    assert found == [(n, json.loads(a)) for n, a in (ADD, SUB)]
    assert len({c.id for c in reply.tool_calls}) == 2
    assert reply.finish_reason is FinishReason.TOOL_CALL


@pytest.mark.parametrize("mode", MODES)
def test_the_legacy_form_is_read(mode, server, provide):
    """A server may send ``function_call``."""
    said = {"role": "assistant", "function_call": {"name": "add", "arguments": '{"x": 1}'}}
    server.script(WrongShape({"choices": [{"index": 0, "message": said, "finish_reason": "function_call"}]}))
    (found,) = call(provide(), mode).reply.tool_calls
    assert (found.name, found.arguments) == ADD
    assert found.id


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", [None, {}, {"arguments": "{}"}, {"name": "", "arguments": "{}"}])
def test_a_call_without_a_name_is_an_error(function, mode, server, provide):
    """The tool is unknown."""
    said = {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}
    server.script(WrongShape({"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}))
    assert isinstance(call(provide(), mode).error, InvalidReplyError)


ODD_ARGUMENTS = ['{"q": "Sat', "Saturday", "", '{"q": "\\ud83d"}', '{"q": NaN}', '["Sat"]', '{"q": "\ud83d"}']


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("arguments", ODD_ARGUMENTS, ids=ascii)
def test_arguments_can_be_sent_back(arguments, mode, server, provide):
    """Arguments that are cut, not an object or with odd characters can be part of the next request."""
    said = {"role": "assistant", "content": "", "tool_calls": [piece(None, "find", arguments)]}
    server.script(WrongShape({"choices": [{"index": 0, "message": said, "finish_reason": "tool_calls"}]}))
    provider = provide()
    calls = call(provider, mode).reply.tool_calls
    history = (
        Message(role="user", content="Who?"),
        Message(role="assistant", tool_calls=calls),
        Message(role="tool", tool_call_id=calls[0].id, content="invalid arguments"),
    )
    assert call(provider, mode, ChatRequest(messages=history)).text == "pong"
    sent = json.loads(server.requests[-1].body)
    assert sent["messages"][1]["tool_calls"][0]["id"] == sent["messages"][2]["tool_call_id"] == calls[0].id
