"""The results of providers: complete replies, and the chunks of streamed ones."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable, to_json
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.plain_text import clean_line, clean_text
from kickai_providers_core.values.prompt_masking import describe_length
from kickai_providers_core.values.text_length_limits import NAME_LIMIT
from kickai_providers_core.values.tools import ToolCall
from kickai_providers_core.values.trace import EMPTY_TRACE, RequestTrace
from kickai_providers_core.values.usage import Usage
from kickai_providers_core.values.validation import (
    Boolean,
    InstanceOf,
    Text,
    describe_type,
    hide_constructor_arguments,
    quote,
    raise_type_error,
    raise_value_error,
    require_all,
    require_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core.values.attempts import Attempt, Skip

__all__ = ["FinishReason", "ParsedReply", "Reply", "ReplyChunk"]

T = TypeVar("T")


class FinishReason(StrEnum):
    """Why the model stopped."""

    STOP = "stop"
    LENGTH = "length"
    CONTENT_FILTER = "content_filter"
    TOOL_CALL = "tool_call"
    ERROR = "error"


def _convert_answer(value: str) -> str:
    if not isinstance(value, str):
        raise_type_error("the answer's text", "text", describe_type(value))
    return value if value.isascii() else clean_text(value)


def _convert_reasoning(value: str) -> str:
    if not isinstance(value, str):
        raise_type_error("Reply.reasoning", "text", describe_type(value))
    return value if value.isascii() else clean_text(value)


def _convert_chunk_text(value: str) -> str:
    if not isinstance(value, str):
        raise_type_error("ReplyChunk.text", "text", describe_type(value))
    return value


def _convert_chunk_reasoning(value: str) -> str:
    if not isinstance(value, str):
        raise_type_error("ReplyChunk.reasoning", "text", describe_type(value))
    return value


def _convert_finish_reason(value: FinishReason | str) -> FinishReason:
    reason = _convert_optional_finish_reason(value)
    if reason is None:
        raise_type_error("Reply.finish_reason", "a FinishReason", "None")
    return reason


def _convert_optional_finish_reason(value: FinishReason | str | None) -> FinishReason | None:
    if value is None or type(value) is FinishReason:
        return value
    expected = f"a FinishReason: {', '.join(FinishReason)}"
    if not isinstance(value, str):
        raise_type_error("finish_reason", expected, describe_type(value))
    if value not in set(FinishReason):
        raise_value_error("finish_reason", expected, quote(value))
    return FinishReason(value)


def _convert_model(value: str | None) -> str:
    return "" if not value else clean_line(require_text("model", value), NAME_LIMIT)


def _convert_request_id(value: str | int | None) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return clean_line(require_text("request_id", value), NAME_LIMIT)


def _convert_tool_calls(value: Iterable[ToolCall] | None) -> tuple[ToolCall, ...]:
    return require_all(ToolCall, "tool_calls", value) if value else ()


def _convert_omitted(value: Iterable[str] | None) -> tuple[str, ...]:
    return require_all(str, "omitted", value) if value else ()


@hide_constructor_arguments
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class Reply(Value, Jsonable):
    """A complete answer. ``str(reply)`` is its text.

    A provider's hook sets the first group of attributes; the core adds the second.

    Attributes:
        text: The answer; empty only when the model calls tools. It always encodes as UTF-8. Hidden from the repr.
        finish_reason: Why the model stopped; its value as text is converted.
        usage: The token counts; None if the provider did not report them.
        model: The name of the model that answered, as the provider reports it.
        tool_calls: The tool calls that the model requests, with distinct ids.
        request_id: The provider's id of the request. If it gives none, the core sets one that begins with ``kickai-``.
        omitted: The names of request fields that this model does not support and that were omitted.
        reasoning: The model's reasoning before the answer, if the provider returns it; empty otherwise. It is not part
            of the answer. Hidden from the repr.

        provider: The instance that answered.
        answered_by: The extension that answered in place of the provider, such as a cache; empty otherwise.
        trace: What the request did. ``attempts``, ``skipped``, ``fell_back``, ``last_resort``, ``latency_s`` and
            ``deadline_s`` are read from it.
        parsed: The answer as an object of the call's ``response_type``; None without one, or if the model calls tools.
            Hidden from the repr.
    """

    text: str = field(converter=_convert_answer, repr=describe_length)
    finish_reason: FinishReason = field(converter=_convert_finish_reason)
    usage: Usage | None = field(default=None, validator=InstanceOf(Usage, optional=True))
    model: str = field(default="", converter=_convert_model)
    tool_calls: tuple[ToolCall, ...] = field(default=(), converter=_convert_tool_calls)
    request_id: str | None = field(default=None, converter=_convert_request_id)
    omitted: tuple[str, ...] = field(default=(), converter=_convert_omitted)
    reasoning: str = field(default="", converter=_convert_reasoning, repr=describe_length)

    provider: str = field(default="", validator=Text(empty=True))
    answered_by: str = field(default="", validator=Text(empty=True))
    trace: RequestTrace = field(default=EMPTY_TRACE, repr=False, validator=InstanceOf(RequestTrace))
    parsed: Any = field(default=None, repr=False)

    def __str__(self) -> str:
        return self.text

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Every attempt of the request; the last one produced this answer."""
        return self.trace.attempts

    @property
    def skipped(self) -> tuple[Skip, ...]:
        """Every target that was not called, with the reason."""
        return self.trace.skipped

    @property
    def fell_back(self) -> bool:
        """Whether a target other than the request's first one answered."""
        return self.trace.fell_back

    @property
    def last_resort(self) -> bool:
        """Whether this target was called although all targets were unavailable."""
        return self.trace.last_resort

    @property
    def latency_s(self) -> float:
        """Seconds from the call to the answer, including all attempts and waits."""
        return self.trace.elapsed_s

    @property
    def deadline_s(self) -> float | None:
        """Seconds that the request was allowed to take."""
        return self.trace.deadline_s

    def to_message(self) -> Message:
        """Return the answer as a message of the conversation, for the next prompt. It has no reasoning."""
        return Message(role="assistant", content=self.text, tool_calls=self.tool_calls)

    def explain(self) -> str:
        """Return a readable report of the request, with one line for each attempt, wait and skip, and the time used."""
        answered = self.attempts[-1].target if self.attempts else self.provider
        by = f", from the extension {self.answered_by}" if self.answered_by else ""
        return self.trace.render(f"{answered} answered{by}")

    def as_dict(self) -> dict[str, Any]:
        """Return the reply as JSON; docs/errors.md lists the keys."""
        own = {name: to_json(getattr(self, name)) for name in OWN_FIELDS}
        shared = {name: to_json(getattr(self, name)) for name in TRACE_FIELDS}
        return {**own, **shared, "latency_s": round(self.latency_s, 6)}


class ParsedReply(Reply, Generic[T]):
    """A reply to a call with a ``response_type``.

    Attributes:
        parsed: The answer as an object of that type. Hidden from the repr.
    """

    if TYPE_CHECKING:
        parsed: T


OWN_FIELDS = (
    *("text", "finish_reason", "usage", "model", "tool_calls", "request_id", "omitted", "reasoning"),
    *("provider", "answered_by"),
)
TRACE_FIELDS = ("attempts", "skipped", "fell_back", "last_resort", "latency_s", "deadline_s")


@hide_constructor_arguments
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class ReplyChunk(Value, Jsonable):
    """A chunk of a streamed answer.

    The last chunk of a complete answer has a finish reason; a stream that ends without one was truncated. Usage, model,
    request id and omissions may be set in any chunk, and the last value counts. Tool calls add up.

    Attributes:
        text: The text that this chunk adds; may be empty. Hidden from the repr.
        finish_reason: Why the model stopped, in the last chunk only.
        usage: The token counts of the answer so far, if known.
        model: The name of the model that answers, if known.
        tool_calls: The tool calls that are complete with this chunk.
        request_id: The provider's id of the request, if known.
        omitted: As in `Reply`.
        reasoning: The reasoning that this chunk adds; may be empty. Hidden from the repr.
        answered_by: As in `Reply`; set by the core.
        restart: Set by the core in mode ``restart``: discard all earlier chunks, since another target starts over.
    """

    text: str = field(default="", converter=_convert_chunk_text, repr=describe_length)
    finish_reason: FinishReason | None = field(default=None, converter=_convert_optional_finish_reason)
    usage: Usage | None = field(default=None, validator=InstanceOf(Usage, optional=True))
    model: str = field(default="", converter=_convert_model)
    tool_calls: tuple[ToolCall, ...] = field(default=(), converter=_convert_tool_calls)
    request_id: str | None = field(default=None, converter=_convert_request_id)
    omitted: tuple[str, ...] = field(default=(), converter=_convert_omitted)
    reasoning: str = field(default="", converter=_convert_chunk_reasoning, repr=describe_length)
    answered_by: str = field(default="", validator=Text(empty=True))
    restart: bool = field(default=False, validator=Boolean())

    def as_dict(self) -> dict[str, Any]:
        """Return the chunk as JSON, under the names of its attributes."""
        return {name: to_json(value) for name, value in self.__dict__.items()}
