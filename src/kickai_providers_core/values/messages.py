"""The messages of a conversation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.foreign_messages import is_message_object, read_message_object
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.openai_messages import parse_message
from kickai_providers_core.values.plain_text import clean_text
from kickai_providers_core.values.prompt_masking import describe_length
from kickai_providers_core.values.tools import ToolCall
from kickai_providers_core.values.validation import (
    OneOf,
    Text,
    describe_type,
    hide_arguments,
    hide_constructor_arguments,
    raise_type_error,
    raise_value_error,
    require_all,
)

__all__ = ["Message", "MessageRole"]

MessageRole = Literal["system", "user", "assistant", "tool"]
"""The role of a message's author."""

MESSAGE_ROLES = ("system", "user", "assistant", "tool")


class _Absent(str):
    __slots__ = ()


ABSENT = _Absent()
"""Represents None until the message is validated as a whole."""


def _convert_content(value: str | None) -> str:
    if value is None:
        return ABSENT
    if not isinstance(value, str):
        raise_type_error(
            "Message.content", "text (content parts go into a mapping, images into images=)", describe_type(value)
        )
    return clean_text(value)


def _convert_images(value: Iterable[Image] | None) -> tuple[Image, ...]:
    return require_all(Image, "Message.images", value)


def _convert_tool_calls(value: Iterable[ToolCall] | None) -> tuple[ToolCall, ...]:
    return require_all(ToolCall, "Message.tool_calls", value)


@hide_constructor_arguments
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class Message(Value):
    """One turn of a conversation.

    Attributes:
        role: The author: ``system``, ``user``, ``assistant`` or ``tool``.
        content: The text; may be empty. None means empty and is only allowed if an assistant calls tools. Lone UTF-16
            surrogates, which cannot be sent, become U+FFFD. Hidden from the repr.
        images: The images that belong to the text.
        tool_calls: The tool calls of an assistant's message; empty in other messages.
        tool_call_id: The id of the call whose result a ``tool`` message contains. None in other messages, and for
            providers whose calls have no ids.
    """

    role: MessageRole = field(validator=OneOf(MESSAGE_ROLES))
    content: str = field(default="", converter=_convert_content, repr=describe_length)
    images: tuple[Image, ...] = field(default=(), converter=_convert_images)
    tool_calls: tuple[ToolCall, ...] = field(default=(), converter=_convert_tool_calls)
    tool_call_id: str | None = field(default=None, validator=Text(optional=True))

    def __attrs_post_init__(self) -> None:
        if self.content is ABSENT:
            if not self.tool_calls or self.role != "assistant":
                raise_type_error("Message.content", "text, unless an assistant's message has tool calls", "None")
            object.__setattr__(self, "content", "")
        if self.tool_calls and self.role != "assistant":
            raise_value_error("Message.tool_calls", "empty unless the role is 'assistant'", f"role {self.role!r}")
        if self.tool_call_id is not None and self.role != "tool":
            raise_value_error("Message.tool_call_id", "None unless the role is 'tool'", f"role {self.role!r}")

    @classmethod
    @hide_arguments
    def of(cls, value: Message | Mapping[str, Any] | object, where: str = "message") -> Message:
        """Return the message for a mapping in the form of OpenAI's API, or an object; return a `Message` unchanged.

        A mapping has ``role`` and ``content`` (a string, or parts of text, ``image_url`` and ``refusal``), and
        optionally ``tool_calls``, ``tool_call_id`` and a tool's ``name``. An object has ``content``, and ``role`` or
        ``type``, as LangChain's messages do. Both are converted exactly or rejected.

        Args:
            value: The message.
            where: The path of the message in errors, for example ``messages[2]``.

        Raises:
            TypeError: The value is something else, or a part of it has the wrong type.
            ValueError: It has a key or a value that a message cannot represent.
        """
        if isinstance(value, Message):
            return value
        if is_message_object(value):
            value = read_message_object(value, where)
        if not isinstance(value, Mapping):
            raise_type_error(where, "a Message, or a mapping or an object with role and content", describe_type(value))
        fields = parse_message(value, where)
        try:
            fields["images"] = [Image(**each) if isinstance(each, dict) else each for each in fields["images"]]
            fields["tool_calls"] = [
                ToolCall(**each) if isinstance(each, dict) else each for each in fields["tool_calls"]
            ]
            return cls(**fields)
        except (TypeError, ValueError) as error:
            message = f"{where}: {error}"
            raise type(error)(message) from None
