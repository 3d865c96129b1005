"""The requests that are sent: in the words of each service, and complete."""

from __future__ import annotations

import pytest
from attrs import evolve
from calling import MODES, call
from kickai_providers_core import Capability, ChatRequest, Image, Message, Tool, UnsupportedRequestError
from kickai_providers_core.testing.faults import Ok

from kickai_openai.mapping import build_base_address, build_chat_address
from kickai_openai.presets import PRESETS

PING = ChatRequest.of("ping")
EVERYTHING = evolve(PING, temperature=0.0, max_tokens=1, top_p=0.5, stop=("END",), seed=0, model="m-1")
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}}
TOOL = Tool(name="find", description="Finds a player.", parameters={"type": "object"})
PIXEL = Image(media_type="image/png", data=b"pixel")
USUAL = {
    "model": "m-1",
    "messages": [{"role": "user", "content": "ping"}],
    "temperature": 0.0,
    "max_tokens": 1,
    "top_p": 0.5,
    "stop": ["END"],
    "seed": 0,
    "stream": False,
}


def last_body(server):
    """Return the body of the last request."""
    return server.requests[-1].json()


@pytest.mark.parametrize("mode", MODES)
def test_all_fields_are_sent(mode, server, provide):
    """Zeroes are sent, and unset fields are not."""
    assert call(provide(), mode, EVERYTHING).text == "pong"
    is_stream = mode in {"stream", "astream"}
    extra = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    assert last_body(server) == {**USUAL, **extra}
    assert call(provide(), mode).text == "pong"
    assert last_body(server).keys() - {"stream_options"} == {"model", "messages", "stream"}


@pytest.mark.parametrize(
    ("preset", "changes", "removed"),
    [
        ("openai", {"max_completion_tokens": 1}, {"max_tokens"}),
        ("groq", {}, set()),
        ("mistral", {"random_seed": 0}, {"seed"}),
        ("cerebras", {"max_completion_tokens": 1}, {"max_tokens"}),
        ("deepseek", {}, set()),
        ("llama-cpp", {}, set()),
    ],
)
def test_a_preset_names_the_fields(preset, changes, removed, server, provide):
    """Nothing else changes."""
    assert call(provide(preset=preset), "invoke", EVERYTHING).text == "pong"
    body = {name: value for name, value in USUAL.items() if name not in removed}
    assert last_body(server) == {**body, **changes}


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_service_may_refuse_stream_options(mode, server, provide):
    """Mistral sends the token counts without being asked."""
    ended = call(provide(preset="mistral"), mode)
    assert ended.reply.usage.input_tokens == 11
    assert "stream_options" not in last_body(server)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", ["o3", "o4-mini", "gpt-5-mini", "openai/o3", "o1"])
def test_a_reasoning_model_gets_no_field_that_it_refuses(model, mode, server, provide):
    """The reply names what was omitted; stop texts still end the answer."""
    request = evolve(EVERYTHING, model=model, stop=("ng",))
    ended = call(provide(preset="openai"), mode, request)
    assert ended.text == "po"
    assert ended.reply.omitted == ("temperature", "stop")
    assert not {"temperature", "stop"} & last_body(server).keys()
    assert last_body(server)["max_completion_tokens"] == 1
    assert call(provide(preset="openai"), mode, evolve(PING, model=model)).reply.omitted == ()
    assert call(provide(), mode, request).reply.omitted == ()


@pytest.mark.parametrize("mode", MODES)
def test_settings_can_omit_fields_and_rename_the_limit(mode, server, provide):
    """For services without a preset; an unknown name has no effect."""
    provider = provide(omit=("temperature", "seed", "json_schema", "nothing"), max_tokens_field="max_completion_tokens")
    ended = call(provider, mode, EVERYTHING)
    assert ended.reply.omitted == ("temperature", "seed")
    body = last_body(server)
    assert not {"temperature", "seed", "max_tokens"} & body.keys()
    assert body["max_completion_tokens"] == 1
    server.script(Ok("{}"))
    assert call(provider, mode, evolve(PING, json_schema=SCHEMA)).reply.omitted == ("json_schema",)
    assert "response_format" not in last_body(server)


@pytest.mark.parametrize("mode", MODES)
def test_tools_schemas_and_images_are_sent(mode, server, provide):
    """In the forms of the protocol."""
    message = Message(role="user", content="who?", images=(PIXEL,))
    call(provide(), mode, evolve(PING, messages=(message,), tools=(TOOL,), tool_choice="required"))
    body = last_body(server)
    assert body["tool_choice"] == "required"
    assert body["tools"][0]["function"]["name"] == "find"
    assert body["messages"][0]["content"][1]["image_url"]["url"] == "data:image/png;base64,cGl4ZWw="
    call(provide(), mode, evolve(PING, json_schema=SCHEMA))
    assert last_body(server)["response_format"]["json_schema"]["schema"] == SCHEMA


@pytest.mark.parametrize(
    ("settings", "request_", "words"),
    [
        ({"preset": "deepseek"}, evolve(PING, json_schema=SCHEMA), "DeepSeek does not support json_schema"),
        ({"capabilities": ()}, evolve(PING, tools=(TOOL,)), "does not support tools"),
        (
            {"capabilities": (Capability.TOOLS,)},
            evolve(PING, messages=(Message(role="user", images=(PIXEL,)),)),
            "does not support images",
        ),
        ({"preset": "groq", "model": None}, PING, "Groq needs a model"),
    ],
)
def test_what_a_service_cannot_do_is_not_sent(settings, request_, words, server, provide):
    """The next target may be able to."""
    for mode in MODES:
        error = call(provide(**settings), mode, request_).error
        assert type(error) is UnsupportedRequestError
        assert words in str(error)
    assert server.requests == []


@pytest.mark.parametrize("mode", MODES)
def test_a_service_may_choose_the_model(mode, server, provide):
    """Without a model none is named."""
    for settings in ({"preset": "llama-cpp"}, {}):
        assert call(provide(model=None, **settings), mode).text == "pong"
        assert "model" not in last_body(server)


def test_options_are_fields_of_the_body(server, provide):
    """``extra_body`` adds any others, and replaces none."""
    options = {
        "frequency_penalty": 0.5,
        "reasoning_effort": "low",
        "extra_body": {"provider": {"order": ["a"]}, "messages": [], "frequency_penalty": 0.1},
    }
    call(provide(), "invoke", evolve(PING, options={"openai": options, "other": {"x": 1}}))
    body = last_body(server)
    assert body["provider"] == {"order": ["a"]}
    assert (body["frequency_penalty"], body["reasoning_effort"]) == (0.5, "low")
    assert body["messages"] == USUAL["messages"]
    assert "x" not in body


@pytest.mark.parametrize(
    ("address", "base", "chat"),
    [
        ("http://h:1", "http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/", "http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("https://h/v1/", "https://h/v1", "https://h/v1/chat/completions"),
        ("https://h/inference", "https://h/inference", "https://h/inference/chat/completions"),
        ("https://h/v1/chat/completions", "https://h/v1", "https://h/v1/chat/completions"),
        ("https://h/a?api-version=1", "https://h/a", "https://h/a/chat/completions?api-version=1"),
    ],
)
def test_the_addresses(address, base, chat):
    """A path is taken as it is; without one it is ``/v1``."""
    assert (build_base_address(address), build_chat_address(address)) == (base, chat)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_called(name, server, provide):
    """With its own fields, in all modes, as far as a server that follows the protocol can tell."""
    provider = provide(preset=name)
    for mode in MODES:
        assert call(provider, mode, EVERYTHING).text == "pong"
    assert {request.path for request in server.requests} == {"/v1/chat/completions"}
