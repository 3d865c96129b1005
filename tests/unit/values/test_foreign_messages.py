"""Message objects of other libraries become messages exactly, or are refused with index and reason."""

from __future__ import annotations

from types import SimpleNamespace as Object
from typing import Any

import pytest

from kickai_providers_core import ArgumentTypeError, ArgumentValueError, ChatRequest, Image, Message, ToolCall

PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}}
IMAGE = Image(media_type="image/png", data=b"x")
ARGS = {"name": "look", "args": {"a": 1}, "id": "1", "type": "tool_call"}
CALL = ToolCall(id="1", name="look", arguments='{"a": 1}')


class Pairs:
    """A message that can be iterated over, as pydantic's models can."""

    type = "human"
    content = "hi"

    def __iter__(self) -> Any:
        return iter([("content", "hi")])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Object(type="human", content="hi"), Message(role="user", content="hi")),
        (Object(type="system", content="hi", name=None, id="7"), Message(role="system", content="hi")),
        (Object(type="chat", role="user", content="hi"), Message(role="user", content="hi")),
        (Object(role="developer", content="hi"), Message(role="system", content="hi")),
        (Object(type="ai", content="hi", tool_calls=[]), Message(role="assistant", content="hi")),
        (Object(type="AIMessageChunk", content=["h", "i"]), Message(role="assistant", content="hi")),
        (Object(type="ai", content="", tool_calls=[ARGS]), Message(role="assistant", tool_calls=(CALL,))),
        (
            Object(type="ai", content=[{"type": "tool_use", "id": "1", "input": {}}], tool_calls=[ARGS]),
            Message(role="assistant", tool_calls=(CALL,)),
        ),
        (
            Object(type="ai", content=[{"type": "function_call", "call_id": "1", "id": "fc"}], tool_calls=[ARGS]),
            Message(role="assistant", tool_calls=(CALL,)),
        ),
        (
            Object(type="ai", content="", invalid_tool_calls=[{"name": "look", "args": "{", "id": "1", "error": "x"}]),
            Message(role="assistant", tool_calls=(ToolCall(id="1", name="look", arguments="{"),)),
        ),
        (
            Object(type="ai", content=[{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]),
            Message(role="assistant", content="hi"),
        ),
        (
            Object(type="ai", content=[{"type": "text", "text": "hi", "index": 0, "id": "x", "annotations": []}]),
            Message(role="assistant", content="hi"),
        ),
        (
            Object(
                role="assistant",
                content=None,
                refusal=None,
                tool_calls=[Object(id="1", type="function", function=Object(name="look", arguments='{"a": 1}'))],
            ),
            Message(role="assistant", tool_calls=(CALL,)),
        ),
        (
            Object(
                role="assistant",
                content="",
                tool_calls=[{"id": "1", "function": {"name": "look", "arguments": '{"a": 1}'}}],
            ),
            Message(role="assistant", tool_calls=(CALL,)),
        ),
        (Object(role="assistant", content="", tool_calls=[CALL]), Message(role="assistant", tool_calls=(CALL,))),
        (Object(role="assistant", content=None, refusal="No."), Message(role="assistant", content="No.")),
        (
            Object(type="tool", content="7", tool_call_id="1", name="look", status="error", artifact=object()),
            Message(role="tool", content="7", tool_call_id="1"),
        ),
        (Object(type="human", content=["look: ", PNG]), Message(role="user", content="look: ", images=(IMAGE,))),
        (
            Object(type="human", content=[{"type": "image", "base64": "eA==", "mime_type": "image/png", "id": "1"}]),
            Message(role="user", images=(IMAGE,)),
        ),
        (
            Object(
                type="human",
                content=[{"type": "image", "source_type": "base64", "data": "eA==", "mime_type": "image/png"}],
            ),
            Message(role="user", images=(IMAGE,)),
        ),
        (
            Object(type="human", content=[{"type": "image", "url": "https://x.test/a.png"}]),
            Message(role="user", images=(Image(media_type="image/png", url="https://x.test/a.png"),)),
        ),
    ],
)
def test_an_object_is_converted_exactly(given: Any, expected: Message) -> None:
    """Text, parts, images, calls and results keep their meaning."""
    before = Message(role="system", content="Be brief.")
    assert ChatRequest.from_prompt([before, given]).messages == (before, expected)


@pytest.mark.parametrize(
    ("given", "error", "path"),
    [
        (Object(type="function", content="7"), ArgumentValueError, "messages[1].type"),
        (Object(type="remove", content=""), ArgumentValueError, "messages[1].type"),
        (Object(type="oracle", content="private"), ArgumentValueError, "messages[1]: Message.role"),
        (Object(type="human", content=5), ArgumentTypeError, "messages[1].content"),
        (Object(type="human", content=[5]), ArgumentTypeError, "messages[1].content[0]"),
        (Object(type="human", content="private", name="Ann"), ArgumentValueError, "messages[1].name"),
        (Object(type="human", content="", tool_calls=[ARGS]), ArgumentValueError, "messages[1]: Message.tool_calls"),
        (
            Object(type="human", content=[{"type": "audio", "base64": ""}]),
            ArgumentValueError,
            "messages[1].content[0].type",
        ),
        (Object(type="human", content=[{"type": "thinking"}]), ArgumentValueError, "messages[1].content[0].type"),
        (
            Object(type="human", content=[{"type": "image", "file_id": "x"}]),
            ArgumentValueError,
            "messages[1].content[0]",
        ),
        (
            Object(type="human", content=[{"type": "image", "base64": "eA=="}]),
            ArgumentTypeError,
            "messages[1].content[0].base64",
        ),
        (
            Object(type="ai", content=[{"type": "tool_use", "id": "2"}], tool_calls=[ARGS]),
            ArgumentValueError,
            "messages[1].content[0]",
        ),
        (
            Object(type="ai", content="", tool_calls=[{**ARGS, "id": None}]),
            ArgumentValueError,
            "messages[1].tool_calls[0].id",
        ),
        (Object(type="ai", content="", tool_calls=["look"]), ArgumentTypeError, "messages[1].tool_calls[0]"),
        (
            Object(role="assistant", content="", tool_calls=[Object(id="1", type="custom", function=Object(name="x"))]),
            ArgumentValueError,
            "messages[1].tool_calls[0].type",
        ),
        (
            Object(type="ai", content="", additional_kwargs={"function_call": {"name": "f"}}),
            ArgumentValueError,
            "messages[1].function_call",
        ),
        (Object(role="assistant", content="private", refusal="private"), ArgumentValueError, "messages[1].refusal"),
        (Object(content="hi"), ArgumentTypeError, "messages[1]"),
        (Object(type="human"), ArgumentTypeError, "messages[1]"),
    ],
)
def test_an_object_that_cannot_be_converted_is_refused(given: Any, error: type[Exception], path: str) -> None:
    """The error says where the cause is, and quotes no text."""
    with pytest.raises(error) as raised:
        ChatRequest.from_prompt([{"role": "user", "content": "hi"}, given])
    assert str(raised.value).startswith(path)
    assert "private" not in str(raised.value)


@pytest.mark.parametrize("given", [Pairs(), Object(type="human", content="hi"), Message(role="user", content="hi")])
def test_a_single_message_belongs_into_a_list(given: Any) -> None:
    """A message alone is not a prompt, even if it can be iterated over."""
    with pytest.raises(ArgumentTypeError, match=r"^a prompt must be text"):
        ChatRequest.from_prompt(given)


def test_messages_of_the_real_langchain() -> None:
    """LangChain's own classes are converted."""
    langchain = pytest.importorskip("langchain_core.messages", reason="runs in nox -s together")
    history = [
        langchain.SystemMessage("Be brief."),
        langchain.HumanMessage([{"type": "text", "text": "look: "}, PNG]),
        langchain.HumanMessage(content_blocks=[{"type": "image", "base64": "eA==", "mime_type": "image/png"}]),
        langchain.AIMessage("", tool_calls=[{"name": "look", "args": {"a": 1}, "id": "1"}]),
        langchain.ToolMessage("7", tool_call_id="1", name="look", artifact=object()),
        langchain.AIMessageChunk("se") + langchain.AIMessageChunk("ven"),
        langchain.ChatMessage("hi", role="user"),
    ]
    assert ChatRequest.from_prompt(history).messages == (
        Message(role="system", content="Be brief."),
        Message(role="user", content="look: ", images=(IMAGE,)),
        Message(role="user", images=(IMAGE,)),
        Message(role="assistant", tool_calls=(CALL,)),
        Message(role="tool", content="7", tool_call_id="1"),
        Message(role="assistant", content="seven"),
        Message(role="user", content="hi"),
    )
    with pytest.raises(ArgumentValueError, match=r"^messages\[0\]\.type must be"):
        ChatRequest.from_prompt([langchain.FunctionMessage("7", name="look")])
    with pytest.raises(ArgumentTypeError, match="put the message into a list"):
        ChatRequest.from_prompt(langchain.HumanMessage("hi"))


def test_messages_of_the_real_openai_client() -> None:
    """The message of a completion goes back as it came."""
    chat = pytest.importorskip("openai.types.chat", reason="runs in nox -s together")
    reply = chat.ChatCompletionMessage.model_validate(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}],
        }
    )
    expected = (Message(role="assistant", tool_calls=(CALL,)),)
    assert ChatRequest.from_prompt([reply]).messages == expected
    assert ChatRequest.from_prompt([reply.model_dump()]).messages == expected
