"""Capabilities, answers with a schema, numbers that JSON does not have, and a missing package."""

from __future__ import annotations

import json
import sys

import pytest
from attrs import evolve
from calling import MODES
from kickai_providers_core import Capability, ChatRequest, InvalidReplyError, Message, ToolCall, UnusableProviderError
from kickai_providers_core.testing.faults import Ok

from kickai_ollama.plugin import plugin
from kickai_ollama.settings import OllamaSettings

ALL = frozenset(Capability)
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}


@pytest.mark.parametrize(
    ("named", "settings", "able"),
    [
        ("llama3.2:1b", {}, ALL - {Capability.IMAGES}),
        ("library/gemma2", {}, ALL - {Capability.IMAGES, Capability.TOOLS}),
        ("gemma3", {}, ALL - {Capability.TOOLS}),
        (None, {"model": "qwen2.5:0.5b"}, ALL - {Capability.IMAGES}),
        ("somebody/llama3.2", {}, None),
        ("new-model", {}, None),
        (None, {}, None),
        ("gemma2", {"capabilities": (Capability.TOOLS,)}, frozenset({Capability.TOOLS})),
    ],
)
def test_capabilities_of_an_instance(named, settings, able):
    """The settings decide; otherwise the capabilities of well-known models are known."""
    assert plugin.kickai_provider_capabilities(settings=OllamaSettings(**settings), model=named) == able


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("answer", ["no JSON", '{"day": 7}', "[]"])
def test_an_answer_that_does_not_match_its_schema_is_due_to_the_request(server, calls, mode, answer):
    """Such an answer does not count against the health of the target."""
    request = evolve(ChatRequest.of("When?"), json_schema=SCHEMA)
    server.script(Ok(answer, pieces=(answer,)), Ok('{"day": "Sat"}', pieces=('{"day":', ' "Sat"}')))
    call = calls()
    error = call(mode, request).error
    assert type(error) is InvalidReplyError
    assert error.due_to_request
    assert json.loads(call(mode, request).reply.text) == {"day": "Sat"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_become_null(server, calls, mode, number):
    """Tool arguments with NaN or an infinity are sent with null instead."""
    wrote = ToolCall(id="1", name="f", arguments=f'{{"a": {number}, "b": 1.5}}')
    messages = (Message(role="assistant", tool_calls=(wrote,)), Message(role="tool", tool_call_id="1", content="7"))
    request = ChatRequest(messages=(Message(role="user", content="mean?"), *messages))
    assert calls()(mode, request).reply.text == "pong"
    (sent,) = server.requests[-1].json()["messages"][1]["tool_calls"]
    assert sent["function"]["arguments"] == {"a": None, "b": 1.5}


def test_a_missing_package_makes_the_provider_unusable(monkeypatch):
    """The error names the package and says what to do."""
    monkeypatch.delitem(sys.modules, "kickai_ollama.client", raising=False)
    monkeypatch.setitem(sys.modules, "ollama", None)
    with pytest.raises(UnusableProviderError, match="ollama cannot be imported: reinstall"):
        plugin.kickai_create_provider(settings=OllamaSettings())
