"""From a request to its answer: text, tool calls, tokens, pieces. Pure.

A token is a word: a run of characters without white space. An image counts as one.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from kickai_providers_core import FinishReason, Reply, ReplyChunk, ToolCall, UnsupportedRequestError, Usage

from kickai_mock.faults import CALLS
from kickai_mock.schema import instance_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core import ChatRequest

    from kickai_mock.call import Call

__all__ = ["answer", "chunks_of", "pieces"]

NOTHING_SAID = "(nothing was said)"
"""The echo of a request without any text, since an answer without text is no answer."""

WIDE = "\N{GRINNING FACE}"
"""A character that is two units of UTF-16."""

UNIT_BYTES = 2

_PIECE = re.compile(r"\S+\s*|\s+")
_WORD = re.compile(r"\s*\S+")
_MAY_CHOOSE = frozenset({None, "auto", "none"})
_NO_PARAMETERS: Mapping[str, Any] = {"type": "object"}


def answer(call: Call, texts: tuple[str, ...], computed: Callable[[ChatRequest], str | Reply] | None) -> Any:
    """Return what answers a call that does not fail: a reply, or, when it is to be malformed, anything else.

    Args:
        call: The call.
        texts: What its model answers in turn; nothing when it echoes.
        computed: Computes the answer in their place, when given.

    Raises:
        UnsupportedRequestError: JSON for a schema was asked for, and none can be made up.
    """
    kind = call.fault.kind
    if kind == "malformed":
        return {"simulated": "malformed"}
    if kind == "empty":
        return _reply(call, "")
    tool = _tool(call)
    if tool is not None and (computed is None or kind in CALLS):
        return _tool_reply(call, tool)
    made = _text(call, texts) if computed is None else computed(call.request)
    if kind == "halves" and isinstance(made, str):
        made = f"{made} {WIDE}"
    return made if isinstance(made, Reply) else _reply(call, made)


def _text(call: Call, texts: tuple[str, ...]) -> str:
    request = call.request
    if texts:
        return texts[(call.number if request.seed is None else request.seed) % len(texts)]
    return _echo(request) if request.json_schema is None else _made_up(request.json_schema)


def _echo(request: ChatRequest) -> str:
    for message in reversed(request.messages):
        if message.role == "user":
            return message.content or NOTHING_SAID
    return NOTHING_SAID


def _tool(call: Call) -> str | None:
    """Return the tool to call: the one that the script names, or that the request insists on; None for neither."""
    choice, tools = call.request.tool_choice, call.request.tools
    if call.fault.kind in CALLS:
        if call.fault.argument is not None:
            return str(call.fault.argument)
        choice = "required" if choice in _MAY_CHOOSE else choice
    if choice in _MAY_CHOOSE or not tools:
        return None
    return tools[0].name if choice == "required" else choice


def _tool_reply(call: Call, name: str) -> Reply:
    parameters = next((tool.parameters for tool in call.request.tools if tool.name == name), _NO_PARAMETERS)
    arguments = _made_up(parameters)
    if call.fault.kind == "cut_arguments":
        arguments = arguments[: len(arguments) // 2]
    return Reply(
        text="",
        finish_reason=FinishReason.TOOL_CALL,
        usage=_usage(call, len(arguments.split())),
        model=call.model,
        tool_calls=tuple(ToolCall(id=id_, name=name, arguments=arguments) for id_ in _call_ids(call, name)),
        request_id=_id(call),
    )


def _call_ids(call: Call, name: str) -> tuple[str, ...]:
    ids = {"same_ids": (f"{_id(call)}-{name}",) * 2, "no_ids": ("", "")}
    return ids.get(call.fault.kind, (f"{_id(call)}-{name}",))


def _reply(call: Call, text: str) -> Reply:
    """Return a reply with that text, as far as the request's stop texts and token limit let it through."""
    limit, reason = call.request.max_tokens, FinishReason.STOP
    for stop in call.request.stop:
        text = text.partition(stop)[0] if stop else text
    written = len(text.split())
    if limit is not None and written > limit:
        text, written, reason = "".join(_WORD.findall(text)[:limit]), limit, FinishReason.LENGTH
    return Reply(text=text, finish_reason=reason, usage=_usage(call, written), model=call.model, request_id=_id(call))


def _usage(call: Call, written: int) -> Usage:
    read = sum(len(message.content.split()) + len(message.images) for message in call.request.messages)
    return Usage(input_tokens=read, output_tokens=written)


def _id(call: Call) -> str:
    return f"{call.model}-{call.number}"


def chunks_of(reply: Reply, *, halved: bool = False) -> list[ReplyChunk]:
    """Return a reply as a stream's chunks: one for each word, and a last one that says why it ends.

    Args:
        reply: The reply.
        halved: Whether to part the halves of wide characters, as services do that write JSON without care.
    """
    texts = [half for piece in pieces(reply.text) for half in (_halves(piece) if halved else (piece,))]
    chunks = [ReplyChunk(text=text, model=reply.model) for text in texts]
    end = ReplyChunk(
        finish_reason=reply.finish_reason,
        usage=reply.usage,
        model=reply.model,
        tool_calls=reply.tool_calls,
        request_id=reply.request_id,
        omitted=reply.omitted,
    )
    return [*chunks, end]


def _halves(piece: str) -> list[str]:
    """Return a piece of text in two parts at each wide character, with half of it in either."""
    parts = [""]
    for character in piece:
        units = character.encode("utf-16-le", "surrogatepass")
        parts[-1] += units[:UNIT_BYTES].decode("utf-16-le", "surrogatepass")
        if len(units) > UNIT_BYTES:
            parts.append(units[UNIT_BYTES:].decode("utf-16-le", "surrogatepass"))
    return parts


def pieces(text: str) -> list[str]:
    """Return a text in pieces of one word each, with the white space that follows it; together they are the text."""
    return _PIECE.findall(text)


def _made_up(schema: Mapping[str, Any]) -> str:
    try:
        return json.dumps(instance_of(schema), separators=(",", ":"))
    except ValueError as exc:
        raise UnsupportedRequestError(
            f"the mock can make up no JSON for the schema: {exc}; give it a reply", status_code=400
        ) from None
