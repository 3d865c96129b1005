"""The JSON of ``--json``, with the names that docs/command-line.md documents."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.values.errors import ChainExhaustedError, ConfigError, UnknownProviderError

if TYPE_CHECKING:
    from kickai_providers_core.values.errors import Problem
    from kickai_providers_core.values.replies import Reply, ReplyChunk
    from kickai_providers_core.values.usage import Usage

__all__ = ["from_chunk", "from_error", "from_problem", "from_reply", "get_message"]


def from_reply(reply: Reply) -> dict[str, Any]:
    """Return a complete answer with its attempts and skipped targets."""
    return {
        "text": reply.text,
        "provider": reply.provider,
        "answered_by": reply.answered_by,
        "model": reply.model,
        "usage": _from_usage(reply.usage),
        "finish_reason": reply.finish_reason.value,
        "fell_back": reply.fell_back,
        "last_resort": reply.last_resort,
        "latency_s": round(reply.latency_s, 6),
        "attempts": [attempt.as_dict() for attempt in reply.attempts],
        "skipped": [skip.as_dict() for skip in reply.skipped],
        "omitted": list(reply.omitted),
        "tool_calls": [{"id": call.id, "name": call.name, "arguments": call.arguments} for call in reply.tool_calls],
        "request_id": reply.request_id,
    }


def from_chunk(chunk: ReplyChunk) -> dict[str, Any]:
    """Return a chunk of a streamed answer, or the instruction to discard the chunks before it."""
    return {"restart": True} if chunk.restart else {"chunk": chunk.text}


def from_error(error: BaseException) -> dict[str, Any]:
    """Return an error, in the place of an answer."""
    record: dict[str, Any] = {"class": type(error).__name__, "message": get_message(error)}
    if isinstance(error, ConfigError):
        record["problems"] = [from_problem(problem) for problem in error.problems]
    if isinstance(error, UnknownProviderError):
        record |= {"name": error.name, "known": list(error.known)}
    return {
        "error": record,
        "text": getattr(error, "partial_text", "") or None,
        "attempts": [attempt.as_dict() for attempt in getattr(error, "attempts", ())],
        "skipped": [skip.as_dict() for skip in getattr(error, "skipped", ())],
    }


def get_message(error: BaseException) -> str:
    """Return the message of an error; the text of an exception group would add how many exceptions it has."""
    return error.message if isinstance(error, ChainExhaustedError) else str(error)


def from_problem(problem: Problem) -> dict[str, Any]:
    """Return a problem of settings, of a plugin or of a provider."""
    return {
        "severity": problem.severity,
        "path": problem.path,
        "message": problem.message,
        "hint": problem.hint,
        "source": problem.source,
        "missing": problem.missing,
    }


def _from_usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
    }
