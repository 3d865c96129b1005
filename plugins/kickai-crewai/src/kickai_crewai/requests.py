"""From the arguments of a CrewAI call to a request. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core import ArgumentTypeError, ArgumentValueError, ChatRequest, Message, Tool
from kickai_providers_core.values.validation import describe_type

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import BaseModel

__all__ = ["build_request", "estimate_tokens", "validate_messages"]

MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id")
"""The keys of CrewAI's messages that a request keeps. A tool's ``name`` is known from its call."""

CHARACTERS_PER_TOKEN = 4
"""About as many as in English text ("What are tokens and how to count them?", OpenAI help center)."""

TOKENS_PER_MESSAGE = 4
"""For the role and the separators of a message, as in OpenAI's cookbook, "How to count tokens with tiktoken"."""


def validate_messages(messages: object) -> None:
    """Raise unless the messages are text or a list of mappings. No error quotes them.

    Raises:
        ArgumentTypeError: They are something else.
    """
    if isinstance(messages, str):
        return
    if not isinstance(messages, list):
        raise ArgumentTypeError(f"messages must be text or a list of messages, got {describe_type(messages)}")
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            given = describe_type(message)
            raise ArgumentTypeError(f"messages[{place}] must be a mapping with role and content, got {given}")


def build_request(
    messages: Sequence[Mapping[str, Any]],
    *,
    tools: Iterable[Mapping[str, Any]] | None = None,
    described_model: type[BaseModel] | None = None,
    **fields: Any,
) -> ChatRequest:
    """Return the request for a call.

    Args:
        messages: CrewAI's messages, each with a role and content.
        tools: Tools in the form of OpenAI's API.
        described_model: The class of the answer, when its JSON schema has to become part of the prompt.
        fields: Further fields of the request.

    Raises:
        ArgumentTypeError: A message or a tool has the wrong form.
        ArgumentValueError: It cannot be sent, for example a file that is not an image.
    """
    converted = tuple(_convert_message(message, place) for place, message in enumerate(messages))
    if described_model is not None:
        converted = (*converted, _build_instruction(described_model.model_json_schema()))
    converted_tools = tuple(_convert_tool(tool, place) for place, tool in enumerate(tools or ()))
    return ChatRequest(messages=converted, tools=converted_tools, **fields)


def _convert_message(message: Mapping[str, Any], place: int) -> Message:
    where = f"messages[{place}]"
    if message.get("files"):
        raise ArgumentValueError(f"{where} has files, and the package crewai-files, which reads them, is not installed")
    known = {key: message[key] for key in MESSAGE_KEYS if message.get(key) is not None}
    if known.get("role") != "assistant":
        known.setdefault("content", "")
    elif "content" not in known:
        known["content"] = None if known.get("tool_calls") else ""
    return Message.of(known, where)


def _convert_tool(tool: Mapping[str, Any], place: int) -> Tool:
    """Return a tool without ``strict``, which CrewAI always sets and not every provider can promise."""
    function = tool.get("function", tool)
    known = {key: function[key] for key in ("name", "description", "parameters") if function.get(key) is not None}
    return Tool.of(known, f"tools[{place}]")


def _build_instruction(schema: Mapping[str, Any]) -> Message:
    text = f"Answer with one JSON object that satisfies this JSON schema, and nothing else:\n{json.dumps(schema)}"
    return Message(role="user", content=text)


def estimate_tokens(
    messages: str | Sequence[Mapping[str, Any]],
    tools: Iterable[Any] | None = None,
    response_model: type[BaseModel] | None = None,
) -> int:
    """Return about how many tokens a call's prompt has, from the lengths of its texts. Images count 0."""
    if isinstance(messages, str):
        messages = [{"content": messages}]
    characters = sum(_count_characters(message) for message in messages)
    characters += sum(len(str(tool)) for tool in tools or ())
    if response_model is not None:
        characters += len(json.dumps(response_model.model_json_schema()))
    return -(-characters // CHARACTERS_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages)


def _count_characters(message: Mapping[str, Any]) -> int:
    content = message.get("content") or ""
    texts = [part.get("text", "") for part in content] if isinstance(content, list) else [content]
    return sum(map(len, texts)) + sum(len(str(call)) for call in message.get("tool_calls") or ())
