"""Reads message objects of other libraries, such as LangChain's and the OpenAI client's, without importing them.

A message object has ``content``, and ``role`` or ``type``. It becomes a mapping in the form of OpenAI's API, which
`openai_messages.parse_message` then converts exactly or rejects.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from kickai_providers_core.values.validation import (
    convert_to_tuple,
    describe_type,
    quote,
    raise_type_error,
    raise_value_error,
)

__all__ = ["MessageLike", "is_message_object", "read_message_object"]

TYPES = {
    "human": "user",
    "ai": "assistant",
    "HumanMessageChunk": "user",
    "AIMessageChunk": "assistant",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
}
"""LangChain's words for roles, and the types of its streamed messages."""

REASONING_PARTS = frozenset({"reasoning", "thinking", "redacted_thinking"})
"""An assistant's reasoning. It is not part of the answer, and models do not expect it back."""

CALL_PARTS = frozenset({"tool_use", "tool_call", "tool_call_chunk", "function_call"})
"""Tool calls within the content, which LangChain repeats in ``tool_calls``."""

BOOKKEEPING = frozenset({"id", "index", "extras"})
"""Keys of LangChain's content parts that say nothing about the content."""


class MessageLike(Protocol):
    """A message of another library. Besides its content it has a ``role`` or a ``type``, which is text."""

    @property
    def content(self) -> Any:
        """Text, or content parts."""


def is_message_object(value: object) -> bool:
    """Return whether a value looks like a message of another library."""
    return (
        not isinstance(value, str | bytes | Mapping | type)
        and hasattr(value, "content")
        and (isinstance(getattr(value, "role", None), str) or isinstance(getattr(value, "type", None), str))
    )


def read_message_object(value: Any, where: str) -> dict[str, Any]:
    """Return the mapping, in the form of OpenAI's API, for a message object.

    A tool result's artifact and status, a message's id and metadata, and an assistant's reasoning are left out: no
    model receives them from their own libraries either.

    Args:
        value: The object; see `is_message_object`.
        where: The path of the message in errors.

    Raises:
        TypeError: A part of it has the wrong type.
        ValueError: It has something that a message cannot represent.
    """
    role = _read_role(value, where)
    calls = [
        *_read_calls(value, "tool_calls", f"{where}.tool_calls"),
        *_read_calls(value, "invalid_tool_calls", f"{where}.invalid_tool_calls"),
    ]
    extra = getattr(value, "additional_kwargs", None)
    legacy = getattr(value, "function_call", None) or (isinstance(extra, Mapping) and extra.get("function_call"))
    if legacy and not calls:
        raise_value_error(f"{where}.function_call", "absent: use tool_calls", describe_type(legacy))
    ids = {call.get("id") for call in calls}
    return {
        "role": role,
        "content": _read_content(value.content, f"{where}.content", ids, is_assistant=role == "assistant"),
        "tool_calls": calls,
        "tool_call_id": getattr(value, "tool_call_id", None),
        "name": getattr(value, "name", None),
        "refusal": getattr(value, "refusal", None),
    }


def _read_role(value: Any, where: str) -> str:
    role = getattr(value, "role", None)
    if isinstance(role, str):
        return TYPES.get(role, role)
    if value.type in {"function", "remove"}:
        raise_value_error(f"{where}.type", "'human', 'ai', 'system' or 'tool'", quote(value.type))
    return TYPES.get(value.type, str(value.type))


def _read_calls(value: Any, name: str, where: str) -> list[dict[str, Any]]:
    calls = convert_to_tuple(where, "tool calls", getattr(value, name, None))
    return [_read_call(call, f"{where}[{place}]") for place, call in enumerate(calls)]


def _read_call(call: Any, where: str) -> dict[str, Any]:
    """Return the mapping for LangChain's ``{"name", "args", "id"}``, or for a call of the OpenAI client."""
    if isinstance(call, Mapping):
        if "args" not in call:
            return dict(call)
        return {"id": call.get("id"), "name": call.get("name"), "arguments": call["args"]}
    function = getattr(call, "function", None)
    if function is not None:
        named = {"name": getattr(function, "name", None), "arguments": getattr(function, "arguments", None)}
        return {"id": getattr(call, "id", None), "type": getattr(call, "type", None) or "function", "function": named}
    if not hasattr(call, "name") or not hasattr(call, "arguments"):
        raise_type_error(where, "a tool call with name, arguments and id", describe_type(call))
    return {"id": getattr(call, "id", None), "name": call.name, "arguments": call.arguments}


def _read_content(content: object, where: str, ids: set[object], *, is_assistant: bool) -> object:
    if isinstance(content, str | None):
        return content
    parts = convert_to_tuple(where, "content parts, or text", content)
    read = [_read_part(part, f"{where}[{place}]", ids, is_assistant=is_assistant) for place, part in enumerate(parts)]
    return [part for part in read if part is not None]


def _read_part(part: object, where: str, ids: set[object], *, is_assistant: bool) -> Mapping[str, Any] | None:
    """Return a content part in OpenAI's form; None for one that adds nothing."""
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, Mapping):
        raise_type_error(where, "text, or a mapping with type", describe_type(part))
    kind = part.get("type")
    if is_assistant and kind in REASONING_PARTS:
        return None
    if is_assistant and kind in CALL_PARTS:
        if not ids & {part.get("id"), part.get("call_id")}:
            raise_value_error(where, "one of the message's tool_calls", "a call with another id")
        return None
    plain = {key: value for key, value in part.items() if key not in BOOKKEEPING}
    return _read_image(plain, where) if kind == "image" else plain


def _read_image(part: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the part for an image block of LangChain, of its first or its second form."""
    url, data = part.get("url"), part.get("base64", part.get("data"))
    unknown = set(part) - {"type", "url", "base64", "data", "mime_type", "source_type"}
    if unknown or (url is None) == (data is None):
        raise_value_error(where, "an image with mime_type and base64, or with url", f"the keys {sorted(part)}")
    if data is not None and not (isinstance(data, str) and isinstance(part.get("mime_type"), str)):
        raise_type_error(f"{where}.base64", "base64 text with a mime_type", describe_type(data))
    return {"type": "image_url", "image_url": url if data is None else f"data:{part['mime_type']};base64,{data}"}
