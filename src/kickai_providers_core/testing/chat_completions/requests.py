"""What a service that speaks the Chat Completions protocol understands of a request."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.tools import Tool, ToolCall

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["read_request"]

NAMES: Mapping[str, tuple[str, ...]] = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_completion_tokens"),
    "top_p": ("top_p",),
    "seed": ("seed", "random_seed"),
    "stop": ("stop",),
}
"""The names of a request's fields in OpenAI's API, and in those of services that imitate it."""

WORDS_OF_CHOICES = {"any": "required"}
ROLES = {"developer": "system"}


def read_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a `ChatRequest` that a body holds, by name.

    Raises:
        TypeError: A part has the wrong type.
        ValueError: A part has a wrong value.
        LookupError: A part is missing.
    """
    found: dict[str, Any] = {name: body[key] for name, keys in NAMES.items() for key in keys if key in body}
    if "stop" in found:
        found["stop"] = (found["stop"],) if isinstance(found["stop"], str) else tuple(found["stop"])
    found["messages"] = tuple(_read_message(message) for message in body["messages"])
    if "tools" in body:
        found["tools"] = tuple(_read_tool(tool["function"]) for tool in body["tools"])
    choice = body.get("tool_choice")
    if choice is not None:
        found["tool_choice"] = (
            choice["function"]["name"] if isinstance(choice, dict) else WORDS_OF_CHOICES.get(choice, choice)
        )
    form = body.get("response_format") or {}
    if form.get("type") == "json_schema":
        found["json_schema"] = form["json_schema"]["schema"]
    return found


def _read_message(message: Mapping[str, Any]) -> Message:
    content = message.get("content")
    parts: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
    return Message(
        role=ROLES.get(message["role"], message["role"]),
        content="".join(part["text"] for part in parts if part["type"] == "text"),
        images=tuple(_read_image(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"),
        tool_calls=tuple(_read_call(call) for call in message.get("tool_calls") or ()),
        tool_call_id=message.get("tool_call_id"),
    )


def _read_image(url: str) -> Image:
    if not url.startswith("data:"):
        return Image(media_type="image/*", url=url)
    head, _, data = url.partition(",")
    return Image(
        media_type=head.removeprefix("data:").removesuffix(";base64"), data=base64.b64decode(data, validate=True)
    )


def _read_call(call: Mapping[str, Any]) -> ToolCall:
    function = call["function"]
    if not isinstance(function["arguments"], str):
        raise TypeError(f"the arguments of a tool call must be a text, got {type(function['arguments']).__name__}")
    return ToolCall(id=call["id"], name=function["name"], arguments=function["arguments"])


def _read_tool(function: Mapping[str, Any]) -> Tool:
    return Tool(name=function["name"], description=function.get("description") or "", parameters=function["parameters"])
