"""The functions that a model may call, and the calls that it requests."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from os import urandom
from typing import Any

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.jsonable import Jsonable
from kickai_providers_core.values.openai_messages import parse_tool
from kickai_providers_core.values.plain_text import clean_line, clean_text
from kickai_providers_core.values.prompt_masking import describe_length
from kickai_providers_core.values.text_length_limits import NAME_LIMIT
from kickai_providers_core.values.validation import (
    Text,
    copy_json_object,
    describe_type,
    hide_arguments,
    hide_constructor_arguments,
    quote,
    raise_type_error,
    raise_value_error,
    require_text,
)

__all__ = ["Tool", "ToolCall"]


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
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class ToolCall(Value, Jsonable):
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
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class Tool(Value):
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
