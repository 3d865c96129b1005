"""Requests, which applications create and the hooks of providers receive.

Constructors convert values that have one exact meaning (a list for a tuple, ``stop="END"``). They reject anything else
with a `TypeError` or `ValueError` that names the field. Reprs show lengths instead of texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from attrs import field, frozen

from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.foreign_messages import MessageLike, is_message_object
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.openai_messages import parse_tool_choice
from kickai_providers_core.values.plain_text import clean_text, format_count
from kickai_providers_core.values.tools import Tool
from kickai_providers_core.values.trusted import evolve_trusted
from kickai_providers_core.values.validation import (
    Number,
    Text,
    convert_to_tuple,
    copy_json_object,
    describe_type,
    hide_arguments,
    hide_constructor_arguments,
    quote,
    raise_type_error,
    raise_value_error,
    require_text,
)

__all__ = ["NO_NEEDS", "Capability", "ChatRequest", "Prompt"]


class Capability(StrEnum):
    """A feature besides text that a request may need and a provider or model may support."""

    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    IMAGES = "images"
    SEED = "seed"


NO_NEEDS: frozenset[Capability] = frozenset()


USER_MESSAGE = Message(role="user")

TOOL_CHOICES = frozenset({"auto", "none", "required"})
"""The values of ``tool_choice`` besides the name of a tool."""


def _convert_messages(value: Iterable[Message]) -> tuple[Message, ...]:
    where = "ChatRequest.messages"
    if value is None:
        raise_type_error(where, "a sequence of Messages", "None")
    items = convert_to_tuple(where, "Messages", value)
    if not items:
        raise_value_error(where, "at least one Message", "none")
    for place, item in enumerate(items):
        if not isinstance(item, Message):
            raise_type_error(
                f"messages[{place}]", "a Message (ChatRequest.from_prompt takes mappings too)", describe_type(item)
            )
    return items


def _convert_stop(value: str | Iterable[str] | None) -> tuple[str, ...]:
    texts = (value,) if isinstance(value, str) else convert_to_tuple("ChatRequest.stop", "texts, or one text", value)
    return tuple(require_text(f"ChatRequest.stop[{place}]", text) for place, text in enumerate(texts))


def _convert_tools(value: Iterable[Tool | Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    return tuple(
        item if isinstance(item, Tool) else Tool.of(item, f"ChatRequest.tools[{place}]")
        for place, item in enumerate(convert_to_tuple("ChatRequest.tools", "Tools", value))
    )


def _convert_tool_choice(value: str | Mapping[str, Any] | None) -> str | None:
    if isinstance(value, Mapping):
        value = str(parse_tool_choice(value))
    return value if value is None else require_text("ChatRequest.tool_choice", value)


def _convert_json_schema(value: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return None if value is None else copy_json_object("ChatRequest.json_schema", value)


def _convert_options(value: Mapping[str, Mapping[str, Any]] | None) -> Mapping[str, Mapping[str, Any]]:
    if value is None:
        return {}
    where = "ChatRequest.options"
    if not isinstance(value, Mapping):
        raise_type_error(where, "a mapping from providers to their options", describe_type(value))
    for name, own in value.items():
        if not isinstance(own, Mapping):
            raise_type_error(f"{where}[{name!r}]", "a mapping from names to values", describe_type(own))
    return copy_json_object(where, value)


def _format_names(tools: tuple[Tool, ...]) -> str:
    return f"({', '.join(tool.name for tool in tools)})"


@hide_constructor_arguments
@frozen(kw_only=True, slots=False, eq=False, repr=False)
class ChatRequest(Value):
    """A request to a provider.

    A field that is None is set from the role, then from the chain's target, and otherwise left to the provider. When a
    provider's hook receives a request, ``model``, ``temperature`` and ``max_tokens`` are final.

    Attributes:
        messages: The conversation, oldest first; never empty. `from_prompt` also takes mappings, see `Message.of`.
            Hidden from the repr.
        model: The requested model, not empty; None for the instance's own.
        temperature: A finite number from 0; None leaves it to the provider.
        max_tokens: The token limit of the answer, from 1; None leaves it to the provider.
        top_p: In (0, 1]; None leaves it to the provider.
        stop: Texts that end the answer and are not part of it; a single text may be given directly.
        seed: Asks for the same answer each time, if the provider can; None for no seed.
        tools: Functions that the model may call, with distinct names.
        tool_choice: ``auto``, ``none``, ``required``, or the name of one tool; None leaves it to the provider.
            ``required`` and a name need tools.
        json_schema: A JSON schema that the answer must satisfy; copied. Hidden from the repr.
        options: What only one vendor knows, by the name of the provider or of an instance; copied. Other providers do
            not see it. A provider's hook finds its own options under its plugin's name. The repr shows no values.
    """

    messages: tuple[Message, ...] = field(
        converter=_convert_messages, repr=lambda messages: f"<{format_count(len(messages), 'message')}>"
    )
    model: str | None = field(default=None, validator=Text(optional=True))
    temperature: float | None = field(default=None, validator=Number(minimum=0, optional=True))
    max_tokens: int | None = field(default=None, validator=Number(integer=True, minimum=1, optional=True))
    top_p: float | None = field(default=None, validator=Number(above=0, maximum=1, optional=True))
    stop: tuple[str, ...] = field(default=(), converter=_convert_stop)
    seed: int | None = field(default=None, validator=Number(integer=True, optional=True))
    tools: tuple[Tool, ...] = field(default=(), converter=_convert_tools, repr=_format_names)
    tool_choice: str | None = field(default=None, converter=_convert_tool_choice)
    json_schema: Mapping[str, Any] | None = field(
        default=None, converter=_convert_json_schema, repr=lambda schema: "None" if schema is None else "<schema>"
    )
    options: Mapping[str, Mapping[str, Any]] = field(
        factory=dict, converter=_convert_options, repr=lambda options: f"<{', '.join(options)}>"
    )

    def __attrs_post_init__(self) -> None:
        names = {tool.name for tool in self.tools}
        if len(names) < len(self.tools):
            raise_value_error("ChatRequest.tools", "tools with different names", _format_names(self.tools))
        choice = self.tool_choice
        if choice == "required" and not names:
            raise_value_error("ChatRequest.tool_choice", "None, 'auto' or 'none' without tools", quote(choice))
        if choice is not None and choice not in TOOL_CHOICES | names:
            expected = "'auto', 'none', 'required' or the name of one of the tools"
            raise_value_error("ChatRequest.tool_choice", expected, quote(choice))

    @classmethod
    @hide_arguments
    def from_prompt(cls, prompt: Prompt) -> ChatRequest:
        """Return the request for a string, or for a sequence of messages; return a `ChatRequest` unchanged.

        Each message is a `Message`, or anything that `Message.of` converts.

        Raises:
            TypeError: The prompt, or one of its messages, has the wrong type.
            ValueError: It contains no messages, or a message is malformed.
        """
        if isinstance(prompt, str):
            return cls(messages=(Message(role="user", content=prompt),))
        if isinstance(prompt, ChatRequest):
            return prompt
        if isinstance(prompt, Mapping | bytes | type) or not isinstance(prompt, Iterable):
            raise_type_error("a prompt", "text, a sequence of messages, or a ChatRequest", describe_type(prompt))
        if is_message_object(prompt):
            raise_type_error(
                "a prompt", "text, or a sequence of messages (put the message into a list)", type(prompt).__name__
            )
        messages = tuple(Message.of(item, f"messages[{place}]") for place, item in enumerate(prompt))
        if not messages:
            raise_value_error("a prompt", "text or at least one message", "an empty sequence")
        return cls(messages=messages)

    of = from_prompt  # the name of the first releases

    def with_prompt(self, text: str) -> ChatRequest:
        """Return the request with one user message instead of its own messages."""
        content = text if text.isascii() else clean_text(text)
        return evolve_trusted(self, messages=(evolve_trusted(USER_MESSAGE, content=content),))

    def for_model(self, model: str | None) -> ChatRequest:
        """Return the request for a model; None leaves it unchanged."""
        return self if model is None or model == self.model else evolve_trusted(self, model=model)

    def with_defaults(self, temperature: float | None, max_tokens: int | None) -> ChatRequest:
        """Return the request with a temperature and a token limit where it has none."""
        temperature = temperature if self.temperature is None else self.temperature
        max_tokens = max_tokens if self.max_tokens is None else self.max_tokens
        if temperature == self.temperature and max_tokens == self.max_tokens:
            return self
        return evolve_trusted(self, temperature=temperature, max_tokens=max_tokens)

    @property
    def needs(self) -> frozenset[Capability]:
        """The capabilities that a target must have to serve this request."""
        needs = NO_NEEDS
        if self.tools:
            needs |= {Capability.TOOLS}
        if self.json_schema is not None:
            needs |= {Capability.JSON_SCHEMA}
        for message in self.messages:
            if message.images:
                return needs | {Capability.IMAGES}
        return needs


Prompt = str | Sequence[Message | Mapping[str, Any] | MessageLike] | ChatRequest
"""The values that `ChatRequest.from_prompt` accepts."""
