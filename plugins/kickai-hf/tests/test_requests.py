"""What is asked of the service, seen on the wire: nothing added, nothing lost, each in the form that is understood."""

from __future__ import annotations

from types import MappingProxyType

import pytest
from attrs import evolve
from calling import MODES, call
from kickai_providers_core import ChatRequest, FinishReason, Image, InvalidReplyError, Message, Secret, Tool, ToolCall
from kickai_providers_core.testing.faults import Ok
from rerouted import provider_via_router

from kickai_hf import mapping
from kickai_hf.settings import HuggingFaceSettings

PING = ChatRequest.of("ping")
SCHEMA = {
    "type": "object",
    "properties": {"day": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}},
    "required": ["day"],
}
TOOL = Tool(
    name="find",
    description="Finds a player.",
    parameters=MappingProxyType({"type": "object", "properties": {"day": {"type": "string", "default": None}}}),
)


def asked(server):
    """Return the body of the last request."""
    return server.requests[-1].json()


@pytest.mark.parametrize("mode", MODES)
def test_all_fields_are_sent_as_they_are(mode, server, provide):
    """Zeroes are sent, and what nobody set is not."""
    request = evolve(PING, temperature=0.0, max_tokens=1, top_p=0.5, stop=("END",), seed=0, model="org/other")
    assert call(provide(), mode, request).text == "pong"
    streamed = mode in {"stream", "astream"}
    assert asked(server) == {
        "model": "org/other",
        "messages": [{"role": "user", "content": "ping"}],
        "temperature": 0.0,
        "max_tokens": 1,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 0,
        "stream": streamed,
        **({"stream_options": {"include_usage": True}} if streamed else {}),
    }


def test_the_model_comes_first(server, provide):
    """A router finds the model in the first bytes of the body, however long the rest is."""
    call(provide(), "invoke", "x" * 100_000)
    assert server.requests[-1].body.startswith(b'{"model":"org/test-model",')


@pytest.mark.parametrize(
    ("model", "provider", "asked_for"),
    [
        ("org/m", "auto", "org/m"),
        ("org/m", "novita", "org/m:novita"),
        ("org/m:cheapest", "auto", "org/m:cheapest"),
        ("org/m:groq", "novita", "org/m:groq"),
        (None, "novita", "org/own:novita"),
    ],
)
def test_the_inference_provider_is_a_suffix(model, provider, asked_for):
    """On the router a named inference provider becomes the model's suffix, unless the model has one."""
    settings = HuggingFaceSettings(model="org/own", inference_provider=provider)
    assert mapping.model_to_request(model, settings) == asked_for


def test_a_server_of_ones_own_is_asked_for_no_suffix():
    """What the router alone understands is not sent elsewhere; without a model none is sent."""
    settings = HuggingFaceSettings(base_url="http://h", inference_provider="novita")
    assert mapping.model_to_request("m", settings) == "m"
    assert mapping.model_to_request(None, settings) is None


@pytest.mark.parametrize("mode", MODES)
def test_tools_keep_their_nulls(mode, server, provide):
    """A null inside a tool's schema is a part of it, and mappings of any class are sent."""
    request = evolve(PING, tools=(TOOL,), tool_choice="find")
    call(provide(), mode, request)
    function = {"name": "find", "description": "Finds a player.", "parameters": dict(TOOL.parameters)}
    assert asked(server)["tools"] == [{"type": "function", "function": function}]
    assert asked(server)["tool_choice"] == {"type": "function", "function": {"name": "find"}}


@pytest.mark.parametrize("choice", ["auto", "none", "required", None])
def test_tool_choices_are_sent(choice, server, provide):
    """The words that the protocol knows are sent as they are."""
    call(provide(), "invoke", evolve(PING, tools=(TOOL,), tool_choice=choice))
    assert asked(server).get("tool_choice") == choice


OPENAI = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
OLD_TGI = {"type": "json_object", "value": SCHEMA}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("form", "sent"), [("openai", OPENAI), ("tgi", OLD_TGI)])
def test_a_schema_takes_the_form_of_the_server(mode, form, sent, server, provide):
    """A server of one's own gets a schema in the form that it understands, with its nulls."""
    server.default = Ok('{"day": null}')
    provider = provide(schema_form=form)
    assert call(provider, mode, evolve(PING, json_schema=SCHEMA)).text == '{"day": null}'
    assert asked(server)["response_format"] == sent


@pytest.mark.parametrize("mode", MODES)
def test_the_router_gets_a_schema_in_openais_form(mode, server):
    """On the router the form does not depend on a setting."""
    server.default = Ok('{"day": "Saturday"}')
    settings = HuggingFaceSettings(token=Secret("hf_x"), inference_provider="together", schema_form="tgi")
    provider = provider_via_router(settings, server.url)
    assert call(provider, mode, evolve(PING, json_schema=SCHEMA)).error is None
    provider.close()
    assert asked(server)["response_format"] == OPENAI


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", ["Saturday!", '{"day": 7}', "{}", '{"day": "x"', "[" * 100_000])
def test_a_schema_that_is_ignored_is_an_error(mode, answer, server, provide):
    """An endpoint that answers as if there were no schema is found out, whatever status it sends."""
    server.default = Ok(answer)
    ended = call(provide(), mode, evolve(PING, json_schema=SCHEMA))
    assert isinstance(ended.error, InvalidReplyError)
    assert "JSON schema" in ended.error.message


@pytest.mark.parametrize("mode", MODES)
def test_a_schema_whose_answer_was_cut_is_no_error(mode, server, provide):
    """An answer that ran into its token limit is half a JSON text, and says so itself."""
    server.default = Ok('{"day": "Sat', finish=FinishReason.LENGTH)
    reply = call(provide(), mode, evolve(PING, json_schema=SCHEMA)).reply
    assert (reply.text, reply.finish_reason) == ('{"day": "Sat', FinishReason.LENGTH)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("choice", ["required", "find"])
def test_a_tool_choice_that_is_ignored_is_an_error(mode, choice, provide):
    """An endpoint that talks where it had to call a tool is found out."""
    ended = call(provide(), mode, evolve(PING, tools=(TOOL,), tool_choice=choice))
    assert isinstance(ended.error, InvalidReplyError)
    assert "tool_choice" in ended.error.message


def test_a_conversation_with_tools_and_images_is_sent(server, provide):
    """Calls, their results and pictures take the protocol's form."""
    picture = Image(media_type="image/png", data=b"png")
    linked = Image(media_type="image/png", url="https://example.org/x.png")
    messages = (
        Message(role="user", content="look", images=(picture, linked)),
        Message(role="user", images=(picture,)),
        Message(role="assistant", tool_calls=(ToolCall(id="c", name="find", arguments="{}"),)),
        Message(role="tool", content="Ann", tool_call_id="c"),
    )
    call(provide(), "invoke", ChatRequest(messages=messages))
    data = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    link = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    called = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    assert asked(server)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "look"}, data, link]},
        {"role": "user", "content": [data]},
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "content": "Ann", "tool_call_id": "c"},
    ]


@pytest.mark.parametrize("model", ["google/gemma-2-2b-it", "google/gemma-2-9b-it:nebius", "google/gemma-1.1-7b-it"])
def test_a_model_without_a_system_role_is_told_by_the_user(model, server, provide):
    """Gemma's first versions refuse system messages: their text goes before the user's first."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
        {"role": "system", "content": "In English."},
        {"role": "user", "content": "Who?"},
    ]
    call(provide(), "invoke", evolve(ChatRequest.of(messages), model=model))
    assert [(m["role"], m["content"]) for m in asked(server)["messages"]] == [
        ("user", "Be brief.\n\nIn English.\n\nHi"),
        ("assistant", "Hi"),
        ("user", "Who?"),
    ]


def test_other_models_get_system_messages(server, provide):
    """Everyone else gets them as they are."""
    call(provide(), "invoke", ChatRequest.of([{"role": "system", "content": "Be brief."}, {"role": "user"}]))
    assert [m["role"] for m in asked(server)["messages"]] == ["system", "user"]


def test_text_of_all_languages_is_sent_as_it_is(server, provide):
    """Nothing is escaped that need not be: a token more for each letter would be counted by nobody."""
    call(provide(), "invoke", "Grüße 東京 ⚽")
    assert "Grüße 東京 ⚽".encode() in server.requests[-1].body
