"""A scripted vendor that does what LangChain's standard tests ask a model to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from kickai_mock import MockInCode
from kickai_mock.schema import build_json
from kickai_providers_core import FinishReason, KickaiSettings, Reply, Resolver, Settings, ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from kickai_providers_core import ChatRequest

USAGE = Usage(input_tokens=12, output_tokens=7, cached_tokens=5, reasoning_tokens=3)


def answer(request: ChatRequest) -> str | Reply:
    """Call the first tool, then answer with text; or answer with JSON for a schema."""
    if request.tools and request.messages[-1].role != "tool":
        return call_tool(request)
    text = "Hello there" if request.json_schema is None else build_json(request.json_schema)
    return Reply(
        text=text,
        finish_reason=FinishReason.STOP,
        usage=USAGE,
        model=request.model or "mock",
        reasoning="Someone came.",
    )


def call_tool(request: ChatRequest) -> Reply:
    """Call the tool that the request names, or the first one, with arguments from the prompt."""
    named = [tool for tool in request.tools if tool.name == request.tool_choice]
    tool = (named or list(request.tools))[0]
    properties: Mapping[str, Any] = tool.parameters.get("properties", {})
    arguments = {name: find_argument(request, schema) for name, schema in properties.items()}
    return Reply(
        text="",
        finish_reason=FinishReason.TOOL_CALL,
        usage=USAGE,
        model=request.model or "mock",
        tool_calls=(ToolCall(id="", name=tool.name, arguments=arguments),),
    )


def find_argument(request: ChatRequest, schema: Mapping[str, Any]) -> int | str:
    """Return the last number of the prompt, or its quoted words."""
    prompt = request.messages[-1].content
    if schema.get("type") == "integer":
        return int(re.findall(r"\d+", f"0 {prompt}")[-1])
    quoted = re.findall(r"'([^']+)'", prompt)
    return quoted[0] if quoted else "pirate"


def create_resolver(compute: Callable[[ChatRequest], str | Reply] = answer, **fields: Any) -> Resolver:
    """Return a resolver over one scripted vendor."""
    mock = MockInCode(answer=compute, retries=0, **fields)
    settings = Settings(kickai=KickaiSettings(primary="mock", fallback=(), plugins=("mock",)), providers={"mock": mock})
    return Resolver.from_settings(settings)
