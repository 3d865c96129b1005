"""Requests of the Chat Completions protocol."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kickai_providers_core.values.images import Image
    from kickai_providers_core.values.messages import Message
    from kickai_providers_core.values.requests import ChatRequest
    from kickai_providers_core.values.tools import Tool

__all__ = ["encode"]

SCHEMA_NAME = "reply"
"""The protocol requires a name for a schema; it has no effect."""


def encode(request: ChatRequest, *, model: str | None, stream: bool) -> dict[str, Any]:
    """Return the body of a request, made of dicts, lists and plain values; change it where a service differs.

    Fields that the request leaves to the provider are left out. Use `dump_bytes` to send it.

    Args:
        request: What to request.
        model: The model in the service's words; None to name none.
        stream: Whether the answer is to be streamed, with the token counts at its end.
    """
    fields = {
        "model": model,
        "messages": [_encode_message(message) for message in request.messages],
        "stream": stream,
        "stream_options": {"include_usage": True} if stream else None,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
        "tools": [_encode_tool(tool) for tool in request.tools] or None,
        "tool_choice": _encode_tool_choice(request.tool_choice) if request.tools else None,
        "response_format": None if request.json_schema is None else _encode_response_format(request.json_schema),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _encode_message(message: Message) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        text = [{"type": "text", "text": message.content}] if message.content else []
        images = [{"type": "image_url", "image_url": {"url": _encode_image(image)}} for image in message.images]
        fields["content"] = [*text, *images]
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
    return fields


def _encode_image(image: Image) -> str:
    return image.url or f"data:{image.media_type};base64,{b64encode(image.data or b'').decode('ascii')}"


def _encode_tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": _convert_json(tool.parameters)}
    return {"type": "function", "function": function}


def _encode_tool_choice(choice: str | None) -> str | dict[str, Any] | None:
    if choice in {None, "auto", "none", "required"}:
        return choice
    return {"type": "function", "function": {"name": choice}}


def _encode_response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": SCHEMA_NAME, "schema": _convert_json(schema), "strict": True},
    }


def _convert_json(value: Any) -> Any:
    """Return a JSON value as dicts and lists, which is all that most encoders accept."""
    if isinstance(value, Mapping):
        return {str(key): _convert_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_convert_json(part) for part in value]
    return value
