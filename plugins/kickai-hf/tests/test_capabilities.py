"""The capabilities of one instance, which may be fewer than those of the plugin."""

from __future__ import annotations

import pytest
from calling import MODES, call
from kickai_providers_core import Capability, ChatRequest, Message, Tool, UnsupportedRequestError

from kickai_hf.plugin import plugin
from kickai_hf.settings import HuggingFaceSettings

SERVER = {"base_url": "http://127.0.0.1:1"}
ALL = frozenset(Capability)


@pytest.mark.parametrize(
    ("settings", "model", "expected"),
    [
        ({}, None, None),
        ({}, "org/m", None),
        (SERVER, None, None),
        ({**SERVER, "schema_form": "tgi"}, "m", None),
        ({"schema_form": "none"}, None, None),
        ({**SERVER, "schema_form": "none"}, None, ALL - {Capability.JSON_SCHEMA}),
        ({**SERVER, "task": "text_generation"}, "m", {Capability.JSON_SCHEMA, Capability.SEED}),
        ({**SERVER, "task": "text_generation", "schema_form": "none"}, None, {Capability.SEED}),
        (
            {**SERVER, "schema_form": "none", "model": "google/gemma-2-2b-it"},
            None,
            {Capability.SEED},
        ),
    ],
)
def test_an_instance_has_the_capabilities_of_its_server(settings, model, expected):
    """A server that only completes text takes no tools and no images; one that ignores schemas takes none."""
    found = plugin.kickai_provider_capabilities(settings=HuggingFaceSettings(**settings), model=model)
    assert found == expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("task", ["chat", "text_generation"])
def test_a_schema_is_not_sent_to_a_server_that_ignores_it(task, mode, server, provide):
    """The request is unsupported, and nothing is sent."""
    request = ChatRequest(messages=(Message(role="user", content="x"),), json_schema={"type": "object"})
    assert isinstance(call(provide(schema_form="none", task=task), mode, request).error, UnsupportedRequestError)
    assert server.requests == []


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrong", [{"tools": (print,)}, {"messages": (None,)}, {"stop": 7}], ids=str)
def test_a_request_with_wrong_types_is_unsupported(wrong, mode, server, provide):
    """A body that cannot be built is not a failure of the service."""
    request = ChatRequest.of("x")
    broken = ChatRequest.__new__(ChatRequest)
    broken.__dict__.update({**request.__dict__, **wrong})
    assert isinstance(call(provide(), mode, broken).error, UnsupportedRequestError)
    assert server.requests == []
    assert call(provide(), mode, ChatRequest(messages=request.messages, tools=(Tool(name="t"),))).text == "pong"
