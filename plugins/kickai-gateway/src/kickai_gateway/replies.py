"""Replies and chunks in the form of the Chat Completions API. Pure translation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field
from kickai_providers_core import FinishReason, ToolCall, Usage

from kickai_gateway.http import dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core import Reply, ReplyChunk

__all__ = ["ChunkEncoder", "encode_event", "encode_reply", "encode_usage"]

DELTA_MARK = {"delta": 0}
"""Marks the place of the delta in an event."""

FINISH_REASONS = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.CONTENT_FILTER: "content_filter",
    FinishReason.TOOL_CALL: "tool_calls",
    FinishReason.ERROR: "stop",
}
"""The API's words. It has none for an answer that the provider reports as faulty and that is complete nevertheless."""


def encode_reply(
    reply: Reply,
    *,
    id: str,  # noqa: A002  the API's name
    model: str,
    created: int,
    parallel_tool_calls: bool = True,
) -> dict[str, Any]:
    """Return the body of a whole answer.

    Args:
        reply: The answer.
        id: The id of the answer.
        model: The model to name when the provider named none; not empty.
        created: When it was created, in seconds since 1970.
        parallel_tool_calls: Whether more than the first tool call is passed on.
    """
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or (None if reply.tool_calls else "")}
    message["refusal"] = None
    if reply.reasoning:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        calls = reply.tool_calls if parallel_tool_calls else reply.tool_calls[:1]
        message["tool_calls"] = [_encode_call(call) for call in calls]
    reason = FINISH_REASONS[reply.finish_reason]
    body: dict[str, Any] = {
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": reply.model or model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
    }
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    return body


def encode_usage(usage: Usage) -> dict[str, Any]:
    """Return the token counts."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


@define(kw_only=True)
class ChunkEncoder:
    """Turns the chunks of one streamed answer into events of the API. For one stream.

    The first event has the role, exactly one has a finish reason, and with ``include_usage`` each has ``usage`` and the
    last one has no choices.

    Attributes:
        id: The id of the answer.
        model: The model to name until the provider names one; not empty.
        created: When the answer was created, in seconds since 1970.
        include_usage: Whether the client asked for the token counts.
        parallel_tool_calls: Whether more than the first tool call is passed on.
        usage: The token counts so far, as far as the provider reports them.
    """

    id: str
    model: str
    created: int
    include_usage: bool = False
    parallel_tool_calls: bool = True
    usage: Usage | None = None
    _calls: int = field(default=0, init=False)
    _finish: str | None = field(default=None, init=False)
    _around: tuple[bytes, bytes] = field(default=(b"", b""), init=False)
    """What precedes and follows the delta of an event without a finish reason."""

    def __attrs_post_init__(self) -> None:
        self._around = self._split_event()

    def start(self) -> bytes:
        """Return the first event."""
        return self._encode({"role": "assistant", "content": ""})

    def add(self, chunk: ReplyChunk) -> bytes:
        """Return the event for a chunk of a chain; nothing when it adds nothing."""
        if chunk.model and chunk.model != self.model:
            self.model = chunk.model
            self._around = self._split_event()
        self.usage = chunk.usage or self.usage
        if chunk.finish_reason is not None:
            self._finish = FINISH_REASONS[chunk.finish_reason]
        if chunk.text and not (chunk.reasoning or chunk.tool_calls):  # the usual case
            before, after = self._around
            return b'%b{"content":%b}%b' % (before, dump(chunk.text), after)
        delta: dict[str, Any] = {}
        if chunk.reasoning:
            delta["reasoning_content"] = chunk.reasoning
        if chunk.text:
            delta["content"] = chunk.text
        if chunk.tool_calls:
            calls = self._encode_calls(chunk.tool_calls)
            if calls:
                delta["tool_calls"] = calls
        return self._encode(delta) if delta else b""

    def finish(self) -> bytes:
        """Return the last events of a complete answer."""
        last = encode_event(self._build({}, self._finish or "stop"))
        if not self.include_usage:
            return last
        usage = None if self.usage is None else encode_usage(self.usage)
        return last + encode_event({**self._build({}), "choices": [], "usage": usage})

    def _encode_calls(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        if not self.parallel_tool_calls:
            calls = calls[: 1 - self._calls]
        first, self._calls = self._calls, self._calls + len(calls)
        return [{"index": first + place, **_encode_call(call)} for place, call in enumerate(calls)]

    def _encode(self, delta: dict[str, Any]) -> bytes:
        before, after = self._around
        return before + dump(delta) + after

    def _split_event(self) -> tuple[bytes, bytes]:
        before, _, after = encode_event(self._build(DELTA_MARK)).rpartition(dump(DELTA_MARK))
        return before, after

    def _build(self, delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        chunk: dict[str, Any] = {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}],
        }
        if self.include_usage:
            chunk["usage"] = None
        return chunk


def encode_event(value: Mapping[str, Any]) -> bytes:
    """Return one server-sent event with a JSON value."""
    return b"data: %b\n\n" % dump(value)


def _encode_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
