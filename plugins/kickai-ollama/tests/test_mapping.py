"""Translation of requests and replies."""

from __future__ import annotations

import json

import pytest
from attrs import evolve
from hypothesis import given
from kickai_providers_core import (
    ChatRequest,
    FinishReason,
    Image,
    InvalidReplyError,
    Message,
    Tool,
    ToolCall,
    UnsupportedRequestError,
    Usage,
)
from kickai_providers_core.testing import strategies
from ollama import ChatResponse

from kickai_ollama.mapping import ReplyReader, build_body
from kickai_ollama.settings import OllamaSettings

REQUEST = ChatRequest.of("Who can play?")
PARAMETERS = {
    "type": "object",
    "properties": {
        "day": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "squad": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
    },
    "required": ["day"],
    "additionalProperties": False,
}
TOOL = Tool(name="find_players", description="Finds players.", parameters=PARAMETERS)


def body(request=REQUEST, *, stream=False, **settings):
    """Return the body of a request."""
    return build_body(request, OllamaSettings(**settings), "m", stream=stream)


def part(**fields):
    """Return a part of an answer, as the client parses it."""
    message = {"role": "assistant", **fields.pop("message", {})}
    return ChatResponse(**{"model": "m", "message": message, **fields})


def test_a_plain_request_has_no_other_fields():
    """Only ``truncate`` is sent without a setting, so that the server drops no messages."""
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Who can play?"}],
        "stream": False,
        "options": {},
        "truncate": False,
    }


def test_every_field_has_its_option():
    """Each field of a request has Ollama's name for it, also with the value 0."""
    request = evolve(REQUEST, temperature=0.0, max_tokens=7, top_p=0.5, seed=0, stop=("END", "\n"))
    assert body(request)["options"] == {
        "temperature": 0.0,
        "num_predict": 7,
        "top_p": 0.5,
        "seed": 0,
        "stop": ["END", "\n"],
    }


def test_the_request_takes_precedence_over_the_options():
    """The options of the instance apply to the fields that the request omits."""
    options = {"temperature": 0.9, "top_k": 40}
    assert body(options=options)["options"] == options
    assert body(evolve(REQUEST, temperature=0.1), options=options)["options"] == {"temperature": 0.1, "top_k": 40}


@pytest.mark.parametrize(("setting", "sent"), [("5m", "5m"), ("300", 300.0), ("-1", -1.0), ("0", 0.0), (None, None)])
def test_keep_alive_is_a_number_or_a_duration(setting, sent):
    """Seconds are sent as a number, because Go does not parse a duration without a unit."""
    assert body(keep_alive=setting).get("keep_alive") == sent


@pytest.mark.parametrize(("setting", "sent"), [("off", False), ("on", True), ("high", "high"), (None, None)])
def test_thinking_is_a_boolean_or_a_level(setting, sent):
    """The setting is sent in the form that Ollama accepts, and omitted without a value."""
    assert body(think=setting).get("think") == sent


def test_truncating_can_be_left_to_the_server():
    """With ``truncate`` the server uses its default."""
    assert "truncate" not in body(truncate=True)


def test_schemas_are_sent_unchanged():
    """Neither the schema of a tool nor that of the answer loses a part, including nulls."""
    sent = body(evolve(REQUEST, tools=(TOOL,), json_schema=PARAMETERS))
    assert sent["format"] == PARAMETERS
    (tool,) = sent["tools"]
    assert tool == {
        "type": "function",
        "function": {"name": "find_players", "description": "Finds players.", "parameters": PARAMETERS},
    }


@pytest.mark.parametrize(
    ("choice", "offered", "omitted"),
    [(None, True, ()), ("auto", True, ()), ("none", False, ()), ("required", True, ("tool_choice",))],
)
def test_a_tool_choice_that_ollama_lacks_is_omitted(choice, offered, omitted):
    """Ollama cannot be made to call a tool: the reply names the omission. With ``none`` no tool is offered."""
    request = evolve(REQUEST, tools=(TOOL,), tool_choice=choice)
    assert ("tools" in body(request)) is offered
    answer = ReplyReader(request)
    answer.add(part(message={"content": "Ann."}, done=True))
    assert answer.build_last_chunk().omitted == omitted


def test_the_result_of_a_tool_names_the_tool():
    """The result of a call has the call's id, and the tool's name, which templates need."""
    call = ToolCall(id="call_1", name="find_players", arguments='{"day": "Sat"}')
    messages = (
        *REQUEST.messages,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="Ann", tool_call_id="call_1"),
    )
    _, calling, answered = body(evolve(REQUEST, messages=messages))["messages"]
    assert calling["tool_calls"] == [
        {"id": "call_1", "function": {"name": "find_players", "arguments": {"day": "Sat"}}}
    ]
    assert answered == {"role": "tool", "content": "Ann", "tool_call_id": "call_1", "tool_name": "find_players"}


def test_images_are_sent_as_data():
    """The bytes of an image are sent in base64."""
    message = Message(role="user", content="Who?", images=(Image(media_type="image/png", data=b"\x89PNG"),))
    assert body(evolve(REQUEST, messages=(message,)))["messages"][0]["images"] == ["iVBORw=="]


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", images=(Image(media_type="image/png", url="https://example.com/a.png"),)),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="not json"),)),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="[1]"),)),
    ],
    ids=["image by address", "arguments that are not JSON", "arguments that are not an object"],
)
def test_a_message_that_ollama_does_not_accept_is_unsupported(message):
    """The error lets the chain call the next target."""
    with pytest.raises(UnsupportedRequestError):
        body(evolve(REQUEST, messages=(message,)))


@given(strategies.requests())
def test_any_request_becomes_json(request):
    """Every request becomes a typed error, or JSON with the text of every message in order."""
    try:
        sent = json.loads(json.dumps(build_body(request, OllamaSettings(), "m", stream=True)))
    except UnsupportedRequestError:
        return
    assert [message["content"] for message in sent["messages"]] == [message.content for message in request.messages]


def test_a_whole_answer():
    """The reply has the text, finish reason, token counts, model and omissions."""
    whole = part(message={"content": "Ann."}, done=True, done_reason="stop", prompt_eval_count=9, eval_count=2)
    reply = ReplyReader(evolve(REQUEST, tools=(TOOL,), tool_choice="required")).build(whole)
    assert (reply.text, reply.finish_reason, reply.model) == ("Ann.", FinishReason.STOP, "m")
    assert reply.usage == Usage(input_tokens=9, output_tokens=2)
    assert reply.omitted == ("tool_choice",)


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", "stop"),
        ("length", "length"),
        (None, "stop"),
        ("", "stop"),
        ("some_day_new", "stop"),
    ],
)
def test_finish_reasons(reason, finish):
    """An answer that is done without a reason, as from old servers, is a stop."""
    assert (
        ReplyReader(REQUEST).build(part(message={"content": "x"}, done=True, done_reason=reason)).finish_reason
        == finish
    )


def test_tool_calls_of_a_stream_decide_the_finish_reason():
    """A call in an earlier part decides the finish reason; each call has an id of its own."""
    calls = [{"function": {"name": "f", "arguments": {"ü": 1}}}, {"function": {"name": "f", "arguments": {}}}]
    answer = ReplyReader(REQUEST)
    first = answer.add(part(message={"content": "", "tool_calls": calls}, done=False))
    answer.add(part(message={"content": ""}, done=True, done_reason="stop"))
    last = answer.build_last_chunk()
    assert first.finish_reason is None
    assert [call.arguments for call in last.tool_calls] == ['{"ü":1}', "{}"]
    assert len({call.id for call in last.tool_calls}) == 2
    assert last.finish_reason is FinishReason.TOOL_CALL


def test_thinking_becomes_chunks_without_text():
    """A chunk without text keeps the idle timeout from expiring, and has the reasoning."""
    answer = ReplyReader(REQUEST)
    chunk = answer.add(part(message={"thinking": "Hm."}, done=False))
    assert (chunk.text, chunk.reasoning) == ("", "Hm.")
    assert answer.add(part(message={"content": "Ann."}, done=True)).text == "Ann."
    assert (
        ReplyReader(REQUEST).build(part(message={"content": "Ann.", "thinking": "Hm."}, done=True)).reasoning == "Hm."
    )


@pytest.mark.parametrize(
    ("message", "reason", "part_of_message"),
    [
        ({"content": ""}, "stop", "the answer is empty"),
        ({"thinking": "Hm."}, "length", "the model only thought; raise max_tokens, or set think"),
        ({"content": ""}, "load", "done_reason load"),
        ({"content": ""}, "unload", "done_reason unload"),
    ],
)
def test_an_empty_answer_is_an_error(message, reason, part_of_message):
    """The error of an answer without text and calls contains the reason."""
    with pytest.raises(InvalidReplyError, match=part_of_message):
        ReplyReader(REQUEST).build(part(message=message, done=True, done_reason=reason))


@pytest.mark.parametrize("done", [False, None])
def test_an_answer_that_is_not_done_is_an_error(done):
    """A whole answer and the end of a stream must both say that the answer is done."""
    with pytest.raises(InvalidReplyError, match="cut"):
        ReplyReader(REQUEST).build(part(message={"content": "Ann."}, done=done))
    answer = ReplyReader(REQUEST)
    answer.add(part(message={"content": "Ann."}, done=done))
    with pytest.raises(InvalidReplyError, match="cut"):
        answer.build_last_chunk()


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({}, None),
        ({"eval_count": 2}, Usage(input_tokens=0, output_tokens=2)),
        ({"prompt_eval_count": 3}, Usage(input_tokens=3, output_tokens=0)),
    ],
)
def test_a_missing_token_count_is_zero(counts, usage):
    """The server omits a count of zero; without both counts, it did not count."""
    assert ReplyReader(REQUEST).build(part(message={"content": "x"}, done=True, **counts)).usage == usage


def test_a_result_names_the_tool_of_the_latest_call_with_its_id():
    """Services that number their calls anew in each answer use one id for several tools."""
    turns = []
    for name in ("find_players", "book_pitch"):
        turns += [
            Message(role="assistant", tool_calls=(ToolCall(id="call_0", name=name, arguments="{}"),)),
            Message(role="tool", tool_call_id="call_0", content=f"{name} is done"),
        ]
    sent = body(ChatRequest(messages=(*REQUEST.messages, *turns)))["messages"]
    assert [message["tool_name"] for message in sent if message["role"] == "tool"] == ["find_players", "book_pitch"]


def test_options_go_to_the_model_or_to_the_server():
    """An option of the call outranks the setting, and a field of the request outranks both."""
    own = {"top_k": 40, "num_ctx": 8192, "think": "high", "keep_alive": "5m"}
    request = evolve(REQUEST, seed=3, options={"ollama": own})
    made = body(request, options={"top_k": 10, "seed": 1}, think="off", keep_alive="1m")
    assert made["options"] == {"top_k": 40, "num_ctx": 8192, "seed": 3}
    assert (made["think"], made["keep_alive"]) == ("high", "5m")
