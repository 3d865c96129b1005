"""Mappings in the form of OpenAI's API become messages exactly, or are refused with index and reason."""

from __future__ import annotations

from typing import Any

import pytest

from kickai_providers_core import ChatRequest, Image, Message, Tool, ToolCall

PNG = "data:image/png;base64,eA=="
FUNCTION = {"name": "f", "arguments": '{"a": 1}'}
CALL = {"id": "1", "type": "function", "function": FUNCTION}
TEXT = {"type": "text", "text": "private"}
IMAGE = {"type": "image_url", "image_url": {"url": PNG, "detail": "auto"}}


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"role": "user", "content": "hi"}, Message(role="user", content="hi")),
        ({"role": "user"}, Message(role="user")),
        ({"role": "developer", "content": "hi"}, Message(role="system", content="hi")),
        ({"role": "user", "content": []}, Message(role="user")),
        ({"role": "user", "content": [TEXT, {"type": "text", "text": "!"}]}, Message(role="user", content="private!")),
        (
            {"role": "user", "content": [TEXT, IMAGE]},
            Message(role="user", content="private", images=(Image(media_type="image/png", data=b"x"),)),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": "https://x.test/a.jpg?b=1"}, TEXT]},
            Message(
                role="user", content="private", images=(Image(media_type="image/jpeg", url="https://x.test/a.jpg?b=1"),)
            ),
        ),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.test/a"}}]},
            Message(role="user", images=(Image(media_type="image/*", url="https://x.test/a"),)),
        ),
        (
            {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None, "annotations": []},
            Message(role="assistant", tool_calls=(ToolCall(id="1", **FUNCTION),)),
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {"a": 1}}}]},
            Message(role="assistant", content="", tool_calls=(ToolCall(id="1", name="f", arguments='{"a": 1}'),)),
        ),
        (
            {"role": "assistant", "content": "x", "tool_calls": [ToolCall(id="1", name="f", arguments="{}")]},
            Message(role="assistant", content="x", tool_calls=(ToolCall(id="1", name="f", arguments="{}"),)),
        ),
        (
            {"role": "tool", "content": "7", "tool_call_id": "1", "name": "f"},
            Message(role="tool", content="7", tool_call_id="1"),
        ),
        ({"role": "user", "content": "hi", "name": None, "tool_calls": None}, Message(role="user", content="hi")),
    ],
)
def test_a_mapping_is_converted_exactly(mapping: dict[str, Any], expected: Message) -> None:
    """Text, parts, images, calls and results keep their meaning."""
    assert Message.of(mapping) == expected
    assert ChatRequest.of([mapping]).messages == (expected,)


def part(**fields: Any) -> dict[str, Any]:
    """Return a user's message with one content part."""
    return {"role": "user", "content": [TEXT, fields]}


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        (5, r"messages\[1\] must be a Message, or a mapping"),
        ({"content": "private"}, r"messages\[1\] must be a mapping with role and content"),
        ({"role": "boss", "content": "private"}, r"messages\[1\]: Message.role must be .* got 'boss'"),
        ({"role": ["user"], "content": "private"}, r"messages\[1\]: Message.role"),
        ({"role": "user", "contents": "x"}, r"the keys of messages\[1\] .* got 'contents'"),
        ({"role": "user", "content": None}, r"messages\[1\]: Message.content"),
        ({"role": "user", "content": 5}, r"messages\[1\].content must be"),
        ({"role": "user", "content": b"private"}, r"messages\[1\].content must be"),
        ({"role": "user", "content": "private", "name": "Bob"}, r"messages\[1\].name must be absent"),
        ({"role": "user", "content": ["private"]}, r"messages\[1\].content\[0\] must be a mapping"),
        (part(type="input_audio", input_audio={}), r"messages\[1\].content\[1\].type"),
        (part(type="text"), r"messages\[1\].content\[1\].text must be text, got None"),
        (part(type="text", text="x", cache=1), r"the keys of messages\[1\].content\[1\]"),
        (part(type="image_url"), r"content\[1\].image_url must be text"),
        (part(type="image_url", image_url={"url": PNG, "detail": "high"}), r"image_url.detail"),
        (part(type="image_url", image_url={"url": "data:image/png;base64,%%"}), r"image_url.url must be a data URL"),
        (part(type="image_url", image_url={"url": "data:image/png,private"}), r"image_url.url must be a data URL"),
        (part(type="image_url", image_url={"url": "data:text/html;base64,eA=="}), r"messages\[1\]: Image.media_type"),
        (part(type="image_url", image_url={"url": "file:///private.png"}), r"messages\[1\]: Image.url"),
        ({"role": "user", "content": [TEXT, IMAGE, TEXT]}, r"text before images or images before text"),
        ({"role": "user", "content": "private", "tool_calls": [CALL]}, r"messages\[1\]: Message.tool_calls"),
        ({"role": "assistant", "tool_calls": "x"}, r"messages\[1\].tool_calls"),
        ({"role": "assistant", "tool_calls": [5]}, r"Message.tool_calls\[0\]"),
        ({"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]}, r"tool_calls\[0\].type"),
        ({"role": "assistant", "tool_calls": [{**CALL, "id": None}]}, r"tool_calls\[0\].id"),
        ({"role": "assistant", "tool_calls": [{"id": "1"}]}, r"tool_calls\[0\].function.name"),
        ({"role": "assistant", "tool_calls": [{"id": "1", "function": 5}]}, r"tool_calls\[0\].function must be"),
        ({"role": "assistant", "content": None, "function_call": {"name": "f"}}, r"got 'function_call'"),
    ],
)
def test_what_cannot_be_said_exactly_is_refused(mapping: Any, words: str) -> None:
    """The error names the message by its index and what is in the way, without the text."""
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        ChatRequest.of([{"role": "user", "content": "private"}, mapping])
    assert "private" not in str(caught.value)


@pytest.mark.parametrize("function", [{}, {"description": "d", "parameters": {"type": "object"}, "strict": False}])
def test_a_tool_in_either_form_is_converted(function: dict[str, Any]) -> None:
    """A tool may be wrapped as OpenAI's API has it, or be its fields."""
    rest = {name: value for name, value in function.items() if name != "strict"}
    expected = Tool(name="t", **rest)
    assert Tool.of({"type": "function", "function": {"name": "t", **function}}) == expected
    assert Tool.of({"name": "t", **function}) == expected
    assert Tool.of(expected) is expected


@pytest.mark.parametrize(
    ("tool", "words"),
    [
        ({"type": "web_search"}, "tool.type"),
        ({"type": "function", "function": 5}, "tool.function"),
        ({"type": "function", "function": {"name": "t", "strict": True}}, "tool.strict"),
        ({"type": "function"}, "tool.function.name"),
        ({"name": "t", "examples": []}, None),
        ({"name": "t", "cost": 1}, "the keys of tool"),
        (print, "tool must be a Tool"),
    ],
)
def test_a_tool_of_another_form_is_refused(tool: Any, words: str | None) -> None:
    """The error names the key."""
    if words is None:
        assert Tool.of(tool) == Tool(name="t")
        return
    with pytest.raises((TypeError, ValueError), match=words):
        Tool.of(tool)


@pytest.mark.parametrize(
    "choice", [{}, {"type": "tool", "function": {"name": "t"}}, {"type": "function", "function": "t"}]
)
def test_a_tool_choice_of_another_form_is_refused(choice: Any) -> None:
    """The error names the field."""
    with pytest.raises(ValueError, match=r"ChatRequest\.tool_choice must be"):
        ChatRequest(messages=ChatRequest.of("x").messages, tools=(Tool(name="t"),), tool_choice=choice)
