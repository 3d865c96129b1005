"""Structured output: how JSON is asked for, and how an answer becomes a mapping or an object of a class."""

from __future__ import annotations

import json
from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal

from kickai_providers_core import ArgumentValueError, Capability, InvalidReplyError
from kickai_providers_core.values.validation import describe_type
from langchain_core.runnables import RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import BaseModel
from pydantic.v1 import BaseModel as OldBaseModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.messages import AIMessage
    from langchain_core.runnables import Runnable

__all__ = ["Method", "attach_parser", "build_json_binding", "choose_method", "find_schema", "parse_call", "parse_text"]

Method = Literal["json_schema", "function_calling", "json_mode"]
METHODS = ("json_schema", "function_calling", "json_mode")


def choose_method(stated: str | None, capabilities: frozenset[Capability]) -> Method:
    """Return how to ask for the structure.

    Args:
        stated: The application's choice. ``json_mode`` is ``json_schema``, which promises more. None decides: JSON
            schemas where every target takes them, else tools where every target takes those, else JSON schemas, for
            the targets that take them.
        capabilities: What every target can do.

    Raises:
        ArgumentValueError: The method is unknown.
    """
    if stated is None:
        is_schema = Capability.JSON_SCHEMA in capabilities or Capability.TOOLS not in capabilities
        return "json_schema" if is_schema else "function_calling"
    if stated not in METHODS:
        raise ArgumentValueError(f"method must be one of {', '.join(METHODS)}, got {stated!r}")
    return "function_calling" if stated == "function_calling" else "json_schema"


def build_json_binding(schema: dict[str, Any] | type) -> dict[str, Any]:
    """Return the keywords that ask for JSON. A pydantic model is also checked by the chain, which then falls back."""
    keywords: dict[str, Any] = {"json_schema": convert_to_json_schema(schema)}
    if _is_model(schema):
        keywords["response_type"] = schema
    return keywords


def _is_model(schema: object) -> bool:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def find_schema(form: object) -> Mapping[str, Any] | None:
    """Return the schema in OpenAI's ``response_format``, which LangChain's agents use too.

    Raises:
        ArgumentValueError: It has another form than OpenAI's API has for JSON schemas.
    """
    kind = form.get("type") if isinstance(form, Mapping) else None
    if kind == "text":
        return None
    inner = form.get("json_schema") if isinstance(form, Mapping) and kind == "json_schema" else None
    schema = inner.get("schema") if isinstance(inner, Mapping) else None
    if not isinstance(schema, Mapping):
        raise ArgumentValueError(
            "response_format must be {'type': 'json_schema', 'json_schema': {'schema': …}}, got "
            + (f"the type {kind!r}" if isinstance(kind, str) else describe_type(form))
        )
    return schema


def parse_text(message: AIMessage, schema: dict[str, Any] | type) -> Any:
    """Return the text of an answer as an object of the schema's class, or as a mapping.

    Raises:
        InvalidReplyError: The answer does not fit. The error does not quote it.
    """
    try:
        value = json.loads(message.text)
    except (ValueError, RecursionError):
        raise InvalidReplyError("the answer is not JSON", due_to_request=True) from None
    return _build_object(value, schema)


def parse_call(message: AIMessage, schema: dict[str, Any] | type) -> Any:
    """Return the arguments of an answer's tool call as an object of the schema's class, or as a mapping.

    Raises:
        InvalidReplyError: There is no valid call, or its arguments do not fit. The error does not quote them.
    """
    if not message.tool_calls:
        raise InvalidReplyError("the model did not call the tool that structures its answer", due_to_request=True)
    return _build_object(message.tool_calls[0]["args"], schema)


def _build_object(value: Any, schema: dict[str, Any] | type) -> Any:
    if not isinstance(schema, type):
        return value
    try:
        if issubclass(schema, BaseModel):
            return schema.model_validate_json(json.dumps(value))
        return schema.parse_obj(value) if issubclass(schema, OldBaseModel) else value
    except ValueError:  # it quotes the answer
        pass
    raise InvalidReplyError(f"the answer does not fit {schema.__name__}", due_to_request=True)


def attach_parser(
    model: Runnable[Any, AIMessage], parse: Callable[[AIMessage], Any], *, include_raw: bool
) -> Runnable[Any, Any]:
    """Return the model followed by a parser.

    Args:
        model: The model.
        parse: The parser.
        include_raw: Whether to return a mapping with ``raw``, ``parsed`` and ``parsing_error``.
    """
    parser: Runnable[Any, Any] = RunnableLambda(parse)
    if not include_raw:
        return model | parser
    parsed = RunnablePassthrough.assign(parsed=itemgetter("raw") | parser, parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")
