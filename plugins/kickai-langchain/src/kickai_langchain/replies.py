"""From a reply to LangChain's messages. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core import FinishReason
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

if TYPE_CHECKING:
    from kickai_providers_core import Reply, ReplyChunk, ToolCall, Usage
    from langchain_core.messages import InvalidToolCall
    from langchain_core.messages import ToolCall as LangChainToolCall
    from langchain_core.messages.ai import UsageMetadata

__all__ = ["PROVIDER", "build_chunk", "build_last_chunk", "build_message"]

PROVIDER = "kickai"
"""The provider that LangChain sees. A vendor's name would have it read the content in that vendor's form."""

FINISH_REASONS = {FinishReason.TOOL_CALL: "tool_calls"}
"""The finish reasons for which LangChain has another word, which is OpenAI's."""


def build_message(reply: Reply) -> AIMessage:
    """Return the message of a complete answer."""
    valid: list[LangChainToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in reply.tool_calls:
        arguments = _parse_arguments(call)
        if arguments is None:
            error = "the arguments are not a JSON object"
            invalid.append(invalid_tool_call(name=call.name, args=call.arguments, id=call.id, error=error))
        else:
            valid.append(tool_call(name=call.name, args=arguments, id=call.id))
    return AIMessage(
        content=reply.text,
        additional_kwargs=_build_reasoning(reply.reasoning),
        response_metadata=_build_metadata(reply),
        usage_metadata=_build_usage(reply.usage),
        tool_calls=valid,
        invalid_tool_calls=invalid,
    )


def build_chunk(chunk: ReplyChunk) -> AIMessageChunk | None:
    """Return the message of a chunk; None when it adds neither text nor reasoning."""
    if not chunk.text and not chunk.reasoning:
        return None
    return AIMessageChunk(content=chunk.text, additional_kwargs=_build_reasoning(chunk.reasoning))


def build_last_chunk(reply: Reply, *, has_usage: bool) -> AIMessageChunk:
    """Return the message that ends a stream: tool calls, usage and metadata.

    Args:
        reply: The complete answer.
        has_usage: Whether it has the token counts.
    """
    return AIMessageChunk(
        content="",
        response_metadata=_build_metadata(reply),
        usage_metadata=_build_usage(reply.usage) if has_usage else None,
        tool_call_chunks=[
            tool_call_chunk(name=call.name, args=call.arguments, id=call.id, index=place)
            for place, call in enumerate(reply.tool_calls)
        ],
        chunk_position="last",
    )


def _parse_arguments(call: ToolCall) -> dict[str, Any] | None:
    """Return the arguments; None when they are not a JSON object."""
    try:
        arguments = json.loads(call.arguments)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _build_reasoning(reasoning: str) -> dict[str, Any]:
    """Return the keyword from which LangChain makes a reasoning block."""
    return {"reasoning_content": reasoning} if reasoning else {}


def _build_metadata(reply: Reply) -> dict[str, Any]:
    called = reply.attempts[-1].model if reply.attempts else None
    return {
        "model_name": reply.model or called or reply.provider,
        "model_provider": PROVIDER,
        "provider": reply.provider,
        "finish_reason": FINISH_REASONS.get(reply.finish_reason, reply.finish_reason.value),
        "request_id": reply.request_id,
        "fell_back": reply.fell_back,
        "attempts": len(reply.attempts),
        **({"omitted": list(reply.omitted)} if reply.omitted else {}),
    }


def _build_usage(usage: Usage | None) -> UsageMetadata | None:
    if usage is None:
        return None
    metadata: UsageMetadata = {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
    }
    if usage.cached_tokens:
        metadata["input_token_details"] = {"cache_read": usage.cached_tokens}
    if usage.reasoning_tokens:
        metadata["output_token_details"] = {"reasoning": usage.reasoning_tokens}
    return metadata
