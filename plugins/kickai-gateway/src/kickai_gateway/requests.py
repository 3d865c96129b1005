"""Requests of ``POST /v1/chat/completions`` as values. Pure translation."""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from kickai_providers_core import ArgumentTypeError, ArgumentValueError, ChatRequest, Message
from kickai_providers_core.values.validation import describe_type, quote

from kickai_gateway.errors import ApiError, ErrorReply, build_argument_error_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ChatCall", "parse_chat", "parse_json_object"]

USED = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "temperature", "top_p", "stop", "seed"),
        *("max_tokens", "max_completion_tokens", "tools", "tool_choice", "response_format"),
        "parallel_tool_calls",
    }
)
"""The fields that change the request."""

IGNORED = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
        *("prompt_cache_retention", "prediction", "verbosity", "reasoning_effort"),
    }
)
"""The fields that are accepted with any value and have no effect: hints, and what only OpenAI's own service uses."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("none",),
    "audio": (),
    "web_search_options": (),
}
"""The fields that change the answer in ways that not every provider can, with the values that change nothing.

Other values are rejected. None is always accepted, as if the field were absent.
"""

FIELDS = USED | IGNORED | NEUTRAL.keys()

MAX_MESSAGES, MAX_TOOLS = 2_048, 512
"""The most messages, and the most tools or stop texts. Reading 100,000 would block all other requests for seconds."""

ECHOED = frozenset({"reasoning_content", "reasoning", "annotations", "audio", "function_call"})
"""The fields of an assistant's message that clients send back and no provider needs."""


@frozen(kw_only=True)
class ChatCall:
    """One request for an answer.

    Attributes:
        model: The name that the client asked for: a role, an instance, a target or a chain.
        request: What to request.
        stream: Whether the answer is to be streamed.
        include_usage: Whether the stream ends with the token counts.
        parallel_tool_calls: Whether the answer may have several tool calls. Otherwise only the first one is passed on.
    """

    model: str
    request: ChatRequest = field(repr=False)
    stream: bool = False
    include_usage: bool = False
    parallel_tool_calls: bool = True


def parse_json_object(data: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises:
        ApiError: It is not a JSON object in UTF-8.
    """
    try:
        value = _DECODER.decode(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise _build_request_error("the body must be a JSON object in UTF-8", code="invalid_json") from None
    if not isinstance(value, dict):
        raise _build_request_error(f"the body must be a JSON object, got {_name_type(value)}", code="invalid_json")
    return value


def parse_chat(body: Mapping[str, Any]) -> ChatCall:
    """Return the request in a body.

    Raises:
        ApiError: A field is missing, unknown, malformed, or asks for what the gateway cannot do. The reply names it.
    """
    given = {name: value for name, value in body.items() if value is not None}
    _reject_others(given)
    stream = _parse_flag(given, "stream")
    try:
        request = _build_request(given)
    except (ArgumentTypeError, ArgumentValueError) as error:
        reply = build_argument_error_reply(error)
        raise ApiError(reply) from None
    return ChatCall(
        model=_parse_model(given),
        request=request,
        stream=stream,
        include_usage=_parse_include_usage(given, stream),
        parallel_tool_calls=_parse_flag(given, "parallel_tool_calls", default=True),
    )


def _build_request(given: Mapping[str, Any]) -> ChatRequest:
    if "messages" not in given:
        raise _build_request_error("messages is missing", param="messages", code="missing_required_parameter")
    if not isinstance(given["messages"], list):
        raise _build_request_error(f"messages must be a list, got {_name_type(given['messages'])}", param="messages")
    _limit_items(given)
    messages = (Message.of(_drop_echoed(each), f"messages[{place}]") for place, each in enumerate(given["messages"]))
    return ChatRequest(
        messages=tuple(messages),
        temperature=given.get("temperature"),
        max_tokens=_parse_max_tokens(given),
        top_p=given.get("top_p") or None,  # 0 is valid in the API, and means the same as a very small number
        stop=given.get("stop", ()),
        seed=given.get("seed"),
        tools=_parse_tools(given.get("tools", ())),
        tool_choice=given.get("tool_choice"),
        json_schema=_parse_response_format(given.get("response_format")),
    )


def _limit_items(given: Mapping[str, Any]) -> None:
    """Refuse lists that take long to read; the content parts and tool calls of all messages count together."""
    messages, tools, stop = given["messages"], given.get("tools"), given.get("stop")
    parts = 0
    for message in messages if len(messages) <= MAX_MESSAGES else ():
        if isinstance(message, dict):
            lists = (message.get("content"), message.get("tool_calls"))
            parts += sum(len(each) for each in lists if isinstance(each, list))
    for param, what, number, most in (
        ("messages", "messages", len(messages), MAX_MESSAGES),
        ("messages", "content parts and tool calls in all messages", parts, MAX_MESSAGES),
        ("tools", "tools", len(tools) if isinstance(tools, list) else 0, MAX_TOOLS),
        ("stop", "texts in stop", len(stop) if isinstance(stop, list) else 0, MAX_TOOLS),
    ):
        if number > most:
            raise _build_request_error(f"there may be at most {most} {what}, got {number}", param=param)


def _parse_model(given: Mapping[str, Any]) -> str:
    model = given.get("model")
    if model is None:
        raise _build_request_error("model is missing", param="model", code="missing_required_parameter")
    if not isinstance(model, str) or not model.strip():
        raise _build_request_error(f"model must be a string that is not empty, got {_name_type(model)}", param="model")
    return model.strip()


def _parse_flag(given: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise _build_request_error(f"{name} must be true or false, got {_name_type(value)}", param=name)
    return value


def _parse_include_usage(given: Mapping[str, Any], stream: bool) -> bool:
    options = given.get("stream_options")
    if options is None:
        return False
    if not isinstance(options, dict):
        raise _build_request_error(
            f"stream_options must be an object, got {_name_type(options)}", param="stream_options"
        )
    if not stream:
        raise _build_request_error("stream_options must be absent unless stream is true", param="stream_options")
    unknown = [name for name in options if name not in {"include_usage", "include_obfuscation"}]
    if unknown:
        raise _build_request_error(
            f"unknown field stream_options.{unknown[0]}"[:200],
            param=f"stream_options.{unknown[0]}"[:200],
            code="unknown_parameter",
        )
    return _parse_flag({f"stream_options.{name}": value for name, value in options.items()}, _INCLUDE_USAGE)


_INCLUDE_USAGE = "stream_options.include_usage"


def _parse_max_tokens(given: Mapping[str, Any]) -> Any:
    """Return the token limit; the newer name wins."""
    return given.get("max_completion_tokens", given.get("max_tokens"))


def _parse_tools(tools: Any) -> Any:
    """Return the tools without ``strict``, which is a hint: not every provider can promise it."""
    if not isinstance(tools, list):
        return tools
    return [_drop_strict(tool) for tool in tools]


def _drop_strict(tool: Any) -> Any:
    if not isinstance(tool, dict) or not isinstance(tool.get("function"), dict):
        return tool
    return {**tool, "function": {name: value for name, value in tool["function"].items() if name != "strict"}}


def _parse_response_format(value: Any) -> Any:
    """Return the JSON schema that a response format asks for; None for plain text."""
    if value is None:
        return None
    where = "response_format"
    if not isinstance(value, dict):
        raise _build_request_error(f"{where} must be an object, got {_name_type(value)}", param=where)
    kind = value.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        expected = "'text', 'json_object' or 'json_schema'"
        raise _build_request_error(f"{where}.type must be {expected}, got {quote(kind)}", param=f"{where}.type")
    inner = value.get("json_schema")
    if not isinstance(inner, dict) or not isinstance(inner.get("schema"), dict):
        param = f"{where}.json_schema.schema"
        raise _build_request_error(f"{param} must be an object with a JSON schema", param=param)
    return inner["schema"]


def _drop_echoed(message: Any) -> Any:
    """Return a message without what an assistant's message has and no provider needs."""
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return message
    return {name: value for name, value in message.items() if name not in ECHOED}


def _reject_others(given: Mapping[str, Any]) -> None:
    """Reject unknown fields, and fields with an effect that the gateway does not have."""
    for name, value in given.items():
        if name in NEUTRAL:
            neutral = NEUTRAL[name]
            if not any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in neutral):
                expected = f"absent or {json.dumps(neutral[0])}" if neutral else "absent"
                raise _build_request_error(
                    f"{name} must be {expected}: not every provider can serve another value",
                    param=name,
                    code="unsupported_parameter",
                )
        elif name not in FIELDS:
            near = get_close_matches(name, FIELDS, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise _build_request_error(f"unknown field {quote(name)}{hint}", param=name[:100], code="unknown_parameter")


def _refuse_constant(_name: str) -> None:
    raise ValueError("NaN and infinities are not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _name_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "true or false", int: "a number", float: "a number"}
    return "null" if value is None else names.get(type(value), describe_type(value))


def _build_request_error(message: str, *, param: str | None = None, code: str = "invalid_value") -> ApiError:
    return ApiError(ErrorReply(status=400, message=message, param=param, code=code))
