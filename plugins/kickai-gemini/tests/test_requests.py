"""Requests in the API's JSON."""

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

from kickai_gemini.requests import build_request
from kickai_gemini.settings import GeminiSettings

OLD, NEW = "gemini-3.1-flash-lite", "gemini-3.8-flash"
SCHEMA = {"type": "object", "properties": {"day": {"type": "string", "pattern": "S.*"}}, "required": ["day"]}
CALL = ToolCall(id="call-7", name="who_can_play", arguments='{"day": "Saturday"}')


def body(*messages, model=OLD, is_current=True, settings=None, **fields):
    """Return the JSON of a request."""
    return build(*messages, model=model, is_current=is_current, settings=settings, **fields).body


def build(*messages, model=OLD, is_current=True, settings=None, **fields):
    """Return a request in the API's form."""
    request = ChatRequest(messages=messages or (Message(role="user", content="ping"),), **fields)
    return build_request(request, model, settings or GeminiSettings(), is_current=is_current)


def test_minimal_request():
    """Nothing is sent but the message."""
    assert body() == {"contents": [{"role": "user", "parts": [{"text": "ping"}]}]}


def test_system_messages_are_the_system_instruction():
    """System messages are sent separately, and the turns keep their order."""
    turns = [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("system", "Be kind."), ("user", "c")]
    made = body(*(Message(role=role, content=text) for role, text in turns))
    assert made["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert [(turn["role"], turn["parts"][0]["text"]) for turn in made["contents"]] == [
        ("user", "a"),
        ("model", "b"),
        ("user", "c"),
    ]


def test_system_message_alone_is_a_user_turn():
    """The service requires a turn, so system messages alone are sent as the user's."""
    made = body(Message(role="system", content="Say hello."))
    assert made == {"contents": [{"role": "user", "parts": [{"text": "Say hello."}]}]}


def test_messages_in_a_row_are_one_turn():
    """Two user messages in a row become one turn with two parts."""
    made = body(Message(role="user", content="a"), Message(role="user", content="b"))
    assert made["contents"] == [{"role": "user", "parts": [{"text": "a"}, {"text": "b"}]}]


def test_tool_call_and_result_have_the_id():
    """A call and its result are sent with the call's id and name; a text becomes an object."""
    made = body(
        Message(role="user", content="Who?"),
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", content="Ann, Bob", tool_call_id="call-7"),
    )
    call, answer = made["contents"][1]["parts"][0], made["contents"][2]["parts"][0]
    assert call["functionCall"] == {"id": "call-7", "name": "who_can_play", "args": {"day": "Saturday"}}
    result = {"id": "call-7", "name": "who_can_play", "response": {"result": "Ann, Bob"}}
    assert (made["contents"][2]["role"], answer["functionResponse"]) == ("user", result)


def test_tool_result_that_is_an_object_stays_one():
    """A result that is a JSON object is sent unchanged."""
    made = body(
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", content='{"players": ["Ann"]}', tool_call_id="call-7"),
    )
    assert made["contents"][1]["parts"][0]["functionResponse"]["response"] == {"players": ["Ann"]}


def test_calls_have_a_placeholder_signature():
    """The first call of a turn gets the documented placeholder, without which Gemini 3 refuses it."""
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
def test_conversation_that_gemini_does_not_take_is_unsupported(messages, is_current):
    """A result without a call, arguments that are not an object, and invalid names are unsupported."""
    with pytest.raises(UnsupportedRequestError):
        body(*messages, is_current=is_current)


def turns(ids, answers):
    """Return the ids and names that are sent for calls with these ids, and for results with the others."""
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
def test_results_are_matched_to_their_calls(ids, answers, order):
    """Missing and repeated ids become unique, and each result keeps the name of its call."""
    calls, answered = turns(ids, answers)
    assert len({each for each, _ in calls}) == len(ids)
    assert answered == [calls[number] for number in order]


def test_repeated_id_belongs_to_the_later_call():
    """An id that is repeated in a later turn belongs to the later call."""
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
def test_result_that_is_not_strict_json_is_sent_as_text(text):
    """A result is sent as text when it is not JSON, or would not arrive unchanged."""
    call = Message(role="assistant", tool_calls=(WHO,))
    made = body(call, Message(role="tool", content=text, tool_call_id="1"))
    assert made["contents"][1]["parts"][0]["functionResponse"]["response"] == {"result": text}


@pytest.mark.parametrize("name", ["1st", "-x", "7"])
def test_invalid_tool_name_is_unsupported(name):
    """A tool name that the service does not take is an error before anything is sent."""
    with pytest.raises(UnsupportedRequestError, match="the name of a function"):
        body(tools=(Tool(name=name),))


def test_lone_surrogate_is_replaced():
    """A lone surrogate becomes U+FFFD."""
    assert body(Message(role="user", content="a\ud83d"))["contents"][0]["parts"] == [{"text": "a\ufffd"}]


def test_images_are_sent_inline_or_by_address():
    """An image's data is sent in base64; its address, when the service can read it."""
    url = "https://generativelanguage.googleapis.com/v1beta/files/abc"
    images = (Image(media_type="image/png", data=b"\x89PNG"), Image(media_type="image/jpeg", url=url))
    _, inline, linked = body(Message(role="user", content="What?", images=images))["contents"][0]["parts"]
    assert inline == {"inlineData": {"mimeType": "image/png", "data": "iVBORw=="}}
    assert linked == {"fileData": {"mimeType": "image/jpeg", "fileUri": url}}


@pytest.mark.parametrize(
    "url", ["https://x.test/a.jpg", "http://127.0.0.1/", "https://generativelanguage.googleapis.com.x.test/a"]
)
def test_image_on_another_server_is_unsupported(url):
    """Gemini does not fetch images from other servers."""
    with pytest.raises(UnsupportedRequestError, match="does not fetch"):
        body(Message(role="user", content="?", images=(Image(media_type="image/png", url=url),)))


def test_parameters_are_in_the_generation_config():
    """Limits, sampling, stop sequences and the seed are in the generation config."""
    made = body(temperature=0.0, max_tokens=64, top_p=0.5, stop=("END",), seed=7)
    assert made["generationConfig"] == {
        "temperature": 0.0,
        "maxOutputTokens": 64,
        "topP": 0.5,
        "stopSequences": ["END"],
        "seed": 7,
    }


def test_sampling_is_left_out_for_newer_models():
    """Temperature and top_p are not sent to newer models, and the reply names them."""
    made = build(model=NEW, temperature=0.1, top_p=0.5, max_tokens=64)
    assert made.body["generationConfig"] == {"maxOutputTokens": 64}
    assert made.omitted == ("temperature", "top_p")
    assert build(model=NEW, max_tokens=64).omitted == ()


@pytest.mark.parametrize(
    ("sampling", "model", "sent"),
    [("always", NEW, True), ("never", OLD, False), ("auto", OLD, True), ("auto", NEW, False)],
)
def test_sampling_is_a_setting(sampling, model, sent):
    """A setting decides whether the temperature is sent."""
    made = build(model=model, temperature=0.1, settings=GeminiSettings(sampling=sampling))
    assert ("temperature" in made.body.get("generationConfig", {})) is sent
    assert made.omitted == (() if sent else ("temperature",))


def test_google_generativeai_leaves_out_what_it_cannot_send():
    """google-generativeai has no seeds, thinking levels, or bounds in schemas."""
    settings = GeminiSettings(thinking_level="low")
    tool = Tool(name="t", parameters=SCHEMA)
    made = build(is_current=False, seed=7, json_schema=SCHEMA, tools=(tool,), settings=settings)
    day = {"type": "OBJECT", "properties": {"day": {"type": "STRING"}}, "required": ["day"]}
    assert made.body["generationConfig"] == {"responseMimeType": "application/json", "responseSchema": day}
    assert made.body["tools"][0]["functionDeclarations"][0]["parameters"] == day
    assert made.omitted == ("tools.pattern", "seed", "json_schema.pattern")


def test_google_genai_sends_everything():
    """google-genai sends seeds, thinking levels, and schemas as they are."""
    settings = GeminiSettings(thinking_level="low")
    made = build(seed=7, json_schema=SCHEMA, tools=(Tool(name="t", parameters=SCHEMA),), settings=settings)
    assert made.body["generationConfig"] == {
        "seed": 7,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
        "thinkingConfig": {"thinkingLevel": "LOW"},
    }
    assert made.body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"] == SCHEMA
    assert made.omitted == ()


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ("t", {"mode": "ANY", "allowedFunctionNames": ["t"]}),
    ],
)
def test_tool_choice_is_sent(choice, config):
    """Each kind of tool choice has its mode."""
    made = body(tools=(Tool(name="t"),), tool_choice=choice)
    assert made["toolConfig"] == {"functionCallingConfig": config}
    assert made["tools"] == [{"functionDeclarations": [{"name": "t", "description": ""}]}]


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B-Instruct", "../v1/models/x", "x?key=1", "a b", "qwen2.5:0.5b", ""])
def test_model_name_of_another_provider_is_not_found(model):
    """A name that no Gemini model can have is not found, and is not put into an address."""
    with pytest.raises(ModelNotFoundError):
        body(model=model)


@pytest.mark.parametrize("model", ["gemini-3.8-flash", "models/gemini-3.8-flash", "tunedModels/mine", "gemma-3-27b-it"])
def test_every_form_of_model_name_is_accepted(model):
    """Plain names, full names and tuned models are accepted."""
    assert build(model=model).model == model.removeprefix("models/")


def test_schemas_may_be_any_kind_of_mapping():
    """Frozen mappings and tuples are accepted."""
    frozen = MappingProxyType({"type": "object", "required": ("day",), "properties": MappingProxyType({"day": {}})})
    assert body(json_schema=frozen)["generationConfig"]["responseJsonSchema"]["required"] == ["day"]


def test_prompt_is_not_in_the_repr():
    """The prompt is not in the repr of a request."""
    assert "canary" not in repr(build(Message(role="user", content="canary")))


@given(strategies.requests(model=OLD))
def test_turns_alternate(request):
    """For any request the body is JSON, and the roles alternate."""
    made = build_request(request, OLD, GeminiSettings(), is_current=True).body
    roles = [turn["role"] for turn in json.loads(json.dumps(made))["contents"]]
    assert roles
    assert set(roles) <= {"user", "model"}
    assert all(one != other for one, other in pairwise(roles))


SAFETY = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]


def test_options_have_their_places_in_the_api():
    """Sampling goes into the generation config, and a thinking option outranks the setting."""
    options = {
        "safety_settings": SAFETY,
        "top_k": 40,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "include_thoughts": True,
        "cached_content": "cachedContents/7",
    }
    settings = GeminiSettings(thinking_level="low")
    made = body(options={"gemini": options}, settings=settings)
    assert made["safetySettings"] == SAFETY
    assert made["cachedContent"] == "cachedContents/7"
    assert made["generationConfig"] == {
        "topK": 40,
        "frequencyPenalty": 0.5,
        "presencePenalty": -0.5,
        "thinkingConfig": {"thinkingLevel": "LOW", "includeThoughts": True},
    }
    for option, sent in (({"thinking_level": "high"}, {"thinkingLevel": "HIGH"}), ({"thinking_budget": 0},) * 2):
        expected = sent if "thinkingLevel" in sent else {"thinkingBudget": 0}
        made = body(options={"gemini": option}, settings=settings)
        assert made["generationConfig"] == {"thinkingConfig": expected}


def test_options_that_the_old_client_cannot_send_are_unsupported():
    """The next target is called, rather than to leave them out silently."""
    made = body(options={"gemini": {"safety_settings": SAFETY, "top_k": 40}}, is_current=False)
    assert (made["safetySettings"], made["generationConfig"]) == (SAFETY, {"topK": 40})
    with pytest.raises(UnsupportedRequestError, match="cannot send the option 'include_thoughts'; use google-genai"):
        body(options={"gemini": {"include_thoughts": True}}, is_current=False)
