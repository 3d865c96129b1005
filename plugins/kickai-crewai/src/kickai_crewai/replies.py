"""From a reply to the answer of a CrewAI call. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeVar

from kickai_providers_core import InvalidReplyError
from pydantic import BaseModel, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kickai_providers_core import Reply, ToolCall

__all__ = ["build_tool_calls", "build_usage", "cut_at_stop", "find_places", "parse_answer", "parse_arguments"]

Model = TypeVar("Model", bound=BaseModel)


def build_usage(reply: Reply) -> dict[str, int] | None:
    """Return the token counts under the names that CrewAI reads; None when the provider reported none."""
    usage = reply.usage
    if usage is None:
        return None
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "cached_prompt_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def cut_at_stop(text: str, stops: Iterable[str]) -> str:
    """Return the text before the first stop word, for targets that ignore stop words."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)].strip() if places else text


def build_tool_calls(reply: Reply) -> list[dict[str, Any]]:
    """Return the tool calls in the form of OpenAI's API, which CrewAI's agents carry out."""
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.tool_calls
    ]


def parse_arguments(call: ToolCall) -> dict[str, Any]:
    """Return the arguments of a tool call.

    Raises:
        InvalidReplyError: They are not a JSON object.
    """
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise InvalidReplyError(f"the arguments of the tool call {call.name} are not a JSON object")
    return arguments


def find_places(error: ValidationError) -> str:
    """Return the paths of the values that pydantic refuses. Its own text quotes the values."""
    return ", ".join(sorted({".".join(map(str, each["loc"])) or "the whole answer" for each in error.errors()}))


def parse_answer(text: str, response_model: type[Model]) -> Model:
    """Return the answer as an object of a class; text around the JSON object is ignored.

    Raises:
        InvalidReplyError: The answer does not fit the class. The error does not quote it.
    """
    start, end = text.find("{"), text.rfind("}")
    whole = text[start : end + 1] if 0 <= start < end else text
    try:
        return response_model.model_validate_json(whole)
    except ValidationError as error:
        places = sorted({".".join(map(str, each["loc"])) or "the whole answer" for each in error.errors()})
    raise InvalidReplyError(
        f"the answer does not fit {response_model.__name__}: {', '.join(places)}", due_to_request=True
    )
