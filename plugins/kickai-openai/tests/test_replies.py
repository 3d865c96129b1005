"""What services answer: reasoning apart from the answer, refusals, token counts, tool calls in odd forms."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from calling import MODES, call
from kickai_providers_core import ChatRequest, ContentFilteredError, FinishReason
from kickai_providers_core.testing.chat_completions import Body, StreamBytes
from kickai_providers_core.testing.faults import Status

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "prompt_tokens_details": {"cached_tokens": 8},
    "completion_tokens_details": {"reasoning_tokens": 3},
    "cost": 0.000002,
}


def answer(mode, *messages, finish="stop", **more):
    """Return the fault that answers with these messages, each one an event of a stream."""
    if mode in {"invoke", "ainvoke"}:
        whole = {name: value for message in messages for name, value in message.items()}
        return Body(json.dumps({"choices": [{"message": whole, "finish_reason": finish}], **more}).encode())
    deltas = [{"delta": message, "finish_reason": None} for message in messages]
    events = [{"choices": [choice]} for choice in (*deltas, {"delta": {}, "finish_reason": finish})]
    events.append({"choices": [], **more})
    data = "".join(f": OPENROUTER PROCESSING\n\ndata: {json.dumps(event)}\n\n" for event in events)
    return StreamBytes(f"{data}data: [DONE]\n\n".encode(), size=7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_apart_from_the_answer(name, mode, server, provide):
    """DeepSeek, Groq, OpenRouter and vLLM name it differently."""
    server.script(answer(mode, {name: "Friday, then"}, {"content": "Saturday"}, usage=USAGE))
    reply = call(provide(), mode).reply
    assert (reply.text, reply.reasoning) == ("Saturday", "Friday, then")
    usage = reply.usage
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.reasoning_tokens) == (9, 4, 8, 3)
    assert usage.cost_nano_usd == 2000


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("message", "finish"), [({"refusal": "I cannot help with that."}, "stop"), ({"content": "Well"}, "content_filter")]
)
def test_a_refusal_is_content_filtered(message, finish, mode, server, provide):
    """The error does not repeat the refusal."""
    server.script(answer(mode, message, finish=finish))
    error = call(provide(), mode).error
    assert type(error) is ContentFilteredError
    assert "cannot help" not in str(error)


@pytest.mark.parametrize("mode", MODES)
def test_tool_calls_without_ids_get_some(mode, server, provide):
    """And a stop becomes the finish reason of a tool call."""
    calls = [{"index": n, "function": {"name": "find", "arguments": f'{{"n": {n}}}'}} for n in (0, 1)]
    server.script(answer(mode, {"tool_calls": calls}))
    tools = [{"type": "function", "function": {"name": "find", "parameters": {"type": "object"}}}]
    reply = call(provide(), mode, evolve(ChatRequest.of("who?"), tools=tools)).reply
    assert [one.arguments for one in reply.tool_calls] == ['{"n": 0}', '{"n": 1}']
    assert len({one.id for one in reply.tool_calls} - {""}) == 2
    assert reply.finish_reason is FinishReason.TOOL_CALL


@pytest.mark.parametrize("mode", MODES)
def test_one_call_is_one_request(mode, server, provide):
    """There are no hidden retries; the vendor's client makes three requests."""
    server.default = Status(503, "", {"retry-after": "0"})
    assert call(provide(), mode).error is not None
    assert len(server.requests) == 1
