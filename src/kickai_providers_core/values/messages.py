"""Messages, images, tools, tool calls and token counts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from os import urandom
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from kickai_providers_core.values.foreign_messages import is_message_object, read_message_object
from kickai_providers_core.values.image_files import MAX_IMAGE_BYTES, read_image
from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.openai_messages import parse_message, parse_tool
from kickai_providers_core.values.plain_text import clean_line, clean_text, format_count
from kickai_providers_core.values.text_length_limits import NAME_LIMIT
from kickai_providers_core.values.validation import (
    Number,
    OneOf,
    Text,
    copy_json_object,
    describe_type,
    hide_arguments,
    hide_constructor_arguments,
    quote,
    raise_type_error,
    raise_value_error,
    require_all,
    require_text,
)

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Image", "Masked", "Message", "MessageRole", "Tool", "ToolCall", "Usage", "describe_length"]

MessageRole = Literal["system", "user", "assistant", "tool"]
"""The role of a message's author."""

MESSAGE_ROLES = ("system", "user", "assistant", "tool")


def describe_length(text: object) -> str:
    """Return the length of a prompt or an answer, which a repr shows instead of the text."""
    return f"<{format_count(len(text), 'byte' if isinstance(text, bytes) else 'character')}>" if text else "<empty>"  # type: ignore[arg-type]


def _describe_optional_length(text: str | bytes | None) -> str:
    return "None" if text is None else describe_length(text)


class Masked:
    """Wraps a prompt, so that loggers that show the local variables of a traceback show only this object's repr.

    ``reveal`` is a method because loggers also show the attributes that a source line reads.
    """

    __slots__ = ("__value",)

    def __init__(self, value: object) -> None:
        self.__value = value

    def reveal(self) -> Any:
        """Return the value itself."""
        return self.__value

    def __repr__(self) -> str:
        return f"<masked {type(self.__value).__name__}>"


@hide_constructor_arguments
@frozen(kw_only=True, slots=False)
class Usage(Jsonable):
    """The token counts and the cost of one answer, as the provider reported them; integers from 0.

    Attributes:
        input_tokens: The tokens of the prompt, including cached tokens.
        output_tokens: All tokens billed as output, including reasoning.
        cached_tokens: The input tokens that came from a cache.
        reasoning_tokens: The output tokens that were used for reasoning.
        cost_nano_usd: What the service charges for the answer, as it states, in billionths of a US dollar; None when it
            does not state it.
    """

    input_tokens: int = field(validator=Number(integer=True, minimum=0))
    output_tokens: int = field(validator=Number(integer=True, minimum=0))
    cached_tokens: int = field(default=0, validator=Number(integer=True, minimum=0))
    reasoning_tokens: int = field(default=0, validator=Number(integer=True, minimum=0))
    cost_nano_usd: int | None = field(
        default=None, validator=Number(integer=True, minimum=0, optional=True), repr=False
    )

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.input_tokens + self.output_tokens

    def as_dict(self) -> dict[str, int]:
        """Return all counts, with ``total_tokens``, and the cost if the service states it."""
        cost = {} if self.cost_nano_usd is None else {"cost_nano_usd": self.cost_nano_usd}
        return {
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cached_tokens": self.cached_tokens,
            "reasoning_tokens": self.reasoning_tokens,
            "total_tokens": self.total_tokens,
            **cost,
        }


MEDIA_TYPE = re.compile(r"image/[\w.+*-]+")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S+")


def _convert_image_data(data: bytes | bytearray | memoryview | None) -> bytes | None:
    if data is not None and not isinstance(data, bytes | bytearray | memoryview):
        raise_type_error("Image.data", "bytes", describe_type(data))
    return data if data is None or isinstance(data, bytes) else bytes(data)


@hide_constructor_arguments
@frozen(kw_only=True, slots=False)
class Image:
    """An image in a message: its bytes or its URL.

    Attributes:
        media_type: For example ``image/png``; ``image/*`` when only the URL is known.
        data: The bytes of the image, not empty. Hidden from the repr.
        url: A URL that the *provider* fetches, neither a file nor a data URL. Exactly one of data and url is set.
            Hidden from the repr.
    """

    media_type: str = field(validator=Text())
    data: bytes | None = field(default=None, converter=_convert_image_data, repr=_describe_optional_length)
    url: str | None = field(default=None, validator=Text(optional=True), repr=_describe_optional_length)

    def __attrs_post_init__(self) -> None:
        if not MEDIA_TYPE.fullmatch(self.media_type):
            raise_value_error("Image.media_type", "one such as 'image/png'", quote(self.media_type))
        if (self.data is None) == (self.url is None):
            message = "an Image must have either data or a url"
            raise ValueError(message)
        if self.data == b"":
            raise_value_error("Image.data", "bytes that are not empty", "b''")
        if self.url is not None and (not ADDRESS.fullmatch(self.url) or self.url.lower().startswith("file:")):
            raise_value_error(
                "Image.url", "an address that the provider can fetch (for data, use data=)", describe_type(self.url)
            )

    @classmethod
    @hide_arguments
    def from_file(cls, path: str | PathLike[str], *, max_bytes: int = MAX_IMAGE_BYTES) -> Image:
        """Return the image in a file. Its content decides the media type, or else the file's extension.

        Args:
            path: The file.
            max_bytes: The largest size; 20 MiB.

        Raises:
            ValueError: It is not a regular file, empty, too large, or not an image.
            OSError: It cannot be read.
        """
        data, media_type = read_image(path, max_bytes)
        return cls(data=data, media_type=media_type)


def _convert_call_id(value: str | int | None) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    text = "" if value is None else require_text("ToolCall.id", value, empty=True)
    return clean_line(text, NAME_LIMIT) or f"call_{urandom(12).hex()}"


def _convert_arguments(value: str | Mapping[str, Any] | None) -> str:
    if value is None:
        return "{}"
    if isinstance(value, Mapping):
        return json.dumps(copy_json_object("ToolCall.arguments", value), ensure_ascii=False, allow_nan=False)
    if not isinstance(value, str):
        raise_type_error("ToolCall.arguments", "JSON text or a mapping", describe_type(value))
    return clean_text(value) if value.strip() else "{}"


def _convert_tool_name(value: str) -> str:
    return require_text("ToolCall.name", value)


@hide_constructor_arguments
@frozen(kw_only=True, slots=False)
class ToolCall(Jsonable):
    """A tool call that the model requests.

    Attributes:
        id: The provider's id of the call, which the message with the result repeats. A number becomes a string. If the
            provider sent none (None, empty, or only control characters), a random id is created.
        name: The name of the tool, as the model wrote it; not empty.
        arguments: A JSON object, as the model wrote it; it may be truncated or malformed. A mapping is converted to
            JSON, and None or empty text to ``{}``. Hidden from the repr.
    """

    id: str = field(converter=_convert_call_id)
    name: str = field(converter=_convert_tool_name)
    arguments: str = field(converter=_convert_arguments, repr=describe_length)

    def as_dict(self) -> dict[str, str]:
        """Return id, name and arguments; the arguments are a string, as the model wrote them."""
        return {"id": self.id, "name": self.name, "arguments": self.arguments}


TOOL_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def _convert_parameters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    return copy_json_object("Tool.parameters", value)


def _convert_description(value: str | None) -> str:
    return "" if value is None else require_text("Tool.description", value, empty=True)


@hide_constructor_arguments
@frozen(kw_only=True, slots=False)
class Tool:
    """A function that the model may call.

    Attributes:
        name: 1 to 64 letters, digits, ``_`` and ``-``.
        description: A description for the model.
        parameters: A JSON schema of an object. It is copied, so later changes have no effect.
    """

    name: str = field(validator=Text())
    description: str = field(default="", converter=_convert_description)
    parameters: Mapping[str, Any] = field(
        factory=lambda: {"type": "object", "properties": {}}, converter=_convert_parameters, repr=False
    )

    def __attrs_post_init__(self) -> None:
        if not TOOL_NAME.fullmatch(self.name):
            raise_value_error("Tool.name", "1 to 64 letters, digits, '_' and '-'", quote(self.name))
        if self.parameters.get("type", "object") != "object":
            raise_value_error("Tool.parameters['type']", "'object'", quote(self.parameters["type"]))

    @classmethod
    @hide_arguments
    def of(cls, value: Tool | Mapping[str, Any], where: str = "tool") -> Tool:
        """Return the tool for a mapping in the form of OpenAI's API; return a `Tool` unchanged.

        Args:
            value: The tool, or a mapping with ``type`` and ``function``, or with the fields of a tool.
            where: The path of the value in error messages.

        Raises:
            TypeError: The value is something else, for example a function.
            ValueError: It has an unknown key or a malformed field.
        """
        if isinstance(value, Tool):
            return value
        if not isinstance(value, Mapping):
            raise_type_error(where, "a Tool, or a mapping that describes one", describe_type(value))
        return cls(**parse_tool(value, where))

    @classmethod
    def from_function(cls, function: Callable[..., Any]) -> Tool:
        """Return the tool for a Python function; it may be asynchronous.

        Its name is the function's. The first paragraph of the docstring is the description, and the descriptions of
        parameters are read from docstrings in the style of Google, Sphinx or NumPy, or from ``Annotated[int, "text"]``.
        The schema comes from the type hints.

        Raises:
            TypeError: It is not a function with a name; a parameter has no type hint, or one that has no form in JSON;
                or a parameter cannot be given by name.
        """
        from kickai_providers_core.values.function_tools import FunctionTool  # noqa: PLC0415  it imports this module

        return FunctionTool.from_function(function).tool


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
@frozen(kw_only=True, slots=False)
class Message:
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
            self.__dict__["content"] = ""
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
