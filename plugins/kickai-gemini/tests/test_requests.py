"""What a request looks like in the service's JSON."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from types import MappingProxyType

import pytest
from hypothesis import given
from kickai_providers_core import (
    ChatRequest,
    Image,
    Message,
    ModelNotFoundError,
    Tool,
    ToolCall,
    UnsupportedRequestError,
)
from kickai_providers_core.testing import strategies

from kickai_gemini.mapping import build_request
from kickai_gemini.settings import GeminiSettings

OLD, NEW = "gemini-3.1-flash-lite", "gemini-3.8-flash"
SCHEMA = {"type": "object", "properties": {"day": {"type": "string", "pattern": "S.*"}}, "required": ["day"]}
CALL = ToolCall(id="call-7", name="who_can_play", arguments='{"day": "Saturday"}')


def body(*messages, model=OLD, is_current=True, settings=None, **fields):
    """Return the JSON of a request."""
    return ask(*messages, model=model, is_current=is_current, settings=settings, **fields).body


def ask(*messages, model=OLD, is_current=True, settings=None, **fields):
    """Return a request in the service's words."""
    request = ChatRequest(messages=messages or (Message(role="user", content="ping"),), **fields)
    return build_request(request, model, settings or GeminiSettings(), is_current=is_current)


def test_a_small_request_holds_nothing_but_its_words():
    """What the request leaves open is left to the service."""
    assert body() == {"contents": [{"role": "user", "parts": [{"text": "ping"}]}]}


def test_system_messages_are_the_system_instruction():
    """The system's words stand in a place of their own, the turns keep their order."""
    turns = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("system", "Be kind."), ("user", "c")]
    made = body(*(Message(role=role, content=text) for role, text in turns))
    assert made["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert [(turn["role"], turn["parts"][0]["text"]) for turn in made["contents"]] == [
        ("user", "a"),
        ("model", "b"),
        ("user", "c"),
    ]


def test_system_words_alone_are_asked_as_the_user_s():
    """The service wants at least one turn, so a request of the system's words alone is one."""
    made = body(Message(role="system", content="Say hello."))
    assert made == {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}


def test_messages_of_one_speaker_in_a_row_are_one_turn():
    """Two messages of the user's become one turn with two parts."""
    made = body(Message(role="user", content="a"), Message(role="user", content="b"))
    assert made["contents"] == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]


def test_a_tool_s_call_and_its_answer_are_told_apart_by_id():
    """The assistant's call, and what the tool said, go back under the call's id and name; text becomes an object."""
    made = body(
        Message(role="user", content="Who?"),
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", content="Ann, Bob", tool_call_id="call-7"),
    )
    call, answer = made["contents"][1]["parts"][0], made["contents"][2]["parts"][0]
    assert call["functionCall"] == {"id": "call-7", "name": "who_can_play", "args": {"day": "Saturday"}}
    told = {"id": "call-7", "name": "who_can_play", "response": {"result": "Ann, Bob"}}
    assert (made["contents"][2]["role"], answer["functionResponse"]) == ("user", told)


def test_an_object_that_a_tool_answers_stays_one():
    """JSON objects are the service's own form of an answer."""
    made = body(
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", content='{"players": ["Ann"]}', tool_call_id="call-7"),
    )
    assert made["contents"][1]["parts"][0]["functionResponse"]["response"] == {"players": ["Ann"]}


def test_calls_carry_a_stand_in_for_their_signature_where_the_client_can_send_one():
    """Gemini 3 refuses a call without a signature: the first of a turn gets the documented stand-in."""
    message = Message(role="assistant", tool_calls=(CALL, CALL))
    first, second = body(message)["contents"][0]["parts"]
    assert base64.b64decode(first["thoughtSignature"]) == b"skip_thought_signature_validator"
    assert "thoughtSignature" not in second
    assert "thoughtSignature" not in body(message, is_current=False)["contents"][0]["parts"][0]


WHO = ToolCall(id="1", name="f", arguments="{}")


@pytest.mark.parametrize(
    "messages",
    [
        (Message(role="tool", content="Ann", tool_call_id="unheard-of"),),
        (Message(role="tool", content="Ann"),),
        (Message(role="assistant", tool_calls=(WHO,)), *[Message(role="tool", content="a", tool_call_id="1")] * 2),
        *[
            (Message(role="assistant", tool_calls=(ToolCall(id="1", name="f", arguments=text),)),)
            for text in ("[1]", "{half", "7", '"text"', '{"a": NaN}', '{"a": 1e999}')
        ],
        *[
            (Message(role="assistant", tool_calls=(ToolCall(id="1", name=name, arguments="{}"),)),)
            for name in ("two words", "1st", "na\u00efve", "x" * 129, "f\n")
        ],
    ],
)
@pytest.mark.parametrize("is_current", [True, False])
def test_a_conversation_that_gemini_does_not_take_is_unsupported(messages, is_current):
    """An answer to no call, arguments that are no object, names that the service refuses: another provider may do."""
    with pytest.raises(UnsupportedRequestError):
        body(*messages, is_current=is_current)


def turns(ids, answers):
    """Return what is sent for calls with these ids, answered under others: pairs of id and name, asked and answered."""
    calls = tuple(ToolCall(id=each, name=f"f{number}", arguments="{}") for number, each in enumerate(ids))
    results = (Message(role="tool", content="a", tool_call_id=each) for each in answers)
    made = body(Message(role="user", content="?"), Message(role="assistant", tool_calls=calls), *results)["contents"]
    named = [
        [(part[kind]["id"], part[kind]["name"]) for part in turn["parts"]]
        for turn, kind in zip(made[1:], ("functionCall", "functionResponse"), strict=True)
    ]
    return named[0], named[1]


@pytest.mark.parametrize(
    ("ids", "answers", "order"),
    [
        (["a", "b"], ["b", "a"], [1, 0]),
        (["same", "same", "same"], ["same"] * 3, [0, 1, 2]),
        (["", "", ""], [None] * 3, [0, 1, 2]),
        (["", "b", ""], [None, "b", None], [0, 1, 2]),
        (["a", "b"], [None, None], [0, 1]),
        (["call-1", "call-1", "call-2"], ["call-1", "call-2", "call-1"], [0, 2, 1]),
    ],
)
def test_results_are_matched_to_their_calls_whatever_their_ids(ids, answers, order):
    """Ids that are missing or the same become ids of their own, and each result keeps the name of its call."""
    asked_calls, answered = turns(ids, answers)
    assert len({each for each, _ in asked_calls}) == len(ids)
    assert answered == [asked_calls[number] for number in order]


def test_calls_of_two_turns_with_one_id_are_told_apart():
    """An id that returns in a later turn belongs to the later call."""
    made = body(
        *[
            message
            for name in ("first", "second")
            for message in (
                Message(role="assistant", tool_calls=(ToolCall(id="call-0", name=name, arguments="{}"),)),
                Message(role="system", content="Go on."),
                Message(role="tool", content=name, tool_call_id="call-0"),
            )
        ]
    )["contents"]
    results = [part["functionResponse"] for turn in made for part in turn["parts"] if "functionResponse" in part]
    assert [(each["name"], each["response"]["result"]) for each in results] == [("first",) * 2, ("second",) * 2]
    assert len({each["id"] for each in results}) == 2


@pytest.mark.parametrize(
    "text", ['{"mean": NaN}', "[1e999]", "-Infinity", '{"id": 9007199254740993}', "{half", "[" * 5000]
)
def test_a_result_that_json_cannot_say_is_sent_as_text(text):
    """What a tool answered goes along whole: as text, when it is not JSON or would not be the same at the service."""
    call = Message(role="assistant", tool_calls=(WHO,))
    made = body(call, Message(role="tool", content=text, tool_call_id="1"))
    assert made["contents"][1]["parts"][0]["functionResponse"]["response"] == {"result": text}


@pytest.mark.parametrize("name", ["1st", "-x", "7"])
def test_a_tool_whose_name_gemini_refuses_is_unsupported(name):
    """A tool's name that the service does not take is refused before anything is sent."""
    with pytest.raises(UnsupportedRequestError, match="the name of a function"):
        body(tools=(Tool(name=name),))


def test_half_a_character_becomes_a_replacement():
    """Text that is no Unicode goes along as far as it is."""
    assert body(Message(role="user", content="a\ud83d"))["contents"][0]["parts"] == [{"text": "a\ufffd"}]


def test_images_are_sent_inline_or_by_address():
    """A picture's bytes go along in base64; an address, when it is one that the service reads."""
    url = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    images = (Image(media_type="image/png", data=b"\x89PNG"), Image(media_type="image/jpeg", url=url))
    _, inline, linked = body(Message(role="user", content="What?", images=images))["contents"][0]["parts"]
    assert inline == {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
    assert linked == {"fileData": {"mimeType": "image/jpeg", "fileUri": url}}


@pytest.mark.parametrize(
    "url", ["https://x.test/a.jpg", "http://127.0.0.1/", "https://generativelanguage.googleapis.com.x.test/a"]
)
def test_an_image_elsewhere_is_unsupported(url):
    """Gemini fetches no images from other servers: another provider may."""
    with pytest.raises(UnsupportedRequestError, match="does not fetch"):
        body(Message(role="user", content="?", images=(Image(media_type="image/png", url=url),)))


def test_every_setting_of_the_request_has_its_place():
    """Limits, sampling, stops and the seed stand in the generation config."""
    made = body(temperature=0.0, max_tokens=64, top_p=0.5, stop=("END",), seed=7)
    assert made["generationConfig"] == {
        "temperature": 0.0,
        "maxOutputTokens": 64,
        "topP": 0.5,
        "stopSequences": ["END"],
        "seed": 7,
    }


def test_sampling_is_left_out_where_the_model_takes_none():
    """Newer models deprecate temperature and top_p: they are not sent, and the reply will say so."""
    made = ask(model=NEW, temperature=0.1, top_p=0.5, max_tokens=64)
    assert made.body["generationConfig"] == {"maxOutputTokens": 64}
    assert made.omitted == ("temperature", "top_p")
    assert ask(model=NEW, max_tokens=64).omitted == ()


@pytest.mark.parametrize(
    ("sampling", "model", "sent"),
    [("always", NEW, True), ("never", OLD, False), ("auto", OLD, True), ("auto", NEW, False)],
)
def test_sampling_is_a_setting(sampling, model, sent):
    """The instance may insist on sending temperature, or on not sending it."""
    made = ask(model=model, temperature=0.1, settings=GeminiSettings(sampling=sampling))
    assert ("temperature" in made.body.get("generationConfig", {})) is sent
    assert made.omitted == (() if sent else ("temperature",))


def test_what_the_old_client_cannot_say_is_left_out_and_named():
    """google-generativeai knows no seed, no thinking level, and no bounds in schemas."""
    settings = GeminiSettings(thinking_level="low")
    tool = Tool(name="t", parameters=SCHEMA)
    made = ask(is_current=False, seed=7, json_schema=SCHEMA, tools=(tool,), settings=settings)
    day = {"type": "OBJECT", "properties": {"day": {"type": "STRING"}}, "required": ["day"]}
    assert made.body["generationConfig"] == {"responseMimeType": "application/json", "responseSchema": day}
    assert made.body["tools"][0]["functionDeclarations"][0]["parameters"] == day
    assert made.omitted == ("tools.pattern", "seed", "json_schema.pattern")


def test_the_current_client_says_all_of_it():
    """google-genai sends schemas as they are, and how much to think."""
    settings = GeminiSettings(thinking_level="low")
    made = ask(seed=7, json_schema=SCHEMA, tools=(Tool(name="t", parameters=SCHEMA),), settings=settings)
    assert made.body["generationConfig"] == {
        "seed": 7,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }
    assert made.body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    assert made.omitted == ()


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("t", {"mode": "ANY", "allowedFunctionNames": ["t"]}),
    ],
)
def test_the_choice_of_tools_is_told(choice, told):
    """Each kind of choice has the service's word."""
    made = body(tools=(Tool(name="t"),), tool_choice=choice)
    assert made["toolConfig"] == {"functionCallingConfig": told}
    assert made["tools"] == [{"functionDeclarations": [{"name": "t", "description": ""}]}]


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B-Instruct", "../v1/models/x", "x?key=1", "a b", "qwen2.5:0.5b", ""])
def test_another_provider_s_model_is_not_asked_for(model):
    """A name that none of Gemini's models can have is not found, and does not become a part of an address."""
    with pytest.raises(ModelNotFoundError):
        body(model=model)


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "models/gemini-3.8-flash", "tunedModels/mine", "gemma-3-27b-it"])
def test_every_form_of_a_model_s_name_is_asked_for(model):
    """Plain names, the service's own full names, and tuned models are asked for."""
    assert ask(model=model).model == model.removeprefix("models/")


def test_schemas_may_be_any_kind_of_mapping():
    """Frozen mappings and tuples are JSON as well."""
    frozen = MappingProxyType({"type": "object", "required": ("day",), "properties": MappingProxyType({"day": {}})})
    assert body(json_schema=frozen)["generationConfig"]["responseJsonSchema"]["required"] == ["day"]


def test_the_prompt_is_in_no_repr():
    """What is asked is the user's, and shows itself in no log."""
    assert "canary" not in repr(ask(Message(role="user", content="canary")))


@given(strategies.requests(model=OLD))
def test_any_request_makes_turns_that_alternate(request):
    """Whatever is asked, the body is JSON, and speakers take turns."""
    made = build_request(request, OLD, GeminiSettings(), is_current=True).body
    roles = [turn["role"] for turn in json.loads(json.dumps(made))["contents"]]
    assert roles
    assert set(roles) <= {"user", "model"}
    assert all(one != other for one, other in pairwise(roles))
