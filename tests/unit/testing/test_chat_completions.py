"""The wire of Chat Completions reads requests as a service does."""

from __future__ import annotations

import pytest

from kickai_providers_core.authoring import dump_bytes, openai_chat
from kickai_providers_core.testing.chat_completions import ChatWire
from kickai_providers_core.testing.faults import Recorded
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.tools import Tool, ToolCall

PNG = Image(media_type="image/png", data=b"\x89PNG\xfb\xff")
CALL = ToolCall(id="call-1", name="players", arguments='{"day": "Saturday"}')
MESSAGES = (
    Message(role="system", content="Be short."),
    Message(role="user", content="Who is this?", images=(PNG, Image(media_type="image/*", url="https://x.example/a"))),
    Message(role="assistant", content="", tool_calls=(CALL,)),
    Message(role="tool", content="Anna", tool_call_id="call-1"),
)
TOOL = Tool(name="players", description="Lists players.", parameters={"type": "object", "properties": {}})
FIELDS = {"temperature": 0.0, "max_tokens": 7, "top_p": 0.5, "seed": 0, "stop": ("A", "B")}


def read(body):
    """Return what the service reads in a body."""
    recorded = Recorded(method="POST", path="/v1/chat/completions", headers={}, body=dump_bytes(body))
    return ChatWire().read_request(recorded)


@pytest.mark.parametrize("choice", ["auto", "none", "required", "players"])
def test_a_request_is_read_as_it_was(choice):
    """What the encoder writes is read back: messages, images, tools and all other fields."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    request = ChatRequest(messages=MESSAGES, tools=(TOOL,), tool_choice=choice, json_schema=schema, **FIELDS)
    found = read(openai_chat.encode(request, model="m", stream=False))
    assert {name: getattr(request, name) for name in found} == found
    assert found.keys() == {"messages", "tools", "tool_choice", "json_schema", *FIELDS}


def test_names_of_similar_services_are_read():
    """The names of other services for the same fields are known too."""
    messages = [{"role": "developer", "content": [{"type": "text", "text": "Be "}, {"type": "text", "text": "short."}]}]
    body = {"messages": messages, "max_completion_tokens": 7, "random_seed": 3, "stop": "END", "tool_choice": "any"}
    assert read(body) == {
        "messages": MESSAGES[:1],
        "max_tokens": 7,
        "seed": 3,
        "stop": ("END",),
        "tool_choice": "required",
    }


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "a", "arguments": {}}}]}, TypeError),
        ({"role": "nobody", "content": "a"}, ValueError),
        ({"content": "a"}, LookupError),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,_-"}}]},
            ValueError,
        ),
    ],
    ids=["arguments of another type", "an unknown role", "a missing role", "another alphabet of Base64"],
)
def test_a_malformed_request_is_refused(message, error):
    """What the service would refuse cannot be read."""
    with pytest.raises(error):
        read({"messages": [message]})
