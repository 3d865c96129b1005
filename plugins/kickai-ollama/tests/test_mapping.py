"""Requests and replies in Ollama's words."""

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

from kickai_ollama.mapping import Answer, build_body
from kickai_ollama.settings import OllamaSettings

ASKED = ChatRequest.of("Who can play?")
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


def body(request=ASKED, *, stream=False, **settings):
    """Return the body of a request."""
    return build_body(request, OllamaSettings(**settings), "m", stream=stream)


def part(**fields):
    """Return a part of an answer as the client hands it over."""
    message = {"role": "assistant", **fields.pop("message", {})}
    return ChatResponse(**{"model": "m", "message": message, **fields})


def test_a_plain_request_says_nothing_that_was_not_asked():
    """What nobody chose is left to the server, but for silently dropping messages."""
    assert body() == {
        "model": "m",
        "messages": [{"role": "user", "content": "Who can play?"}],
        "stream": False,
        "options": {},
        "truncate": False,
    }


def test_every_field_has_its_option():
    """Each field of a request goes under Ollama's name for it, zero included."""
    request = evolve(ASKED, temperature=0.0, max_tokens=7, top_p=0.5, seed=0, stop=("END", "\n"))
    assert body(request)["options"] == {
        "temperature": 0.0,
        "num_predict": 7,
        "top_p": 0.5,
        "seed": 0,
        "stop": ["END", "\n"],
    }


def test_settings_fill_in_and_the_request_wins():
    """The instance's options hold where the request says nothing."""
    options = {"temperature": 0.9, "top_k": 40}
    assert body(options=options)["options"] == options
    assert body(evolve(ASKED, temperature=0.1), options=options)["options"] == {"temperature": 0.1, "top_k": 40}


@pytest.mark.parametrize(("told", "sent"), [("5m", "5m"), ("300", 300.0), ("-1", -1.0), ("0", 0.0), (None, None)])
def test_keep_alive_is_a_number_or_a_duration(told, sent):
    """Seconds go as a number, since Go takes no duration without a unit."""
    assert body(keep_alive=told).get("keep_alive") == sent


@pytest.mark.parametrize(("told", "sent"), [("off", False), ("on", True), ("high", "high"), (None, None)])
def test_thinking_is_a_truth_value_or_a_level(told, sent):
    """Thinking goes as Ollama takes it, and not at all when nobody chose."""
    assert body(think=told).get("think") == sent


def test_truncating_can_be_left_to_the_server():
    """With ``truncate`` the server does what it does by default."""
    assert "truncate" not in body(truncate=True)


def test_schemas_go_as_they_are():
    """Neither a tool's schema nor the answer's loses a part, nulls included."""
    sent = body(evolve(ASKED, tools=(TOOL,), json_schema=PARAMETERS))
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
def test_a_choice_that_ollama_lacks_is_named(choice, offered, omitted):
    """Ollama cannot be made to call a tool: that wish is left out and named; to call none, none is offered."""
    request = evolve(ASKED, tools=(TOOL,), tool_choice=choice)
    assert ("tools" in body(request)) is offered
    answer = Answer(request)
    answer.add(part(message={"content": "Ann."}, done=True))
    assert answer.build_last_chunk().omitted == omitted


def test_a_tools_answer_names_its_tool():
    """The answer to a call goes with the call's id and with the tool's name, which templates need."""
    call = ToolCall(id="call_1", name="find_players", arguments='{"day": "Sat"}')
    messages = (
        *ASKED.messages,
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", content="Ann", tool_call_id="call_1"),
    )
    _, asked, answered = body(evolve(ASKED, messages=messages))["messages"]
    assert asked["tool_calls"] == [{"id": "call_1", "function": {"name": "find_players", "arguments": {"day": "Sat"}}}]
    assert answered == {"role": "tool", "content": "Ann", "tool_call_id": "call_1", "tool_name": "find_players"}


def test_pictures_go_as_data():
    """A picture's bytes go in base64."""
    message = Message(role="user", content="Who?", images=(Image(media_type="image/png", data=b"\x89PNG"),))
    assert body(evolve(ASKED, messages=(message,)))["messages"][0]["images"] == ["iVBORw=="]


@pytest.mark.parametrize(
    "message",
    [
        Message(role="user", images=(Image(media_type="image/png", url="https://example.com/a.png"),)),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="not json"),)),
        Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments="[1]"),)),
    ],
    ids=["picture by address", "arguments that are no JSON", "arguments that are no object"],
)
def test_what_ollama_does_not_take_goes_to_the_next_target(message):
    """What only Ollama does not take is an unsupported request, so that the next target is called."""
    with pytest.raises(UnsupportedRequestError):
        body(evolve(ASKED, messages=(message,)))


@given(strategies.requests())
def test_any_request_becomes_json(request):
    """Whatever is asked is either refused with a typed error, or JSON that holds every message's text in order."""
    try:
        sent = json.loads(json.dumps(build_body(request, OllamaSettings(), "m", stream=True)))
    except UnsupportedRequestError:
        return
    assert [message["content"] for message in sent["messages"]] == [message.content for message in request.messages]


def test_a_whole_answer():
    """Text, finish reason, tokens and model arrive."""
    told = part(message={"content": "Ann."}, done=True, done_reason="stop", prompt_eval_count=9, eval_count=2)
    reply = Answer(evolve(ASKED, tools=(TOOL,), tool_choice="required")).build(told)
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
    """Ollama's reasons are ours; an answer that is done and gives none, as of old servers, is whole."""
    assert Answer(ASKED).build(part(message={"content": "x"}, done=True, done_reason=reason)).finish_reason == finish


def test_calls_of_a_stream_are_the_finish_reason():
    """A call that came in an earlier part makes the last part's reason; each call has an id of its own."""
    calls = [{"function": {"name": "f", "arguments": {"ü": 1}}}, {"function": {"name": "f", "arguments": {}}}]
    answer = Answer(ASKED)
    first = answer.add(part(message={"content": "", "tool_calls": calls}, done=False))
    answer.add(part(message={"content": ""}, done=True, done_reason="stop"))
    last = answer.build_last_chunk()
    assert first.finish_reason is None
    assert [call.arguments for call in last.tool_calls] == ['{"ü":1}', "{}"]
    assert len({call.id for call in last.tool_calls}) == 2
    assert last.finish_reason is FinishReason.TOOL_CALL


def test_thinking_is_no_text_but_a_sign_of_life():
    """A part of the thinking becomes a chunk without text, so that no timeout runs out meanwhile."""
    answer = Answer(ASKED)
    assert answer.add(part(message={"thinking": "Hm."}, done=False)).text == ""
    assert answer.add(part(message={"content": "Ann."}, done=True)).text == "Ann."


@pytest.mark.parametrize(
    ("message", "reason", "told"),
    [
        ({"content": ""}, "stop", "the answer is empty"),
        ({"thinking": "Hm."}, "length", "the model only thought; raise max_tokens, or set think"),
        ({"content": ""}, "load", "done_reason load"),
        ({"content": ""}, "unload", "done_reason unload"),
    ],
)
def test_an_empty_answer_is_no_answer(message, reason, told):
    """An answer with neither text nor calls is an error that says why."""
    with pytest.raises(InvalidReplyError, match=told):
        Answer(ASKED).build(part(message=message, done=True, done_reason=reason))


@pytest.mark.parametrize("done", [False, None])
def test_an_answer_that_is_not_done_is_no_answer(done):
    """An answer that comes whole must say that it is done, and so must the end of a stream."""
    with pytest.raises(InvalidReplyError, match="cut"):
        Answer(ASKED).build(part(message={"content": "Ann."}, done=done))
    answer = Answer(ASKED)
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
def test_a_count_of_zero_is_left_out_by_the_server(counts, usage):
    """One count without the other means zero for the other; none at all means that the server did not count."""
    assert Answer(ASKED).build(part(message={"content": "x"}, done=True, **counts)).usage == usage


def test_a_result_has_the_name_of_the_latest_call_with_its_id():
    """Services that number their calls anew in each answer use one id for several functions."""
    turns = []
    for name in ("find_players", "book_pitch"):
        turns += [
            Message(role="assistant", tool_calls=(ToolCall(id="call_0", name=name, arguments="{}"),)),
            Message(role="tool", tool_call_id="call_0", content=f"{name} is done"),
        ]
    sent = body(ChatRequest(messages=(*ASKED.messages, *turns)))["messages"]
    assert [message["tool_name"] for message in sent if message["role"] == "tool"] == ["find_players", "book_pitch"]
