"""Converts the mappings of OpenAI's Chat Completions API to the fields of our values, exactly or not at all.

See https://platform.openai.com/docs/api-reference/chat/create for the form. A mapping that our values cannot represent
is rejected with the path of the cause. No error quotes the text of a message.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

from kickai_providers_core.values.validation import (
    convert_to_tuple,
    describe_type,
    quote,
    raise_type_error,
    raise_value_error,
)

__all__ = ["parse_image_url", "parse_message", "parse_tool", "parse_tool_call", "parse_tool_choice"]

ROLES = {"developer": "system"}
"""Roles of the API that have a different name here."""

MESSAGE_KEYS = frozenset({"role", "content", "images", "tool_calls", "tool_call_id", "name", "refusal"})

DATA_URL = re.compile(r"data:(?P<media_type>[\w.+-]+/[\w.+-]+)(?:;[\w=.+-]+)*?;base64,(?P<data>.*)", re.DOTALL)

TEXT_PARTS = frozenset({"text", "refusal"})
"""Content parts that are text; a refusal is what an assistant said instead of an answer."""

ANY_IMAGE = "image/*"
"""The media type of an image if only its URL is known."""


def parse_message(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `Message`; its images and tool calls are mappings of fields too.

    Args:
        message: The message, as the API accepts it and as it returns an assistant's message.
        where: The path of the message in errors.
    """
    given = _keep_known_keys(message, MESSAGE_KEYS, where)
    if "role" not in given:
        raise_value_error(where, "a mapping with role and content", f"the keys {sorted(given)}")
    role = given["role"]
    fields: dict[str, Any] = {"role": ROLES.get(role, role) if isinstance(role, str) else role}
    name = given.pop("name", None)
    if name is not None and role != "tool":  # a tool's result names its call, and the call names the tool
        raise_value_error(
            f"{where}.name", "absent, since not every provider takes it: put it into the content", quote(name)
        )
    refusal = given.pop("refusal", None)
    content = given.get("content")
    if refusal and not content:  # what the model said instead of an answer
        content = given["content"] = refusal
    elif refusal:
        raise_value_error(f"{where}.refusal", "absent next to content", describe_type(refusal))
    if isinstance(content, str | None):
        fields["content"] = content if "content" in given else ""
        images: list[Any] = []
    else:
        fields["content"], images = _convert_parts(content, f"{where}.content")
    images += convert_to_tuple(f"{where}.images", "images", given.get("images"))
    fields["images"] = tuple(images)
    calls = convert_to_tuple(f"{where}.tool_calls", "tool calls", given.get("tool_calls"))
    fields["tool_calls"] = tuple(
        parse_tool_call(call, f"{where}.tool_calls[{place}]") if isinstance(call, Mapping) else call
        for place, call in enumerate(calls)
    )
    fields["tool_call_id"] = given.get("tool_call_id")
    return fields


def parse_tool_call(call: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `ToolCall` from ``{"id", "type": "function", "function": {"name", "arguments"}}``."""
    given = _keep_known_keys(call, {"id", "type", "index", "function", "name", "arguments"}, where)
    if given.get("type", "function") != "function":
        raise_value_error(f"{where}.type", "'function'", quote(given["type"]))
    if "function" in given:
        function = given["function"]
        if not isinstance(function, Mapping):
            raise_type_error(f"{where}.function", "a mapping with name and arguments", describe_type(function))
        given |= _keep_known_keys(function, {"name", "arguments"}, f"{where}.function")
    if not given.get("id"):
        raise_value_error(
            f"{where}.id", "the text that the tool's message repeats as tool_call_id", quote(given.get("id"))
        )
    if "name" not in given:
        raise_value_error(f"{where}.function.name", "the name of the tool", "None")
    return {"id": given["id"], "name": given["name"], "arguments": given.get("arguments", "{}")}


def parse_tool(tool: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return the fields of a `Tool` from ``{"type": "function", "function": {…}}``, or from a mapping of them."""
    given = _keep_known_keys(tool, {"type", "function", "name", "description", "parameters", "strict"}, where)
    if given.get("type", "function") != "function":
        raise_value_error(f"{where}.type", "'function'", quote(given["type"]))
    if "function" in given:
        function = given.pop("function")
        if not isinstance(function, Mapping):
            raise_type_error(
                f"{where}.function", "a mapping with name, description and parameters", describe_type(function)
            )
        given |= _keep_known_keys(function, {"name", "description", "parameters", "strict"}, f"{where}.function")
    if given.pop("strict", None):
        raise_value_error(f"{where}.strict", "absent or false, since not every provider can promise it", "True")
    given.pop("type", None)
    if "name" not in given:
        raise_value_error(f"{where}.function.name", "the name of the tool", "None")
    return given


def parse_tool_choice(choice: Mapping[str, Any]) -> object:
    """Return the name in ``{"type": "function", "function": {"name"}}``."""
    where = "ChatRequest.tool_choice"
    given = _keep_known_keys(choice, {"type", "function"}, where)
    function = given.get("function")
    if given.get("type") != "function" or not isinstance(function, Mapping) or set(function) != {"name"}:
        raise_value_error(where, "'auto', 'none', 'required' or the name of a tool", "a mapping of another form")
    return function["name"]


def parse_image_url(url: object, where: str) -> dict[str, Any]:
    """Return the fields of an `Image` from a URL or a data URL."""
    if not isinstance(url, str):
        raise_type_error(where, "text", describe_type(url))
    if not url.startswith("data:"):
        from mimetypes import guess_type  # noqa: PLC0415  its import takes a while, and few requests have images

        media_type = guess_type(url.partition("?")[0])[0] or ANY_IMAGE
        return {"url": url, "media_type": media_type if media_type.startswith("image/") else ANY_IMAGE}
    found = DATA_URL.fullmatch(url)
    if found is None:
        raise_value_error(where, "a data URL of the form data:image/png;base64,…", describe_type(url))
    try:
        data = base64.b64decode(found["data"], validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        raise_value_error(where, "a data URL with valid base64 that is not empty", describe_type(url))
    return {"data": data, "media_type": found["media_type"]}


def _convert_parts(parts: object, where: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the text and the images of content parts; the positions of the images in the text are not kept."""
    texts: list[str] = []
    images: list[dict[str, Any]] = []
    kinds: list[str] = []
    for place, part in enumerate(convert_to_tuple(where, "content parts, or text", parts)):
        here = f"{where}[{place}]"
        if not isinstance(part, Mapping):
            raise_type_error(here, "a mapping with type", describe_type(part))
        kind = part.get("type")
        if kind in TEXT_PARTS:
            text = _keep_known_keys(part, {"type", kind}, here).get(kind)
            if not isinstance(text, str):
                raise_type_error(f"{here}.{kind}", "text", describe_type(text))
            texts.append(text)
            kind = "text"
        elif kind == "image_url":
            images.append(
                _convert_image(
                    _keep_known_keys(part, {"type", "image_url"}, here).get("image_url"), f"{here}.image_url"
                )
            )
        else:
            raise_value_error(f"{here}.type", "'text', 'image_url' or 'refusal'", quote(kind))
        if not kinds or kinds[-1] != kind:
            kinds.append(kind)
    if len(kinds) > 2:  # noqa: PLR2004  text and images, in either order
        raise_value_error(where, "text before images or images before text", f"{len(kinds)} alternating runs of both")
    return "".join(texts), images


def _convert_image(given: object, where: str) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        return parse_image_url(given, where)
    known = _keep_known_keys(given, {"url", "detail"}, where)
    if known.get("detail") not in {None, "auto"}:
        raise_value_error(f"{where}.detail", "'auto', since not every provider takes another", quote(known["detail"]))
    return parse_image_url(known.get("url"), f"{where}.url")


def _keep_known_keys(mapping: Mapping[str, Any], keys: frozenset[str] | set[str], where: str) -> dict[str, Any]:
    """Return a mapping as a dict without unknown keys whose values are empty, which clients often add."""
    unknown = [key for key, value in mapping.items() if key not in keys and value is not None and value != []]
    if unknown:
        raise_value_error(f"the keys of {where}", f"among {', '.join(sorted(keys))}", ", ".join(map(quote, unknown)))
    return {key: value for key, value in mapping.items() if key in keys}
