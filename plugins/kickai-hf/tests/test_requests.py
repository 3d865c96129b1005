"""The requests that are sent: complete, and in the form that each service understands."""

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


def last_body(server):
    """Return the body of the last request."""
    return server.requests[-1].json()


@pytest.mark.parametrize("mode", MODES)
def test_all_parameters_are_sent(mode, server, provide):
    """Zeroes are sent, and unset parameters are not."""
    request = evolve(PING, temperature=0.0, max_tokens=1, top_p=0.5, stop=("END",), seed=0, model="org/other")
    assert call(provide(), mode, request).text == "pong"
    streamed = mode in {"stream", "astream"}
    assert last_body(server) == {
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


def test_options_are_fields_of_the_body(server, provide):
    """The names are those of the servers."""
    options = {"presence_penalty": 0.5, "logit_bias": {"7": -1}, "chat_template_kwargs": {"enable_thinking": False}}
    call(provide(), "invoke", evolve(PING, options={"huggingface": options}))
    assert last_body(server).items() >= options.items()


def test_the_model_comes_first(server, provide):
    """A router finds the model in the first bytes of a long body."""
    call(provide(), "invoke", "x" * 100_000)
    assert server.requests[-1].body.startswith(b'{"model":"org/test-model",')


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("org/m", "auto", "org/m"),
        ("org/m", "novita", "org/m:novita"),
        ("org/m:cheapest", "auto", "org/m:cheapest"),
        ("org/m:groq", "novita", "org/m:groq"),
        (None, "novita", "org/own:novita"),
    ],
)
def test_the_inference_provider_is_a_suffix(model, provider, expected):
    """On the router a named inference provider becomes the suffix of a model without one."""
    settings = HuggingFaceSettings(model="org/own", inference_provider=provider)
    assert mapping.encode_model(model, settings) == expected


def test_base_url_gets_no_suffix():
    """Suffixes are sent to the router only; without a model none is sent."""
    settings = HuggingFaceSettings(base_url="http://h", inference_provider="novita")
    assert mapping.encode_model("m", settings) == "m"
    assert mapping.encode_model(None, settings) is None


@pytest.mark.parametrize("mode", MODES)
def test_tools_keep_their_nulls(mode, server, provide):
    """A null in a tool's schema is sent, and any mapping is accepted."""
    request = evolve(PING, tools=(TOOL,), tool_choice="find")
    call(provide(), mode, request)
    function = {"name": "find", "description": "Finds a player.", "parameters": dict(TOOL.parameters)}
    assert last_body(server)["tools"] == [{"type": "function", "function": function}]
    assert last_body(server)["tool_choice"] == {"type": "function", "function": {"name": "find"}}


@pytest.mark.parametrize("choice", ["auto", "none", "required", None])
def test_tool_choices_are_sent(choice, server, provide):
    """The words of the protocol are sent unchanged."""
    call(provide(), "invoke", evolve(PING, tools=(TOOL,), tool_choice=choice))
    assert last_body(server).get("tool_choice") == choice


OPENAI = {"type": "json_schema", "json_schema": {"name": "reply", "schema": SCHEMA, "strict": True}}
OLD_TGI = {"type": "json_object", "value": SCHEMA}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("form", "sent"), [("openai", OPENAI), ("tgi", OLD_TGI)])
def test_a_schema_is_sent_in_the_form_of_the_server(mode, form, sent, server, provide):
    """``schema_form`` selects the form; nulls are kept."""
    server.default = Ok('{"day": null}')
    provider = provide(schema_form=form)
    assert call(provider, mode, evolve(PING, json_schema=SCHEMA)).text == '{"day": null}'
    assert last_body(server)["response_format"] == sent


@pytest.mark.parametrize("mode", MODES)
def test_the_router_gets_schemas_in_openais_form(mode, server):
    """``schema_form`` has no effect on the router."""
    server.default = Ok('{"day": "Saturday"}')
    settings = HuggingFaceSettings(token=Secret("hf_x"), inference_provider="together", schema_form="tgi")
    provider = provider_via_router(settings, server.url)
    assert call(provider, mode, evolve(PING, json_schema=SCHEMA)).error is None
    provider.close()
    assert last_body(server)["response_format"] == OPENAI


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", ["Saturday!", '{"day": 7}', "{}", '{"day": "x"', "[" * 100_000])
def test_an_answer_that_ignores_the_schema_is_an_error(mode, answer, server, provide):
    """The answer is checked against the schema."""
    server.default = Ok(answer)
    ended = call(provide(), mode, evolve(PING, json_schema=SCHEMA))
    assert isinstance(ended.error, InvalidReplyError)
    assert "JSON schema" in ended.error.message


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_cut_by_its_token_limit_is_not_checked(mode, server, provide):
    """Its finish reason says that it is incomplete."""
    server.default = Ok('{"day": "Sat', finish=FinishReason.LENGTH)
    reply = call(provide(), mode, evolve(PING, json_schema=SCHEMA)).reply
    assert (reply.text, reply.finish_reason) == ('{"day": "Sat', FinishReason.LENGTH)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("choice", ["required", "find"])
def test_an_answer_that_ignores_tool_choice_is_an_error(mode, choice, provide):
    """An answer without the required tool call is detected."""
    ended = call(provide(), mode, evolve(PING, tools=(TOOL,), tool_choice=choice))
    assert isinstance(ended.error, InvalidReplyError)
    assert "tool_choice" in ended.error.message


def test_a_conversation_with_tools_and_images_is_sent(server, provide):
    """Tool calls, their results and images are sent in the form of the protocol."""
    image = Image(media_type="image/png", data=b"png")
    link_image = Image(media_type="image/png", url="https://example.org/x.png")
    messages = (
        Message(role="user", content="look", images=(image, link_image)),
        Message(role="user", images=(image,)),
        Message(role="assistant", tool_calls=(ToolCall(id="c", name="find", arguments="{}"),)),
        Message(role="tool", content="Ann", tool_call_id="c"),
    )
    call(provide(), "invoke", ChatRequest(messages=messages))
    data = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    link = {"type": "image_url", "image_url": {"url": "https://example.org/x.png"}}
    called = {"id": "c", "type": "function", "function": {"name": "find", "arguments": "{}"}}
    assert last_body(server)["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "look"}, data, link]},
        {"role": "user", "content": [data]},
        {"role": "assistant", "content": "", "tool_calls": [called]},
        {"role": "tool", "content": "Ann", "tool_call_id": "c"},
    ]


@pytest.mark.parametrize("model", ["google/gemma-2-2b-it", "google/gemma-2-9b-it:nebius", "google/gemma-1.1-7b-it"])
def test_system_messages_are_folded_for_models_without_the_role(model, server, provide):
    """For Gemma 1 and 2 the text of system messages goes before the first user message."""
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hi"},
        {"role": "system", "content": "In English."},
        {"role": "user", "content": "Who?"},
    ]
    call(provide(), "invoke", evolve(ChatRequest.of(messages), model=model))
    assert [(m["role"], m["content"]) for m in last_body(server)["messages"]] == [
        ("user", "Be brief.\n\nIn English.\n\nHi"),
        ("assistant", "Hi"),
        ("user", "Who?"),
    ]


def test_other_models_get_system_messages(server, provide):
    """They are sent unchanged."""
    call(provide(), "invoke", ChatRequest.of([{"role": "system", "content": "Be brief."}, {"role": "user"}]))
    assert [m["role"] for m in last_body(server)["messages"]] == ["system", "user"]


def test_text_is_sent_unescaped(server, provide):
    """Escaped letters would cost tokens."""
    call(provide(), "invoke", "Grüße 東京 ⚽")
    assert "Grüße 東京 ⚽".encode() in server.requests[-1].body
