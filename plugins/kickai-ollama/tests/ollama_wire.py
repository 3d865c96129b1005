"""How an Ollama server answers, for the fault server: our reading of docs/api.md and server/routes.go of Ollama."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from kickai_providers_core import FinishReason
from kickai_providers_core.testing.faults import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.testing.faults import Recorded

MODEL = "qwen2.5:0.5b"

SAYINGS = {
    "model_not_found": f"model '{MODEL}' not found",
    "context_length": "request (302 tokens) exceeds the available context size (256 tokens), try increasing it",
    "out_of_memory": "model requires more system memory (5.6 GiB) than is available (3.2 GiB)",
    "no_tools": f'"{MODEL}" does not support tools',
    "busy": "server busy, please try again.  maximum pending requests exceeded",
    "rate_limit": "rate limit exceeded",
    "quota": "you have reached your weekly usage limit, please upgrade to continue",
    "auth": "unauthorized",
    "invalid_request": "json: cannot unmarshal string into Go struct field ChatRequest.messages",
    "unavailable": "an error was encountered while running the model: unexpected EOF",
    "crashed": "llama runner process has terminated: exit status 2",
}

PULLING = (
    {"status": "pulling manifest"},
    {"status": "pulling aaaa", "digest": "sha256:aaaa", "total": 300},
    {"status": "pulling aaaa", "digest": "sha256:aaaa", "total": 300, "completed": 150},
    {"status": "pulling aaaa", "digest": "sha256:aaaa", "total": 300, "completed": 300},
    {"status": "pulling bbbb", "digest": "sha256:bbbb", "total": 100, "completed": 100},
    {"status": "verifying sha256 digest"},
    {"status": "success"},
)
"""The progress that a server reports for a model of two layers."""

REASONS = {FinishReason.LENGTH: "length"}


class OllamaWire:
    """Ollama's JSON and JSON lines."""

    def __init__(self, names: Sequence[str] = (MODEL,)) -> None:
        self.names = names

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP, **details: Any) -> Response:
        """Return a whole answer, or the list of models."""
        if request.path.endswith("/api/tags"):
            return Response.json({"models": [{"model": name, "name": name, "size": 1} for name in self.names]})
        return Response.json(_end(text, finish, **details), headers={"content-type": "application/json; charset=utf-8"})

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP, **details: Any
    ) -> tuple[Response, list[bytes]]:
        """Return the head and the lines of a streamed answer or a pull."""
        if request.path.endswith("/api/pull"):
            return Response(headers={"content-type": "application/x-ndjson"}), list(map(_line, PULLING))
        thought = details.pop("reasoning", "")
        parts = [*(_part(piece, done=False) for piece in pieces), _end("", finish, **details)]
        if thought:
            parts[0]["message"]["thinking"] = thought
        return Response(headers={"content-type": "application/x-ndjson"}), list(map(_line, parts))

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return an error: an object with one sentence."""
        return Response.json({"error": SAYINGS.get(kind, SAYINGS["unavailable"])}, status=status)

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether the request wants a stream, which is the default of Ollama's protocol."""
        return request.method == "POST" and bool(request.json().get("stream", True))


def _part(text: str, **fields: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"model": MODEL, "created_at": "2026-11-23T06:45:00.123456789Z", "message": message, **fields}


def _end(text: str, finish: FinishReason, **details: Any) -> dict[str, Any]:
    usage = details.get("usage")
    counts = {
        "prompt_eval_count": usage.input_tokens if usage else 11,
        "eval_count": usage.output_tokens if usage else 3,
    }
    reason = details.get("finish_word", REASONS.get(finish, "stop"))
    part = _part(text, done=True, done_reason=reason, total_duration=5_000_000, **counts)
    part["model"] = details.get("model", MODEL)
    if "reasoning" in details:
        part["message"]["thinking"] = details["reasoning"]
    calls = [
        {"id": call.id, "function": {"index": index, "name": call.name, "arguments": json.loads(call.arguments)}}
        for index, call in enumerate(details.get("tool_calls", ()))
    ]
    if finish is FinishReason.TOOL_CALL and not calls:
        calls = [
            {"id": "call_qfz1", "function": {"index": 0, "name": "canary_tool", "arguments": {"canary_day": "Sat"}}}
        ]
    if calls:
        part["message"]["tool_calls"] = calls
    return part


def _line(part: dict[str, Any]) -> bytes:
    return json.dumps(part).encode() + b"\n"
