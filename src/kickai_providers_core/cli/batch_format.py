"""The lines of batch files, in the form of OpenAI's batch API. No I/O.

See https://platform.openai.com/docs/guides/batch.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import frozen

from kickai_providers_core.values.function_tools import load_json
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core.values.shapes import MisfitError
from kickai_providers_core.values.validation import describe_type, hide_arguments, quote, raise_type_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.replies import Reply

__all__ = ["BatchLine", "format_error_line", "format_reply", "parse_custom_id", "parse_line", "read_line_number"]

URL = "/v1/chat/completions"
LINE_KEYS = frozenset({"custom_id", "method", "url", "body"})
SAME_NAMES = ("temperature", "top_p", "stop", "seed", "tools", "tool_choice")
IGNORED = frozenset({"model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"})
"""Fields of a body that do not change the request here: the chain chooses the model."""
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "stream": (False,),
    "logprobs": (False,),
    "parallel_tool_calls": (True,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "modalities": (["text"],),
}
"""Fields that are accepted with the value that changes nothing."""

FINISH_WORDS = {"tool_call": "tool_calls", "error": "stop"}
ID_PREFIX = "line-"


@frozen
class BatchLine:
    """A request of a batch file.

    Attributes:
        number: The line's number in the file, from 1.
        custom_id: The id that the result repeats.
        request: What to ask.
        model: The model that the line names; None for none.
    """

    number: int
    custom_id: str
    request: ChatRequest
    model: str | None = None


def parse_custom_id(line: bytes) -> str | None:
    """Return the id of a line, even if the rest of it is malformed; None when it has none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    found = value.get("custom_id") if isinstance(value, dict) else None
    return found if isinstance(found, str) else None


@hide_arguments
def parse_line(number: int, line: bytes) -> BatchLine:
    """Return the request that a line holds.

    Raises:
        TypeError: A part of it has the wrong type.
        ValueError: It is not JSON, or has a key or a value that a request cannot represent.
    """
    try:
        value = load_json(line.decode("utf-8"))
    except (MisfitError, UnicodeDecodeError):
        message = "the line is not valid JSON in UTF-8"
        raise ValueError(message) from None
    if not isinstance(value, dict):
        raise_type_error("the line", "an object", describe_type(value))
    custom_id, body = value.get("custom_id"), value.get("body")
    if not isinstance(custom_id, str) or not custom_id:
        raise_type_error("custom_id", "text that is not empty", describe_type(custom_id))
    if value.get("method", "POST") != "POST" or value.get("url", URL) != URL:
        _refuse(f"the method and url must be POST {URL}")
    unknown = sorted(value.keys() - LINE_KEYS)
    if unknown:
        _refuse(f"unknown key {quote(unknown[0])} (allowed: {', '.join(sorted(LINE_KEYS))})")
    if not isinstance(body, dict):
        raise_type_error("body", "an object", describe_type(body))
    model = body.get("model")
    return BatchLine(number, custom_id, _read_body(body), model if isinstance(model, str) else None)


def _read_body(body: Mapping[str, Any]) -> ChatRequest:
    given = {name: value for name, value in body.items() if value is not None and name not in IGNORED}
    for name, allowed in NEUTRAL.items():
        if name in given and given.pop(name) not in allowed:
            _refuse(f"body.{name} is not supported")
    messages = given.pop("messages", None)
    if not isinstance(messages, list):
        raise_type_error("body.messages", "a list of messages", describe_type(messages))
    fields = {name: given.pop(name) for name in SAME_NAMES if name in given}
    limits = [given.pop(name) for name in ("max_completion_tokens", "max_tokens") if name in given]
    schema = _read_schema(given.pop("response_format", None))
    if given:
        _refuse(f"unknown field {quote(min(given))} in body")
    request = ChatRequest.from_prompt(
        [Message.of(each, f"body.messages[{place}]") for place, each in enumerate(messages)]
    )
    return ChatRequest(
        messages=request.messages, max_tokens=limits[0] if limits else None, json_schema=schema, **fields
    )


def _read_schema(form: Any) -> Mapping[str, Any] | None:
    if form is None or form == {"type": "text"}:
        return None
    if form == {"type": "json_object"}:
        return {"type": "object"}
    schema = form.get("json_schema") if isinstance(form, dict) and form.get("type") == "json_schema" else None
    found = schema.get("schema") if isinstance(schema, dict) else None
    if not isinstance(found, dict):
        _refuse("body.response_format must be text, json_object, or json_schema with a schema")
    return found


def _refuse(message: str) -> NoReturn:
    raise ValueError(message)


def format_reply(number: int, custom_id: str, reply: Reply, created: int) -> bytes:
    """Return the line for an answer, in the form of a chat completion.

    Args:
        number: The number of the request's line.
        custom_id: The request's id.
        reply: The answer.
        created: The time in seconds since 1970.
    """
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in reply.tool_calls
        ]
    finish = reply.finish_reason.value
    body = {
        "id": reply.request_id or f"{ID_PREFIX}{number}",
        "object": "chat.completion",
        "created": created,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "finish_reason": FINISH_WORDS.get(finish, finish)}],
        "usage": _format_usage(reply),
        "kickai": {"provider": reply.provider, "fell_back": reply.fell_back, "attempts": len(reply.attempts)},
    }
    return _encode(number, custom_id, {"status_code": 200, "request_id": reply.request_id, "body": body}, None)


def _format_usage(reply: Reply) -> dict[str, Any] | None:
    usage = reply.usage
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def format_error_line(number: int, custom_id: str | None, code: str, message: str) -> bytes:
    """Return the line for a request without an answer.

    Args:
        number: The number of the request's line.
        custom_id: The request's id; None when the line has none.
        code: The name of the error's class.
        message: What went wrong; it quotes neither prompt nor answer.
    """
    return _encode(number, custom_id, None, {"code": code, "message": message})


def _encode(number: int, custom_id: str | None, response: Any, error: Any) -> bytes:
    line = {"id": f"{ID_PREFIX}{number}", "custom_id": custom_id, "response": response, "error": error}
    return json.dumps(line, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def read_line_number(result: bytes) -> tuple[int, str | None, bool]:
    """Return, for a line of results, the number of its request, its id, and whether it was answered.

    Raises:
        ValueError: It is not a line that `format_reply` or `format_error_line` has written.
    """
    value = json.loads(result)
    own = value.get("id") if isinstance(value, dict) else None
    if not isinstance(own, str) or not own.startswith(ID_PREFIX) or not own[len(ID_PREFIX) :].isascii():
        _refuse("not a result")
    number = int(own[len(ID_PREFIX) :])
    if number < 1:
        _refuse("not a result")
    return number, value.get("custom_id"), value.get("response") is not None
