"""The Chat Completions protocol: what is sent, and how answers of every form are read."""

from __future__ import annotations

import asyncio
import json
from types import MappingProxyType

import pytest

from kickai_providers_core import (
    ChatRequest,
    ContentFilteredError,
    FinishReason,
    Image,
    InvalidReplyError,
    Message,
    ProviderUnavailableError,
    RateLimitedError,
    Tool,
    ToolCall,
    Usage,
)
from kickai_providers_core.authoring import ServerSentEvent, dump_bytes, openai_chat

PING = ChatRequest.of("ping")
USAGE = {"prompt_tokens": 11, "completion_tokens": 5}
COUNTED = Usage(input_tokens=11, output_tokens=5)


def _request(**fields):
    return ChatRequest(messages=PING.messages, **fields)


def test_only_what_was_requested_is_sent():
    """What a request leaves to the provider is absent, not null."""
    assert openai_chat.encode(PING, model=None, stream=False) == {
        "messages": [{"role": "user", "content": "ping"}],
        "stream": False,
    }


def test_every_parameter_is_sent():
    """Zero is a value, the stop texts keep their order, and a stream counts its tokens."""
    request = _request(temperature=0.0, max_tokens=9, top_p=0.5, stop=("b", "a"), seed=0)
    body = openai_chat.encode(request, model="m", stream=True)
    assert (body["model"], body["stream"], body["stream_options"]) == ("m", True, {"include_usage": True})
    assert (body["temperature"], body["max_tokens"], body["top_p"], body["seed"]) == (0.0, 9, 0.5, 0)
    assert body["stop"] == ["b", "a"]


def test_a_conversation_is_sent_whole():
    """Images, tool calls and their results keep their places; the arguments are what the model wrote."""
    calls = (ToolCall(id="c", name="f", arguments='{ "x": 1}'),)
    images = (Image(media_type="image/png", data=b"x"), Image(media_type="image/png", url="https://e.org/a.png"))
    messages = (
        Message(role="user", content="look", images=images),
        Message(role="assistant", content="", tool_calls=calls),
        Message(role="tool", content="1", tool_call_id="c"),
    )
    first, second, third = openai_chat.encode(ChatRequest(messages=messages), model="m", stream=False)["messages"]
    assert first["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}},
    ]
    function = {"name": "f", "arguments": '{ "x": 1}'}
    assert second["tool_calls"] == [{"id": "c", "type": "function", "function": function}]
    assert third == {"role": "tool", "content": "1", "tool_call_id": "c"}


@pytest.mark.parametrize(
    ("choice", "sent"),
    [("auto", "auto"), ("required", "required"), ("f", {"type": "function", "function": {"name": "f"}}), (None, None)],
)
def test_tools_are_sent_as_functions(choice, sent):
    """A schema keeps its nulls, and may be any mapping."""
    parameters = MappingProxyType({"properties": MappingProxyType({"a": {"default": None, "enum": ("x",)}})})
    tool = Tool(name="f", description="d", parameters=parameters)
    body = openai_chat.encode(_request(tools=(tool,), tool_choice=choice), model="m", stream=False)
    plain = {"properties": {"a": {"default": None, "enum": ["x"]}}}
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "description": "d", "parameters": plain}}]
    assert body.get("tool_choice") == sent
    assert json.loads(json.dumps(body)) == json.loads(dump_bytes(body)) == body


def test_a_schema_is_sent_strictly():
    """The protocol wants a name for it."""
    body = openai_chat.encode(_request(json_schema={"type": "object"}), model="m", stream=False)
    expected = {"name": "reply", "schema": {"type": "object"}, "strict": True}
    assert body["response_format"] == {"type": "json_schema", "json_schema": expected}


def _whole(finish="stop", usage=USAGE, **message):
    return {
        "id": "r1",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
        "usage": usage,
    }


def _event(delta=None, finish=None, **more):
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return ServerSentEvent(data=json.dumps({"model": "m", "choices": choices, **more}))


DONE = ServerSentEvent(data="[DONE]")


def _stream(*events, request=None, is_async=False, **fields):
    decoder = openai_chat.ChatDecoder(request, **fields)
    if not is_async:
        return list(openai_chat.decode_stream(events, decoder))

    async def source():
        for event in events:
            yield event

    async def collect():
        return [chunk async for chunk in openai_chat.adecode_stream(source(), decoder)]

    return asyncio.run(collect())


def _text(chunks):
    return "".join(chunk.text for chunk in chunks)


def test_a_whole_answer_is_read():
    """Text, model, tokens, reason and the name of the request."""
    reply = openai_chat.decode(_whole(content="pong"))
    assert (reply.text, reply.model, reply.request_id, reply.usage) == ("pong", "m", "r1", COUNTED)
    assert reply.finish_reason is FinishReason.STOP
    assert openai_chat.decode(_whole(content="pong"), request_id="header").request_id == "header"
    assert openai_chat.decode(_whole(content="pong"), omitted=("seed",)).omitted == ("seed",)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_stream_is_read(is_async):
    """Text comes as it arrives; tokens, tool calls and the reason come with the last chunk."""
    events = (
        _event({"role": "assistant", "content": None}),
        _event({"content": "po"}),
        ServerSentEvent(data=""),
        _event({"content": "ng"}),
        _event({}, "stop"),
        _event(usage=USAGE),
        DONE,
        _event({"content": "never read"}),
    )
    chunks = _stream(*events, is_async=is_async)
    assert [chunk.text for chunk in chunks] == ["po", "ng", "", ""]
    assert [chunk.finish_reason for chunk in chunks] == [None, None, None, FinishReason.STOP]
    assert (chunks[-1].usage, chunks[-1].model) == (COUNTED, "m")


def test_reasoning_shows_that_the_model_is_at_work():
    """It gives chunks without text, and is not part of the answer."""
    chunks = _stream(_event({"reasoning_content": "hm"}), _event({"reasoning": "hm"}), _event({"content": "5"}, "stop"))
    assert [chunk.text for chunk in chunks] == ["", "", "5", ""]
    assert [chunk.reasoning for chunk in chunks] == ["hm", "hm", "", ""]


@pytest.mark.parametrize(
    ("message", "reasoning"),
    [
        ({"content": "5", "reasoning_content": "hm", "reasoning": "hm"}, "hm"),
        ({"content": "5", "reasoning": None, "thinking": "hm\ud83d\ude00"}, "hm\U0001f600"),
        ({"content": "5", "reasoning": [{"data": "encrypted"}]}, ""),
        ({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "5"}]}, "hm"),
        ({"content": [{"type": "redacted_thinking", "data": "x"}, {"type": "text", "text": "5"}]}, ""),
    ],
)
def test_a_whole_answer_keeps_reasoning_apart(message, reasoning):
    """Two fields with the same reasoning count once, and what is not text is left out."""
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    reply = openai_chat.decode({"choices": [choice]})
    assert (reply.text, reply.reasoning) == ("5", reasoning)


@pytest.mark.parametrize("delta", [{}, {"role": "assistant"}, {"content": None}, {"content": ""}])
def test_an_event_without_news_gives_no_chunk(delta):
    """It does not show that the model is at work."""
    assert len(_stream(_event(delta), _event(), _event({"content": "a"}, "stop"))) == 2


def test_tool_calls_come_whole_with_the_last_chunk():
    """Pieces of calls are signs of life."""
    chunks = _stream(
        _event({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f"}}]}),
        _event({"tool_calls": [{"index": 0, "function": {"arguments": '{"x": 1}'}}]}),
        _event({}, "tool_calls"),
    )
    assert [len(chunk.tool_calls) for chunk in chunks] == [0, 0, 0, 1]
    assert chunks[-1].tool_calls == (ToolCall(id="a", name="f", arguments='{"x": 1}'),)


@pytest.mark.parametrize("ids", [("a", "a"), (None, None), (1, 2)])
def test_calls_of_a_whole_answer_are_never_merged(ids):
    """Each entry is a call, though its index or id may be another's."""
    calls = [{"id": id_, "index": 0, "function": {"name": "f", "arguments": "{}"}} for id_ in ids]
    found = openai_chat.decode(_whole("tool_calls", tool_calls=calls)).tool_calls
    assert len(found) == len({call.id for call in found}) == 2


def test_the_form_before_tools_is_read():
    """A function_call has no id."""
    (call,) = openai_chat.decode(_whole(function_call={"name": "f", "arguments": "{}"})).tool_calls
    assert (call.name, bool(call.id)) == ("f", True)


def test_arguments_as_an_object_are_read():
    """Older servers send them so."""
    calls = [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}]
    assert openai_chat.decode(_whole(tool_calls=calls)).tool_calls[0].arguments == '{"x":1}'


@pytest.mark.parametrize("word", ["stop", "STOP", "eos_token", "end_turn", "COMPLETE"])
def test_words_for_the_end_are_known(word):
    """Services have words of their own."""
    assert openai_chat.decode(_whole(word, content="x")).finish_reason is FinishReason.STOP


def test_content_in_parts_is_joined():
    """Reasoning parts are left out; a refusal without text is an answer that was withheld."""
    parts = [{"type": "text", "text": "a"}, {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}]
    assert openai_chat.decode(_whole(content=parts)).text == "ab"
    for refusal in ({"content": [{"type": "refusal", "refusal": "no"}]}, {"content": None, "refusal": "no"}):
        with pytest.raises(ContentFilteredError):
            openai_chat.decode(_whole(**refusal))


@pytest.mark.parametrize("usage", [None, 7, [], {}, {"prompt_tokens": "11"}, {"prompt_tokens": 1}])
def test_a_count_that_is_incomplete_is_none(usage):
    """The answer counts all the same."""
    assert openai_chat.decode(_whole(content="x", usage=usage)).usage is None


def test_details_of_the_count_are_read():
    """Cached and reasoning tokens."""
    details = {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 2}}
    usage = openai_chat.decode(_whole(content="x", usage=USAGE | details)).usage
    assert (usage.cached_tokens, usage.reasoning_tokens) == (4, 2)


@pytest.mark.parametrize(
    ("cost", "nano_usd"),
    [(0.00095, 950_000), (0, 0), (1, 10**9), (None, None), ("0.1", None), (True, None), (-1, None), (1e7, None)],
)
def test_a_stated_cost_is_read(cost, nano_usd):
    """OpenRouter states the cost of an answer in US dollars; what is not an amount is ignored."""
    usage = openai_chat.decode(_whole(content="x", usage=USAGE | {"cost": cost})).usage
    assert usage.cost_nano_usd == nano_usd


MALFORMED = [
    *(None, [], 7, "x", {}, {"choices": 7}, {"choices": [7]}, {"choices": [{"index": "a"}]}, {"choices": None}),
    {"choices": [{"index": 0}]},
    {"choices": [{"finish_reason": "tired", "message": {"content": "x"}}]},
    {"choices": [{"finish_reason": 7, "message": {"content": "x"}}]},
    {"choices": [{"message": 7}]},
    {"choices": [{"message": {"content": 7}}]},
    {"choices": [{"message": {"content": [7]}}]},
    {"choices": [{"message": {"content": [{"type": "audio"}]}}]},
    {"choices": [{"message": {"tool_calls": 7}}]},
    {"choices": [{"message": {"tool_calls": [7]}}]},
    {"choices": [{"message": {"tool_calls": [{"type": "web"}]}}]},
    {"choices": [{"message": {"tool_calls": [{"function": {"name": "f", "arguments": 7}}]}}]},
    {"choices": [{"message": {"tool_calls": [{"function": {"arguments": "{}"}}]}, "finish_reason": "stop"}]},
]


@pytest.mark.parametrize("document", MALFORMED, ids=str)
def test_what_the_protocol_does_not_allow_is_an_error(document):
    """In whole answers and in streams; the error has no context that could show the answer."""
    for read in (openai_chat.decode, lambda found: _stream(ServerSentEvent(data=json.dumps(found)))):
        with pytest.raises(InvalidReplyError) as caught:
            read(document)
        assert caught.value.__cause__ is None


def test_other_answers_are_ignored():
    """A service may send several, though one was requested."""
    choices = [
        {"index": 1, "message": {"content": "b"}},
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
    ]
    assert openai_chat.decode({"choices": choices}).text == "a"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (ServerSentEvent(data='{"error": {"message": "rate limit reached", "code": 429}}'), RateLimitedError),
        (ServerSentEvent(data='{"error": {"message": "rate limit reached"}}'), RateLimitedError),
        (ServerSentEvent(data='{"object": "error", "message": "canary"}'), ProviderUnavailableError),
        (ServerSentEvent(event="error", data='{"message": "canary", "status": 429}'), RateLimitedError),
        (ServerSentEvent(event="error", data="canary"), ProviderUnavailableError),
        (ServerSentEvent(event="error", data="7"), ProviderUnavailableError),
        (ServerSentEvent(event="error", data="0"), ProviderUnavailableError),
    ],
)
def test_an_error_within_a_stream_is_raised(event, kind):
    """By its code, or by its words, which the error does not repeat."""
    with pytest.raises(kind) as caught:
        _stream(_event({"content": "a"}), event)
    assert "canary" not in str(caught.value)


def test_an_event_that_is_null_is_an_error():
    """An event that cannot be read may hold a part of the answer, so it is not skipped."""
    with pytest.raises(InvalidReplyError):
        openai_chat.parse_event(ServerSentEvent(data="null"))


def test_a_cut_stream_is_an_error():
    """Neither the end of the bytes nor ``[DONE]`` replaces a finish reason."""
    for end in ((), (DONE,)):
        with pytest.raises(InvalidReplyError, match="cut"):
            _stream(_event({"content": "a"}), *end)


def test_text_after_the_finish_reason_is_read():
    """An early finish reason does not end the answer."""
    assert _text(_stream(_event({"content": "a"}, "stop"), _event({"content": "b"}))) == "ab"


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_stop_text_ends_the_answer(is_stream):
    """A service that ignores it, or repeats it, is cut off there."""
    request = _request(stop=("END",))
    if is_stream:
        chunks = _stream(*(_event({"content": letter}) for letter in "a END b"), _event({}, "length"), request=request)
        found = (_text(chunks), chunks[-1].finish_reason)
    else:
        reply = openai_chat.decode(_whole("length", content="a END b"), request)
        found = (reply.text, reply.finish_reason)
    assert found == ("a ", FinishReason.STOP)


def test_a_decoder_knows_whether_the_answer_has_ended():
    """After the finish reason a broken connection takes nothing away."""
    decoder = openai_chat.ChatDecoder()
    decoder.add(openai_chat.parse_event(_event({"content": "a"}, "stop")))
    assert decoder.is_finished
    decoder.add(openai_chat.parse_event(_event(usage=USAGE)))
    assert decoder.is_finished
    decoder.add(openai_chat.parse_event(_event({"content": "b"})))
    assert not decoder.is_finished
