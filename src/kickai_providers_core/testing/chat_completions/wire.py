"""Answers in the wire format of chat completions, as OpenAI's API and the services that imitate it send them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

from kickai_providers_core.testing.faults import Recorded, Response
from kickai_providers_core.values.replies import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP) -> Response:
        """Return a whole answer, or the list of models."""
        if request.method == "GET":
            return Response.json({"object": "list", "data": [{"id": self.model, "object": "model"}]})
        message: dict[str, object] = {"role": "assistant", "content": text}
        if "response_format" in request.json() and text == "pong":
            message["content"] = "{}"  # keeps to the schema, which requires nothing
        if finish is FinishReason.TOOL_CALL:
            message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
        choice = {"index": 0, "message": message, "finish_reason": FINISH[finish]}
        whole = {"id": "c-1", "object": "chat.completion", "created": 1, "model": self.model, "choices": [choice]}
        return Response.json({**whole, "usage": USAGE}, headers=REQUEST_ID)

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP
    ) -> tuple[Response, Sequence[bytes]]:
        """Return the head of a stream of server-sent events, and its events."""
        head = Response(headers={"content-type": "text/event-stream", **REQUEST_ID})
        if "response_format" in request.json() and "".join(pieces) == "pong":
            pieces = ("{", "}", *[""] * (len(pieces) - 2))
        events = [self._event(_delta({"role": "assistant", "content": piece})) for piece in pieces]
        if finish is FinishReason.TOOL_CALL:
            function = TOOL_CALL["function"]
            first = {**TOOL_CALL, "index": 0, "function": {**function, "arguments": function["arguments"][:9]}}
            rest = {"index": 0, "function": {"arguments": function["arguments"][9:]}}
            events += [self._event(_delta({"tool_calls": [call]})) for call in (first, rest)]
        events += [
            self._event(_delta({}, FINISH[finish])),
            self._event() + b"data: [DONE]\n\n",
        ]
        return head, events

    def error(self, request: Recorded, status: int, kind: str) -> Response:  # noqa: ARG002 - for subclasses
        """Return an error in the words of the service."""
        unnamed = {"error": {"message": "The server had an error.", "type": "server_error"}}
        return Response.json(self.sayings.get(kind, unnamed), status=status, headers=REQUEST_ID)

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether a stream was requested."""
        return request.method == "POST" and bool(request.json().get("stream"))

    def _event(self, *choices: object) -> bytes:
        """Return an event with one choice; without any, the one with the token counts."""
        part = {"choices": choices, **({} if choices else {"usage": USAGE})}
        value = {"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": self.model, **part}
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


def _delta(delta: Mapping[str, object], finish: str | None = None) -> Mapping[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": finish}
