"""Answers in the wire format of chat completions, as OpenAI's API and the services that imitate it send them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from kickai_providers_core.testing.chat_completions.requests import read_request
from kickai_providers_core.testing.faults import Recorded, Response
from kickai_providers_core.values.replies import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.values.usage import Usage

__all__ = ["ChatWire"]

REQUEST_ID = {"x-request-id": "req-7"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
TOOL_CALL: Mapping[str, Any] = {
    "id": "call-1",
    "type": "function",
    "function": {"name": "canary_tool", "arguments": '{"canary_day": "Saturday"}'},
}
FINISH = {
    FinishReason.STOP: "stop",
    FinishReason.LENGTH: "length",
    FinishReason.TOOL_CALL: "tool_calls",
    FinishReason.CONTENT_FILTER: "content_filter",
}


class ChatWire:
    """A service that speaks the Chat Completions protocol; a subclass overrides what its service does otherwise.

    Args:
        model: The name of the model in answers and in the list of models.
    """

    sayings: ClassVar[Mapping[str, object]] = {
        "context_length": {
            "error": {
                "message": "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens.",
                "type": "invalid_request_error",
                "code": "context_length_exceeded",
            }
        },
        "content_filter": {
            "error": {"message": "The prompt was flagged.", "type": "invalid_request_error", "code": "content_filter"}
        },
        "model_not_found": {
            "error": {
                "message": "The model 'none' does not exist or you do not have access to it.",
                "type": "invalid_request_error",
                "code": "model_not_found",
            }
        },
        "quota": {
            "error": {
                "message": "You exceeded your current quota, please check your plan and billing details.",
                "type": "insufficient_quota",
                "code": "insufficient_quota",
            }
        },
        "rate_limit": {"error": {"message": "Rate limit reached.", "type": "tokens", "code": "rate_limit_exceeded"}},
        "auth": {"error": {"message": "Incorrect API key provided.", "type": "invalid_request_error", "code": None}},
        "invalid_request": {
            "error": {"message": "temperature must be below 2", "type": "invalid_request_error", "param": "temperature"}
        },
    }
    """The bodies of errors by their kind, in the words of OpenAI's API."""

    def __init__(self, model: str = "test-model") -> None:
        self.model = model

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP, **details: Any) -> Response:
        """Return a whole answer, or the list of models."""
        if request.method == "GET":
            return Response.json({"object": "list", "data": [{"id": self.model, "object": "model"}]})
        message: dict[str, object] = {"role": "assistant", "content": text, **_encode_thoughts(details)}
        if "response_format" in request.json() and text == "pong":
            message["content"] = "{}"  # keeps to the schema, which requires nothing
        if calls := _encode_calls(finish, details):
            message |= {"content": text or None, "tool_calls": calls}
        choice = {"index": 0, "message": message, "finish_reason": details.get("finish_word", FINISH[finish])}
        model = details.get("model", self.model)
        whole = {"id": "c-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice]}
        return Response.json({**whole, "usage": _encode_usage(details)}, headers=_build_headers(details))

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP, **details: Any
    ) -> tuple[Response, Sequence[bytes]]:
        """Return the head of a stream of server-sent events, and its events."""
        head = Response(headers={"content-type": "text/event-stream", **_build_headers(details)})
        if "response_format" in request.json() and "".join(pieces) == "pong":
            pieces = ("{", "}", *[""] * (len(pieces) - 2))
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": piece} for piece in pieces]
        if deltas:
            deltas[0] |= _encode_thoughts(details)
        for index, call in enumerate(_encode_calls(finish, details)):
            deltas += [{"tool_calls": [part]} for part in _split_call(call, index)]
        events = [_build_delta(delta) for delta in deltas]
        events.append(_build_delta({}, details.get("finish_word", FINISH[finish])))
        data = [self._encode_event(details, choices=[event]) for event in events]
        last = self._encode_event(details, choices=[], usage=_encode_usage(details)) + b"data: [DONE]\n\n"
        return head, [*data, last]

    def error(self, request: Recorded, status: int, kind: str) -> Response:  # noqa: ARG002 - for subclasses
        """Return an error in the words of the service."""
        unnamed = {"error": {"message": "The server had an error.", "type": "server_error"}}
        return Response.json(self.sayings.get(kind, unnamed), status=status, headers=REQUEST_ID)

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether a stream was requested."""
        return request.method == "POST" and bool(request.json().get("stream"))

    def read_request(self, request: Recorded) -> Mapping[str, Any]:
        """Return what the service understands of a request."""
        return read_request(request.json())

    def _encode_event(self, details: Mapping[str, Any], **part: object) -> bytes:
        model = details.get("model", self.model)
        value = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": model, **part}
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _build_delta(delta: Mapping[str, object], finish: str | None = None) -> Mapping[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _build_headers(details: Mapping[str, Any]) -> dict[str, str]:
    return {"x-request-id": details["request_id"]} if "request_id" in details else REQUEST_ID


def _encode_thoughts(details: Mapping[str, Any]) -> dict[str, Any]:
    return {"reasoning_content": details["reasoning"]} if "reasoning" in details else {}


def _encode_usage(details: Mapping[str, Any]) -> dict[str, Any]:
    if "usage" not in details:
        return USAGE
    usage: Usage = details["usage"]
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _encode_calls(finish: FinishReason, details: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the calls of tools, as a whole answer has them."""
    if "tool_calls" not in details:
        return [TOOL_CALL] if finish is FinishReason.TOOL_CALL else []
    return [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in details["tool_calls"]
    ]


def _split_call(call: Mapping[str, Any], index: int) -> Sequence[Mapping[str, Any]]:
    """Return the parts in which a stream sends a call: its id and name, and its arguments in two pieces."""
    function = call["function"]
    first = {**call, "index": index, "function": {**function, "arguments": function["arguments"][:9]}}
    return [first, {"index": index, "function": {"arguments": function["arguments"][9:]}}]
