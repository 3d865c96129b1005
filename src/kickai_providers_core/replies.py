"""What makes a provider's answer a whole one: the checks, and the gathering of a stream's chunks into a reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.errors import ContentFilteredError, InvalidReplyError
from kickai_providers_core.messages import FinishReason, Reply

if TYPE_CHECKING:
    from kickai_providers_core.messages import ReplyChunk

__all__ = ["Gathered", "checked"]


def checked(reply: object) -> Reply:
    """Return the reply when it can pass for an answer.

    Raises:
        InvalidReplyError: It is no reply, or it is empty, or the model broke off.
        ContentFilteredError: The provider withheld the answer, or a part of it.
    """
    if not isinstance(reply, Reply):
        raise InvalidReplyError(f"the provider returned {type(reply).__name__}, not a Reply")
    if reply.finish_reason is FinishReason.STOP and reply.text:
        return reply
    if reply.finish_reason is FinishReason.CONTENT_FILTER:
        raise ContentFilteredError("the provider withheld the answer", reason=FinishReason.CONTENT_FILTER.value)
    if reply.finish_reason is FinishReason.ERROR:
        raise InvalidReplyError("the model broke off with an error")
    if not reply.text and not reply.tool_calls:
        raise InvalidReplyError(f"the answer is empty (finish reason {reply.finish_reason.value})")
    return reply


class Gathered:
    """The chunks of one stream so far, and the reply they make up."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._fields: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(self.texts)

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
        return checked(Reply(text=self.text, **self._fields))
