"""The answer to a request: text, tool calls, token counts, chunks. Pure.

A token is a word: characters without white space. An image counts as one token.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kickai_providers_core import FinishReason, Reply, ReplyChunk, ToolCall, Usage

from kickai_mock.faults import CALL_KINDS
from kickai_mock.schema import build_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core import ChatRequest

    from kickai_mock.call_record import Call

__all__ = ["build_answer", "split_reply", "split_words"]

EMPTY_ECHO = "(nothing was said)"
"""The echo of a request without text, since an empty answer is an error."""

WIDE = "\N{GRINNING FACE}"
"""A character of two UTF-16 units."""

UNIT_BYTES = 2

_PIECE = re.compile(r"\S+\s*|\s+")
_WORD = re.compile(r"\s*\S+")
_FREE_CHOICES = frozenset({None, "auto", "none"})
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object"}


def build_answer(call: Call, texts: tuple[str, ...], compute: Callable[[ChatRequest], str | Reply] | None) -> Any:
    """Return the answer to a call that does not fail: a reply, or something else for a malformed one.

    Args:
        call: The call.
        texts: The answers of its model, in turn; empty to echo.
        compute: Computes the answer instead.

    Raises:
        UnsupportedRequestError: The mock cannot build JSON for the request's schema.
    """
    kind = call.fault.kind
    if kind == "malformed":
        return {"simulated": "malformed"}
    if kind == "empty":
        return _build_reply(call, "")
    tool = _choose_tool(call)
    if tool is not None and (compute is None or kind in CALL_KINDS):
        return _build_tool_reply(call, tool)
    answer = _choose_text(call, texts) if compute is None else compute(call.request)
    if isinstance(answer, Reply):
        return answer
    return _build_reply(call, f"{answer} {WIDE}" if kind == "halves" else answer)


def _choose_text(call: Call, texts: tuple[str, ...]) -> str:
    request = call.request
    stated = request.options.get("mock", {}).get("reply")
    if stated is not None:
        return str(stated)
    if texts:
        return texts[(call.number if request.seed is None else request.seed) % len(texts)]
    if request.json_schema is not None:
        return build_json(request.json_schema)
    users = (message.content for message in reversed(request.messages) if message.role == "user")
    return next(users, "") or EMPTY_ECHO


def _choose_tool(call: Call) -> str | None:
    """Return the tool that the script names or the request requires; None to answer with text."""
    choice, tools = call.request.tool_choice, call.request.tools
    if call.fault.kind in CALL_KINDS:
        if call.fault.argument is not None:
            return str(call.fault.argument)
        choice = "required" if choice in _FREE_CHOICES else choice
    if choice in _FREE_CHOICES or not tools:
        return None
    return tools[0].name if choice == "required" else choice


def _build_tool_reply(call: Call, name: str) -> Reply:
    parameters = next((tool.parameters for tool in call.request.tools if tool.name == name), _NO_PARAMETERS)
    arguments = build_json(parameters)
    if call.fault.kind == "cut_arguments":
        arguments = arguments[: len(arguments) // 2]
    call_id = f"{_build_request_id(call)}-{name}"
    ids = {"same_ids": (call_id, call_id), "no_ids": ("", "")}.get(call.fault.kind, (call_id,))
    return Reply(
        text="",
        finish_reason=FinishReason.TOOL_CALL,
        usage=_count_usage(call, len(arguments.split())),
        model=call.model,
        tool_calls=tuple(ToolCall(id=id_, name=name, arguments=arguments) for id_ in ids),
        request_id=_build_request_id(call),
    )


def _build_reply(call: Call, text: str) -> Reply:
    """Return a reply with the text up to the request's first stop text and token limit."""
    limit, reason = call.request.max_tokens, FinishReason.STOP
    for stop in call.request.stop:
        text = text.partition(stop)[0] if stop else text
    words = len(text.split())
    if limit is not None and words > limit:
        text, words, reason = "".join(_WORD.findall(text)[:limit]), limit, FinishReason.LENGTH
    return Reply(
        text=text,
        finish_reason=reason,
        usage=_count_usage(call, words),
        model=call.model,
        request_id=_build_request_id(call),
    )


def _count_usage(call: Call, output_words: int) -> Usage:
    words = sum(len(message.content.split()) + len(message.images) for message in call.request.messages)
    return Usage(input_tokens=words, output_tokens=output_words)


def _build_request_id(call: Call) -> str:
    return f"{call.model}-{call.number}"


def split_reply(reply: Reply, *, in_halves: bool = False) -> list[ReplyChunk]:
    """Return a reply as the chunks of a stream: one for each word of reasoning and text, and a last one for the end.

    Args:
        reply: The reply.
        in_halves: Whether to separate the UTF-16 halves of wide characters, as some services do.
    """
    texts = [half for piece in split_words(reply.text) for half in (_split_halves(piece) if in_halves else (piece,))]
    end = ReplyChunk(
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        model=reply.model,
        tool_calls=reply.tool_calls,
        request_id=reply.request_id,
        omitted=reply.omitted,
    )
    thoughts = [ReplyChunk(reasoning=word, model=reply.model) for word in split_words(reply.reasoning)]
    return [*thoughts, *(ReplyChunk(text=text, model=reply.model) for text in texts), end]


def _split_halves(piece: str) -> list[str]:
    """Return a text, split between the two halves of each wide character."""
    parts = [""]
    for character in piece:
        units = character.encode("utf-16-le", "surrogatepass")
        parts[-1] += units[:UNIT_BYTES].decode("utf-16-le", "surrogatepass")
        if len(units) > UNIT_BYTES:
            parts.append(units[UNIT_BYTES:].decode("utf-16-le", "surrogatepass"))
    return parts


def split_words(text: str) -> list[str]:
    """Return the words of a text, each with the white space after it; joined they are the text."""
    return _PIECE.findall(text)
