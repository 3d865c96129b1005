"""Requests and replies, translated between the core's words and Ollama's. Pure.

The protocol is that of https://github.com/ollama/ollama/blob/main/docs/api.md and of ``api/types.go`` beside it.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from kickai_providers_core import (
    FinishReason,
    InvalidReplyError,
    Reply,
    ReplyChunk,
    ToolCall,
    UnsupportedRequestError,
    Usage,
)
from kickai_providers_core.authoring import as_object, check_answer, dumps, new_call_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from kickai_providers_core import ChatRequest, Message
    from ollama import ChatResponse

    from kickai_ollama.settings import OllamaSettings

__all__ = ["Answer", "body_of", "omissions"]

FINISH = {
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
}
"""From Ollama's reason to ours. Old servers give none, new ones may give others: ``done`` says that it is whole."""

ONLY_LOADED = frozenset({"load", "unload"})
"""What a server says that has moved the model in or out of memory and answered nothing."""

LEVELS = {"off": False, "on": True}
"""The words for thinking that Ollama spells as truth values."""


def body_of(request: ChatRequest, settings: OllamaSettings, model: str, *, stream: bool) -> dict[str, Any]:
    """Return the JSON body of a chat request.

    Raises:
        UnsupportedRequestError: A message holds what Ollama does not take, though others may: an image by address, or
            a tool call whose arguments are not an object.
    """
    asked = {
        "temperature": request.temperature,
        "num_predict": request.max_tokens,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
    }
    names = {call.id: call.name for message in request.messages for call in message.tool_calls}
    body = {
        "model": model,
        # Not a comprehension: its frame would show a message to whoever prints the traceback with its variables.
        "messages": list(map(partial(_message, names=names), request.messages)),
        "stream": stream,
        "options": {**settings.extras(), **_given(asked)},
        "tools": None if request.tool_choice == "none" else _tools(request),
        "format": None if request.json_schema is None else dict(request.json_schema),
        "keep_alive": _keep_alive(settings.keep_alive),
        "think": LEVELS.get(settings.think, settings.think) if settings.think else None,
        "truncate": None if settings.truncate else False,
    }
    return _given(body)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def omissions(request: ChatRequest) -> tuple[str, ...]:
    """Return the fields of a request that Ollama has no words for: it cannot be made to call a tool."""
    return () if request.tool_choice in {None, "auto", "none"} else ("tool_choice",)


def _message(message: Message, names: dict[str, str]) -> dict[str, Any]:
    # Services number their calls anew in each answer: an id belongs to the latest call before the result.
    names.update((call.id, call.name) for call in message.tool_calls)
    told: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        if any(image.data is None for image in message.images):
            raise UnsupportedRequestError("Ollama accepts images as data, not by address")
        told["images"] = [b64encode(image.data or b"").decode("ascii") for image in message.images]
    if message.tool_calls:
        told["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": _arguments(call)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        told["tool_call_id"] = message.tool_call_id
        told["tool_name"] = names.get(message.tool_call_id, message.tool_call_id)
    return told


def _arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a call as an object; NaN and infinity, which JSON does not have, are null in it."""
    try:
        return as_object(call.arguments)
    except UnsupportedRequestError as exc:
        refused = exc
    with suppress(ValueError, RecursionError):
        value = json.loads(call.arguments, parse_constant=lambda _: None, parse_float=_finite)
        if isinstance(value, dict):
            return value
    raise refused


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _tools(request: ChatRequest) -> list[dict[str, Any]] | None:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in request.tools
    ] or None


def _keep_alive(duration: str | None) -> str | float | None:
    """Return a duration as Ollama takes it: a number for seconds, a text for anything with a unit."""
    if duration is None or duration[-1].isalpha():
        return duration
    return float(duration)


class Answer:
    """One answer, taken part by part as it comes; an answer that comes whole is one part.

    Args:
        omitted: The request's `omissions`.
        schema: The JSON schema that the request asks for; None for none.

    Attributes:
        is_done: Whether the server has said that the answer is whole.
    """

    def __init__(self, *, omitted: tuple[str, ...] = (), schema: Mapping[str, Any] | None = None) -> None:
        self.is_done = False
        self._schema = schema
        self._texts: list[str] = []
        self._omitted = omitted
        self._reason = ""
        self._model = ""
        self._usage: Usage | None = None
        self._has_text = False
        self._has_calls = False
        self._has_thought = False

    def add(self, part: ChatResponse) -> ReplyChunk:
        """Return what a part adds. Nothing is dropped after the part that says it is the last: some servers go on.

        A part of the model's thinking adds no text, but shows that it is at work.
        """
        text, calls = part.message.content or "", _calls(part)
        self._has_text = self._has_text or bool(text)
        if self._schema is not None:
            self._texts.append(text)
        self._has_calls = self._has_calls or bool(calls)
        self._has_thought = self._has_thought or bool(part.message.thinking)
        self._model = part.model or self._model
        self._usage = _usage(part) or self._usage
        if part.done:
            self.is_done = True
            self._reason = part.done_reason or self._reason
        return ReplyChunk(text=text, tool_calls=calls, model=self._model, omitted=self._omitted)

    def end(self) -> ReplyChunk:
        """Return the last chunk, with the finish reason and the usage.

        Raises:
            InvalidReplyError: The server has not said that the answer is whole, there is nothing in it, or it does not
                keep to the schema.
        """
        if not self.is_done:
            raise InvalidReplyError("the answer was cut: it ended before the server said that it is done")
        finish = self._finish()
        if self._schema is not None and finish is FinishReason.STOP:
            check_answer("".join(self._texts), self._schema)
        return ReplyChunk(text="", finish_reason=finish, usage=self._usage, model=self._model, omitted=self._omitted)

    def whole(self, part: ChatResponse) -> Reply:
        """Return the reply that is this one part.

        Raises:
            InvalidReplyError: It is not whole, or there is nothing in it.
        """
        chunk = self.add(part)
        last = self.end()
        return Reply(
            text=chunk.text,
            finish_reason=last.finish_reason or FinishReason.STOP,
            usage=last.usage,
            model=last.model,
            tool_calls=chunk.tool_calls,
            omitted=chunk.omitted,
        )

    def _finish(self) -> FinishReason:
        reason = self._reason
        if reason in ONLY_LOADED:
            raise InvalidReplyError(f"the server answered nothing (done_reason {reason})")
        finish = FINISH.get(reason, FinishReason.TOOL_CALL if self._has_calls else FinishReason.STOP)
        if not self._has_text and not self._has_calls and finish is not FinishReason.CONTENT_FILTER:
            why = ": all of it went into thinking; raise max_tokens, or set think" if self._has_thought else ""
            raise InvalidReplyError(f"the answer is empty{why}", due_to_request=finish is FinishReason.LENGTH)
        return finish


def _calls(part: ChatResponse) -> tuple[ToolCall, ...]:
    """Return the calls of a part. The client drops the ids that the server gives them, so they get new ones."""
    calls: Iterable[Any] = part.message.tool_calls or ()
    return tuple(
        ToolCall(
            id=new_call_id(),
            name=call.function.name,
            arguments=dumps(dict(call.function.arguments)),
        )
        for call in calls
    )


def _usage(part: ChatResponse) -> Usage | None:
    """Return the counts of a part; Ollama leaves out a count of zero, as of a prompt that is wholly cached."""
    if part.prompt_eval_count is None and part.eval_count is None:
        return None
    return Usage(input_tokens=part.prompt_eval_count or 0, output_tokens=part.eval_count or 0)
