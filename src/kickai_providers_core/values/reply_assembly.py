"""What makes a provider's answer a whole one: the checks, and the gathering of a stream's chunks into a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from kickai_providers_core.values.errors import ContentFilteredError, InvalidReplyError
from kickai_providers_core.values.messages import ToolCall
from kickai_providers_core.values.plain_text import clean_text
from kickai_providers_core.values.replies import FinishReason, Reply

if TYPE_CHECKING:
    from kickai_providers_core.values.replies import ReplyChunk

__all__ = ["Gathered", "checked", "distinct"]


def checked(reply: object) -> Reply:
    """Return the reply when it can pass for an answer.

    Raises:
        InvalidReplyError: It is no reply, or it is empty, or the model broke off.
        ContentFilteredError: The provider withheld the answer, or a part of it.
    """
    if not isinstance(reply, Reply):
        raise InvalidReplyError(f"the provider returned {type(reply).__name__}, not a Reply")
    if reply.finish_reason is FinishReason.STOP and reply.text and not reply.tool_calls:
        return reply
    if reply.finish_reason is FinishReason.CONTENT_FILTER:
        raise ContentFilteredError("the provider withheld the answer", reason=FinishReason.CONTENT_FILTER.value)
    if reply.finish_reason is FinishReason.ERROR:
        raise InvalidReplyError("the model broke off with an error")
    if not reply.text and not reply.tool_calls:
        raise InvalidReplyError(f"the answer is empty (finish reason {reply.finish_reason.value})")
    calls = distinct(reply.tool_calls, set())
    return reply if calls == reply.tool_calls else evolve(reply, tool_calls=calls)


def distinct(calls: tuple[ToolCall, ...], seen: set[str]) -> tuple[ToolCall, ...]:
    """Return the calls, each with an id that no other has: a tool's result names its call by it.

    Args:
        calls: As the provider returned them; the first with an id keeps it.
        seen: The ids of earlier calls of the same answer; those of these calls are added.
    """
    found = []
    for call in calls:
        own = ToolCall(id="", name=call.name, arguments=call.arguments) if call.id in seen else call
        seen.add(own.id)
        found.append(own)
    return tuple(found)


class Gathered:
    """The chunks of one stream so far, and the reply they make up."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._half = ""
        self._ids: set[str] = set()
        self._fields: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

    def normalise(self, chunk: ReplyChunk) -> ReplyChunk:
        """Return the chunk as it may be handed out, and go into a later request.

        A character whose UTF-16 halves come in two chunks is whole in the second, and each call has an id of its own.
        """
        text = chunk.text
        if text and (self._half or not text.isascii()):
            text, self._half = self._half + text, ""
            if "\ud800" <= text[-1] <= "\udbff":
                text, self._half = text[:-1], text[-1]
            text = clean_text(text)
        calls = distinct(chunk.tool_calls, self._ids) if chunk.tool_calls else ()
        if text == chunk.text and calls == chunk.tool_calls:
            return chunk
        return evolve(chunk, text=text, tool_calls=calls)

    def add(self, chunk: ReplyChunk) -> bool:
        """Take a chunk; return whether it is worth handing out: it has text, tool calls or an end."""
        if chunk.text:
            self.texts.append(chunk.text)
        for name in ("finish_reason", "usage", "model", "request_id", "omitted"):
            value = getattr(chunk, name)
            if value:
                self._fields[name] = value
        if chunk.tool_calls:
            self._fields["tool_calls"] = (*self._fields.get("tool_calls", ()), *chunk.tool_calls)
        return bool(chunk.text or chunk.tool_calls or chunk.finish_reason)

    def reply(self) -> Reply:
        """Return the whole answer.

        Raises:
            InvalidReplyError: The stream was cut: it ended without a finish reason, or is empty.
            ContentFilteredError: The provider withheld the rest.
        """
        if "finish_reason" not in self._fields:
            raise InvalidReplyError("the stream was cut: it ended without a finish reason")
        return checked(Reply(text=self.text + self._half, **self._fields))
