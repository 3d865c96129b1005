"""What ``--json`` prints: plain values, with the names that docs/command-line.md promises."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kickai_providers_core.values.errors import ChainExhaustedError, ConfigError, UnknownProviderError

if TYPE_CHECKING:
    from kickai_providers_core.values.errors import Problem
    from kickai_providers_core.values.messages import Usage
    from kickai_providers_core.values.replies import Reply, ReplyChunk

__all__ = ["answer", "chunk", "failure", "message_of", "problem"]


def answer(reply: Reply) -> dict[str, Any]:
    """Return a whole answer with its story."""
    return {
        "text": reply.text,
        "provider": reply.provider,
        "model": reply.model,
        "usage": _usage(reply.usage),
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


def chunk(piece: ReplyChunk) -> dict[str, Any]:
    """Return a piece of a streamed answer, or the order to discard those before it."""
    return {"restart": True} if piece.restart else {"chunk": piece.text}


def failure(error: BaseException) -> dict[str, Any]:
    """Return what stands in an answer's place when there is none."""
    told: dict[str, Any] = {"class": type(error).__name__, "message": message_of(error)}
    if isinstance(error, ConfigError):
        told["problems"] = [problem(each) for each in error.problems]
    if isinstance(error, UnknownProviderError):
        told |= {"name": error.name, "known": list(error.known)}
    return {
        "error": told,
        "text": getattr(error, "partial_text", "") or None,
        "attempts": [attempt.as_dict() for attempt in getattr(error, "attempts", ())],
        "skipped": [skip.as_dict() for skip in getattr(error, "skipped", ())],
    }


def message_of(error: BaseException) -> str:
    """Return an error's own words; a group would add how many exceptions are in it."""
    return error.message if isinstance(error, ChainExhaustedError) else str(error)


def problem(found: Problem) -> dict[str, Any]:
    """Return a problem of settings, of a plugin or of a provider."""
    return {
        "severity": found.severity,
        "path": found.path,
        "message": found.message,
        "hint": found.hint,
        "source": found.source,
        "missing": found.missing,
    }


def _usage(usage: Usage | None) -> dict[str, int] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "total_tokens": usage.total_tokens,
    }
