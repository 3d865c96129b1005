"""Translation of requests and replies between the core and Ollama. Pure.

The protocol is that of https://github.com/ollama/ollama/blob/main/docs/api.md and of ``api/types.go`` in the same
repository.
"""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from attrs import evolve
from kickai_providers_core import FinishReason, InvalidReplyError, ReplyChunk, UnsupportedRequestError, Usage
from kickai_providers_core.authoring import ReplyBuilder, as_object

from kickai_ollama.request_options import split_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import ChatRequest, Message, Reply, ToolCall
    from ollama import ChatResponse

    from kickai_ollama.settings import OllamaSettings

__all__ = ["ReplyReader", "build_body"]

FINISH_REASONS = {
    "length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "error": FinishReason.ERROR,
}
"""Any other reason, and none as from old servers, is a stop: ``done`` says that the answer is whole."""

NO_ANSWER_REASONS = frozenset({"load", "unload"})
"""The reasons of a server that has loaded or unloaded the model and answered nothing."""

THINK_LEVELS = {"off": False, "on": True}
"""The levels that Ollama expects as booleans."""

FREE_CHOICES = frozenset({None, "auto", "none"})
"""Values of ``tool_choice`` that Ollama can express: the model may call a tool, or has none."""


def build_body(request: ChatRequest, settings: OllamaSettings, model: str, *, stream: bool) -> dict[str, Any]:
    """Return the JSON body of a chat request.

    Raises:
        UnsupportedRequestError: Ollama does not accept a part of a message: an image by address, or a tool call whose
            arguments are not an object.
    """
    options = {
        "temperature": request.temperature,
        "num_predict": request.max_tokens,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": list(request.stop) or None,
    }
    own, others = split_options(request)
    names: dict[str, str] = {}
    messages = []
    for message in request.messages:
        # Services number their calls anew in each answer: an id belongs to the latest call with it.
        names.update((call.id, call.name) for call in message.tool_calls)
        messages.append(_build_message(message, names))
    body = {
        "model": model,
        "messages": messages,
        "stream": stream,
        "options": {**settings.build_options(), **own, **_drop_none(options)},
        "tools": None if request.tool_choice == "none" else _build_tools(request),
        "format": None if request.json_schema is None else dict(request.json_schema),
        "keep_alive": _build_keep_alive(settings.keep_alive),
        "think": THINK_LEVELS.get(settings.think, settings.think) if settings.think else None,
        "truncate": None if settings.truncate else False,
        **others,
    }
    return _drop_none(body)


def _drop_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _build_message(message: Message, names: Mapping[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.images:
        if any(image.data is None for image in message.images):
            raise UnsupportedRequestError("Ollama accepts images as data, not by address")
        fields["images"] = [b64encode(image.data or b"").decode("ascii") for image in message.images]
    if message.tool_calls:
        fields["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": _parse_arguments(call)}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        fields["tool_call_id"] = message.tool_call_id
        fields["tool_name"] = names.get(message.tool_call_id, message.tool_call_id)
    return fields


def _parse_arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a call as an object; NaN and infinity, which JSON does not have, become null."""
    try:
        return as_object(call.arguments)
    except UnsupportedRequestError as exc:
        error = exc
    with suppress(ValueError, RecursionError):
        value = json.loads(call.arguments, parse_constant=lambda _: None, parse_float=_parse_finite)
        if isinstance(value, dict):
            return value
    raise error


def _parse_finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _build_tools(request: ChatRequest) -> list[dict[str, Any]] | None:
    return [
        {
            "type": "function",
            "function": {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)},
        }
        for tool in request.tools
    ] or None


def _build_keep_alive(duration: str | None) -> str | float | None:
    """Return a duration as Ollama accepts it: a number of seconds, or text with a unit."""
    if duration is None or duration[-1].isalpha():
        return duration
    return float(duration)


class ReplyReader:
    """One answer, built from its parts; an answer that is not streamed has one part.

    Ollama cannot be made to call a tool. A request that requires a call is answered anyway, and the reply's
    ``omitted`` names ``tool_choice``.

    Args:
        request: What was requested.
        call_ids: The ids of the tool calls in the parts so far, which the client drops; each one is taken once.
    """

    def __init__(self, request: ChatRequest, call_ids: deque[object] | None = None) -> None:
        is_free = request.tool_choice in FREE_CHOICES
        self._builder = ReplyBuilder(
            request if is_free else evolve(request, tool_choice=None), omitted=() if is_free else ("tool_choice",)
        )
        self._call_ids: deque[object] = deque() if call_ids is None else call_ids
        self._reason = ""
        self._has_output = False
        self._has_thought = False

    @property
    def is_done(self) -> bool:
        """Whether the server has said that the answer is whole, and nothing has followed."""
        return self._builder.is_finished

    def add(self, part: ChatResponse) -> ReplyChunk:
        """Return what a part adds. Text after the part that says it is the last counts: some servers send it.

        A part of the model's thinking adds no text, but reasoning.
        """
        builder, message = self._builder, part.message
        text = builder.add_text(message.content or "")
        for call in message.tool_calls or ():
            call_id = self._call_ids.popleft() if self._call_ids else None
            builder.add_call(id=call_id, name=call.function.name, arguments=call.function.arguments)
        self._has_output = self._has_output or bool(message.content or message.tool_calls)
        thought = builder.add_reasoning(message.thinking or "")
        self._has_thought = self._has_thought or bool(message.thinking)
        builder.model = part.model or builder.model
        builder.usage = _read_usage(part) or builder.usage
        if part.done:
            self._reason = part.done_reason or self._reason
            builder.finish(FINISH_REASONS.get(self._reason, FinishReason.STOP))
        return ReplyChunk(text=text, reasoning=thought, model=builder.model)

    def build_last_chunk(self) -> ReplyChunk:
        """Return the last chunk of a stream, with tool calls, finish reason and usage.

        Raises:
            InvalidReplyError: The answer is cut or empty, or does not match the request's JSON schema.
            ContentFilteredError: The server withheld it.
        """
        self._check()
        return self._builder.build_last_chunk()

    def build(self, part: ChatResponse) -> Reply:
        """Return the reply that one part makes up; raise as `build_last_chunk` does."""
        self.add(part)
        self._check()
        return self._builder.build()

    def _check(self) -> None:
        """Raise for an empty answer that Ollama explains better than its finish reason does."""
        if not self.is_done or self._has_output:
            return
        if self._reason in NO_ANSWER_REASONS:
            raise InvalidReplyError(f"the server answered nothing (done_reason {self._reason})")
        if self._has_thought:
            raise InvalidReplyError(
                "the answer is empty: the model only thought; raise max_tokens, or set think",
                due_to_request=self._reason == "length",
            )


def _read_usage(part: ChatResponse) -> Usage | None:
    """Return the counts of a part; Ollama omits a count of zero, such as that of a wholly cached prompt."""
    if part.prompt_eval_count is None and part.eval_count is None:
        return None
    return Usage(input_tokens=part.prompt_eval_count or 0, output_tokens=part.eval_count or 0)
