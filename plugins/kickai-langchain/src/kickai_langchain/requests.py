"""From the arguments of a LangChain call to a prompt and the keywords of a chain. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kickai_providers_core.values.prompt_masking import Masked
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.utils.function_calling import convert_to_openai_tool

from kickai_langchain.structured_output import find_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import BaseMessage

__all__ = ["build_keywords", "build_prompt", "convert_tool", "convert_tool_choice"]

FOR_LANGCHAIN = ("stream", "stream_mode", "stream_usage", "strict")
"""Keywords of a call that are not part of the request."""

CHOICES = {"any": "required", True: "required", False: None}
"""LangChain's words for a choice of tools."""


def build_prompt(messages: Iterable[BaseMessage]) -> list[BaseMessage]:
    """Return the messages in the form that a chain converts exactly or refuses.

    The name of a message's author is not part of every vendor's API. A user's name becomes the beginning of the text.
    The name of an assistant's message, which LangGraph sets to that of the agent, is left out.
    """
    return [_introduce(message) if message.name else message for message in messages]


def _introduce(message: BaseMessage) -> BaseMessage:
    if isinstance(message, AIMessage):
        return message.model_copy(update={"name": None})
    if not isinstance(message, HumanMessage):
        return message
    content, prefix = message.content, f"{message.name}: "
    if isinstance(content, str):
        return HumanMessage(prefix + content)
    parts: list[Any] = [{"type": "text", "text": part} if isinstance(part, str) else part for part in content]
    places = [place for place, part in enumerate(parts) if part.get("type") == "text"]
    if not places:
        return HumanMessage([{"type": "text", "text": prefix}, *parts])
    first = parts[places[0]]
    parts[places[0]] = {**first, "text": f"{prefix}{first.get('text', '')}"}
    return HumanMessage(parts)


def build_keywords(defaults: Mapping[str, Any], stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keywords of a chain's call.

    Args:
        defaults: The model's own values.
        stated: The keywords of the call, which take precedence unless they are None.

    Raises:
        ArgumentValueError: ``response_format`` has another form than OpenAI's API has for JSON schemas.
    """
    given = {name: value for name, value in stated.items() if value is not None and name not in FOR_LANGCHAIN}
    keywords = {**{name: value for name, value in defaults.items() if value is not None}, **given}
    if "timeout" in keywords:
        keywords.setdefault("deadline_s", keywords["timeout"])
        del keywords["timeout"]
    if "response_format" in keywords:
        keywords["json_schema"] = find_schema(keywords.pop("response_format"))
    if "response_type" in keywords:  # the chain takes one of both, and the class has its own schema
        keywords.pop("json_schema", None)
    if "tool_choice" in keywords:
        keywords["tool_choice"] = convert_tool_choice(keywords["tool_choice"])
    key = keywords.get("key")
    if isinstance(key, Masked):
        keywords["key"] = key.reveal()
    return keywords


def convert_tool(tool: Any) -> dict[str, Any]:
    """Return a tool in the form of OpenAI's API, without ``strict``, which not every provider can promise.

    Args:
        tool: What LangChain accepts as a tool: a function, a class, a `BaseTool`, or a mapping.
    """
    converted: dict[str, Any] = convert_to_openai_tool(tool)
    function = converted.get("function")
    if not isinstance(function, Mapping):
        return converted
    return {**converted, "function": {name: value for name, value in function.items() if name != "strict"}}


def convert_tool_choice(choice: Any) -> Any:
    """Return the core's word for a choice of tools."""
    return CHOICES.get(choice, choice) if isinstance(choice, str | bool) else choice
