"""From the mappings of OpenAI's Chat Completions API to the fields of our values: exactly, or not at all.

The form is that of https://platform.openai.com/docs/api-reference/chat/create. A mapping that says what our values
cannot hold is refused with the path of what is in the way; no refusal quotes the text of a message.
"""

from __future__ import annotations

import base64
import binascii
import mimetypes
import re
from collections.abc import Mapping
from typing import Any

from kickai_providers_core.values.validation import refuse_type, refuse_value, shape, shown, tuple_of

__all__ = ["image_fields", "message_fields", "tool_call_fields", "tool_choice_name", "tool_fields"]

ROLES = {"developer": "system"}
"""Roles of the API that have another name here."""

MESSAGE_KEYS = frozenset({"role", "content", "images", "tool_calls", "tool_call_id", "name"})

DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*?;base64,(?P<data>.*)", re.DOTALL)

ANY_IMAGE = "image/*"
"""The media type of an image of which only the URL is known."""


def message_fields(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `Message`; its images and tool calls are mappings of fields too.

    Args:
        message: As the API takes it, and as it returns an assistant's.
        where: The path of the message, for refusals.
    """
    given = _known(message, MESSAGE_KEYS, where)
    if "role" not in given:
        refuse_value(where, "a mapping with role and content", f"the keys {sorted(given)}")
    role = given["role"]
    fields: dict[str, Any] = {"role": ROLES.get(role, role) if isinstance(role, str) else role}
    name = given.pop("name", None)
    if name is not None and role != "tool":  # a tool's result names its call, and the call names the tool
        refuse_value(f"{where}.name", "absent, since not every provider takes it: put it into the content", shown(name))
    content = given.get("content")
    if isinstance(content, str | None):
        fields["content"] = content if "content" in given else ""
        images: list[Any] = []
    else:
        fields["content"], images = _parts(content, f"{where}.content")
    images += tuple_of(f"{where}.images", "images", given.get("images"))
    fields["images"] = tuple(images)
    calls = tuple_of(f"{where}.tool_calls", "tool calls", given.get("tool_calls"))
    fields["tool_calls"] = tuple(
        tool_call_fields(call, f"{where}.tool_calls[{place}]") if isinstance(call, Mapping) else call
        for place, call in enumerate(calls)
    )
    fields["tool_call_id"] = given.get("tool_call_id")
    return fields


def tool_call_fields(call: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `ToolCall` from ``{"id", "type": "function", "function": {"name", "arguments"}}``."""
    given = _known(call, {"id", "type", "index", "function", "name", "arguments"}, where)
    if given.get("type", "function") != "function":
        refuse_value(f"{where}.type", "'function'", shown(given["type"]))
    if "function" in given:
        function = given["function"]
        if not isinstance(function, Mapping):
            refuse_type(f"{where}.function", "a mapping with name and arguments", shape(function))
        given |= _known(function, {"name", "arguments"}, f"{where}.function")
    if not given.get("id"):
        refuse_value(f"{where}.id", "the text that the tool's message repeats as tool_call_id", shown(given.get("id")))
    if "name" not in given:
        refuse_value(f"{where}.function.name", "the name of the tool", "None")
    return {"id": given["id"], "name": given["name"], "arguments": given.get("arguments", "{}")}


def tool_fields(tool: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `Tool` from ``{"type": "function", "function": {…}}``, or from a mapping of them."""
    given = _known(tool, {"type", "function", "name", "description", "parameters", "strict"}, where)
    if given.get("type", "function") != "function":
        refuse_value(f"{where}.type", "'function'", shown(given["type"]))
    if "function" in given:
        function = given.pop("function")
        if not isinstance(function, Mapping):
            refuse_type(f"{where}.function", "a mapping with name, description and parameters", shape(function))
        given |= _known(function, {"name", "description", "parameters", "strict"}, f"{where}.function")
    if given.pop("strict", None):
        refuse_value(f"{where}.strict", "absent or false, since not every provider can promise it", "True")
    given.pop("type", None)
    if "name" not in given:
        refuse_value(f"{where}.function.name", "the name of the tool", "None")
    return given


def tool_choice_name(choice: Mapping[str, Any]) -> object:
    """Return the name in ``{"type": "function", "function": {"name"}}``."""
    where = "ChatRequest.tool_choice"
    given = _known(choice, {"type", "function"}, where)
    function = given.get("function")
    if given.get("type") != "function" or not isinstance(function, Mapping) or set(function) != {"name"}:
        refuse_value(where, "'auto', 'none', 'required' or the name of a tool", "a mapping of another form")
    return function["name"]


def image_fields(url: object, where: str) -> dict[str, Any]:
    """Return the fields of an `Image` from an address or a data URL."""
    if not isinstance(url, str):
        refuse_type(where, "text", shape(url))
    if not url.startswith("data:"):
        media_type = mimetypes.guess_type(url.partition("?")[0])[0] or ANY_IMAGE
        return {"url": url, "media_type": media_type if media_type.startswith("image/") else ANY_IMAGE}
    found = DATA_URL.fullmatch(url)
    if found is None:
        refuse_value(where, "a data URL of the form data:image/png;base64,…", shape(url))
    try:
        data = base64.b64decode(found["data"], validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        refuse_value(where, "a data URL with valid base64 that is not empty", shape(url))
    return {"data": data, "media_type": found["media_type"]}


def _parts(parts: object, where: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the text and the images of content parts. Images go with a text, and their place in it is not kept."""
    texts: list[str] = []
    images: list[dict[str, Any]] = []
    kinds: list[str] = []
    for place, part in enumerate(tuple_of(where, "content parts, or text", parts)):
        here = f"{where}[{place}]"
        if not isinstance(part, Mapping):
            refuse_type(here, "a mapping with type", shape(part))
        kind = part.get("type")
        if kind == "text":
            text = _known(part, {"type", "text"}, here).get("text")
            if not isinstance(text, str):
                refuse_type(f"{here}.text", "text", shape(text))
            texts.append(text)
        elif kind == "image_url":
            images.append(_image(_known(part, {"type", "image_url"}, here).get("image_url"), f"{here}.image_url"))
        else:
            refuse_value(f"{here}.type", "'text' or 'image_url'", shown(kind))
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
    if len(kinds) > 2:  # noqa: PLR2004  text and images, in either order
        refuse_value(where, "text before images or images before text", f"{len(kinds)} alternating runs of both")
    return "".join(texts), images


def _image(given: object, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return image_fields(given, where)
    known = _known(given, {"url", "detail"}, where)
    if known.get("detail") not in {None, "auto"}:
        refuse_value(f"{where}.detail", "'auto', since not every provider takes another", shown(known["detail"]))
    return image_fields(known.get("url"), f"{where}.url")


def _known(mapping: Mapping[str, Any], keys: frozenset[str] | set[str], where: str) -> dict[str, Any]:
    """Return a mapping as a dict, without the unknown keys that hold nothing, which clients write in plenty."""
    unknown = [key for key, value in mapping.items() if key not in keys and value is not None and value != []]
    if unknown:
        refuse_value(f"the keys of {where}", f"among {', '.join(sorted(keys))}", ", ".join(map(shown, unknown)))
    return {key: value for key, value in mapping.items() if key in keys}
