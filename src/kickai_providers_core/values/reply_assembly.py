"""Replies from what a provider returned: validated when whole, assembled when streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.values.errors import ContentFilteredError, InvalidReplyError
from kickai_providers_core.values.plain_text import clean_text
from kickai_providers_core.values.replies import FinishReason, Reply
from kickai_providers_core.values.tools import ToolCall

if TYPE_CHECKING:
    from kickai_providers_core.values.replies import ReplyChunk

__all__ = ["ReplyAssembler", "make_ids_unique", "validate_reply"]

STOP = FinishReason.STOP


def validate_reply(reply: object) -> Reply:
    """Return the reply if it is a usable answer.

    Raises:
        InvalidReplyError: It is not a `Reply`, it is empty, or the model stopped with an error.
        ContentFilteredError: The provider withheld the answer or a part of it.
    """
    if not isinstance(reply, Reply):
        raise InvalidReplyError(f"the provider returned {type(reply).__name__}, not a Reply")
    if reply.finish_reason is STOP and reply.text and not reply.tool_calls:
        return reply
    if reply.finish_reason is FinishReason.CONTENT_FILTER:
        raise ContentFilteredError("the provider withheld the answer", reason=FinishReason.CONTENT_FILTER.value)
    if reply.finish_reason is FinishReason.ERROR:
        raise InvalidReplyError("the model stopped with an error")
    if not reply.text and not reply.tool_calls:
        raise InvalidReplyError(f"the answer is empty (finish reason {reply.finish_reason.value})")
    calls = make_ids_unique(reply.tool_calls, set())
    return reply if calls == reply.tool_calls else evolve(reply, tool_calls=calls)


def make_ids_unique(calls: tuple[ToolCall, ...], seen: set[str]) -> tuple[ToolCall, ...]:
    """Return the calls with distinct ids: a tool's result names its call by id.

    Args:
        calls: As the provider returned them; the first call with an id keeps it.
        seen: The ids of earlier calls of the same answer; the new ids are added.
    """
    found = []
    for call in calls:
        own = ToolCall(id="", name=call.name, arguments=call.arguments) if call.id in seen else call
        seen.add(own.id)
        found.append(own)
    return tuple(found)


class _HalfCharacters:
    """Joins UTF-16 halves of characters that arrive in two pieces of a text."""

    def __init__(self) -> None:
        self.held = ""

    def join(self, text: str) -> str:
        """Return the next piece; half a character at its end is held back for the next one."""
        if not text or (text.isascii() and not self.held):
            return text
        text, self.held = self.held + text, ""
        if "\ud800" <= text[-1] <= "\udbff":
            text, self.held = text[:-1], text[-1]
        return clean_text(text)


class ReplyAssembler:
    """Assembles the chunks of one stream into a reply. Not thread-safe."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._reasoning: list[str] = []
        self._text_halves = _HalfCharacters()
        self._reasoning_halves = _HalfCharacters()
        self._ids: set[str] = set()
        self._fields: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

    def normalize(self, chunk: ReplyChunk) -> ReplyChunk:
        """Return the chunk with whole characters and distinct ids of tool calls.

        A character whose UTF-16 halves arrive in two chunks is part of the second one.
        """
        text, reasoning = self._text_halves.join(chunk.text), self._reasoning_halves.join(chunk.reasoning)
        calls = make_ids_unique(chunk.tool_calls, self._ids) if chunk.tool_calls else ()
        if text == chunk.text and calls == chunk.tool_calls and reasoning == chunk.reasoning:
            return chunk
        return evolve(chunk, text=text, tool_calls=calls, reasoning=reasoning)

    def add(self, chunk: ReplyChunk) -> bool:
        """Add a chunk; return whether a reader needs it: it has text, reasoning, tool calls or a finish reason."""
        if chunk.text:
            self.texts.append(chunk.text)
        if chunk.reasoning:
            self._reasoning.append(chunk.reasoning)
        for name in ("finish_reason", "usage", "model", "request_id", "omitted", "answered_by"):
            value = getattr(chunk, name)
            if value:
                self._fields[name] = value
        if chunk.tool_calls:
            self._fields["tool_calls"] = (*self._fields.get("tool_calls", ()), *chunk.tool_calls)
        return bool(chunk.text or chunk.tool_calls or chunk.finish_reason or chunk.reasoning)

    def build(self) -> Reply:
        """Return the reply.

        Raises:
            InvalidReplyError: The stream ended without a finish reason, or it is empty.
            ContentFilteredError: The provider withheld the rest.
        """
        if "finish_reason" not in self._fields:
            raise InvalidReplyError("the stream was cut: it ended without a finish reason")
        text = self.text + self._text_halves.held
        reasoning = "".join(self._reasoning) + self._reasoning_halves.held
        return validate_reply(Reply(text=text, reasoning=reasoning, **self._fields))
