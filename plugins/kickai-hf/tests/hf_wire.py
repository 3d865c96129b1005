"""Answers in the wire format of chat completions, as Hugging Face's router, TGI, vLLM and llama.cpp send them."""

from __future__ import annotations

import json

from kickai_providers_core import FinishReason
from kickai_providers_core.testing.faults import Recorded, Response

MODEL = "org/test-model"
REQUEST_ID = {"x-request-id": "req-7"}
USAGE = {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}
TOOL_CALL = {
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

SAYINGS = {
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
            "message": "The requested model 'org/none' is not supported by any provider you have enabled.",
            "type": "invalid_request_error",
            "code": "model_not_supported",
        }
    },
    "quota": {"error": "You have exceeded your monthly included credits for Inference Providers."},
    "rate_limit": {"error": {"message": "Rate limit reached.", "type": "tokens", "code": "rate_limit_exceeded"}},
    "auth": {"error": "Invalid username or password."},
    "overloaded": {"error": "Model is overloaded", "error_type": "overloaded"},
    "validation": {
        "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000",
        "error_type": "validation",
    },
    "generation": {"error": "Request failed during generation", "error_type": "generation"},
    "incomplete": {"error": "Incomplete generation", "error_type": "incomplete_generation"},
    "loading": {"error": "Model org/test-model is currently loading", "estimated_time": 20.5},
    "invalid_request": {"error": {"message": "temperature must be below 2", "type": "invalid_request_error"}},
}
"""The bodies of errors by their kind, in the forms of OpenAI's API, the router and TGI."""


class HfWire:
    """Chat completions, and TGI's text generation for requests with ``inputs``."""

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP) -> Response:
        """Return a whole answer, or the list of models."""
        if request.method == "GET":
            return Response.json({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        if "inputs" in request.json():
            details = {"finish_reason": _tgi(finish), "generated_tokens": 5, "prefill": [], "tokens": []}
            return Response.json([{"generated_text": text, "details": details}], headers=REQUEST_ID)
        message = {"role": "assistant", "content": text}
        if "response_format" in request.json() and text == "pong":
            message["content"] = "{}"  # keeps to the schema, which requires nothing
        if finish is FinishReason.TOOL_CALL:
            message = {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}
        choice = {"index": 0, "message": message, "finish_reason": FINISH[finish]}
        whole = {"id": "c-1", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [choice]}
        return Response.json({**whole, "usage": USAGE}, headers=REQUEST_ID)

    def stream(
        self, request: Recorded, pieces: tuple[str, ...], finish: FinishReason = FinishReason.STOP
    ) -> tuple[Response, list[bytes]]:
        """Return the head of a stream of server-sent events, and its events."""
        head = Response(headers={"content-type": "text/event-stream", **REQUEST_ID})
        if "inputs" in request.json():
            return head, self._tokens(pieces, finish)
        if "response_format" in request.json() and pieces and "".join(pieces) == "pong":
            pieces = ("{", "}")
        events = [_event({"choices": [_delta({"role": "assistant", "content": piece})]}) for piece in pieces]
        if finish is FinishReason.TOOL_CALL:
            function = TOOL_CALL["function"]
            first = {**TOOL_CALL, "index": 0, "function": {**function, "arguments": function["arguments"][:9]}}
            rest = {"index": 0, "function": {"arguments": function["arguments"][9:]}}
            events += [_event({"choices": [_delta({"tool_calls": [call]})]}) for call in (first, rest)]
        events += [
            _event({"choices": [_delta({}, FINISH[finish])]}),
            _event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n",
        ]
        return head, events

    def _tokens(self, pieces: tuple[str, ...], finish: FinishReason) -> list[bytes]:
        tokens = [{"index": n, "token": _token(piece)} for n, piece in enumerate(pieces, 1)]
        details = {"finish_reason": _tgi(finish), "generated_tokens": 5, "input_length": 11}
        last = {"index": 99, "token": _token("</s>", special=True), "generated_text": "…", "details": details}
        return [_data(event) for event in (*tokens, last)]

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return an error in the words of the service."""
        said = SAYINGS.get(kind, {"error": "Service Unavailable"})
        return Response.json(said, status=status, headers=REQUEST_ID)

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether a stream was requested."""
        return request.method == "POST" and bool(request.json().get("stream"))


def _tgi(finish: FinishReason) -> str:
    return {FinishReason.STOP: "eos_token", FinishReason.LENGTH: "length"}[finish]


def _token(text: str, *, special: bool = False) -> dict[str, object]:
    return {"id": 1, "text": text, "logprob": 0.0, "special": special}


def _delta(delta: dict[str, object], finish: str | None = None) -> dict[str, object]:
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _event(part: dict[str, object]) -> bytes:
    return _data({"id": "c-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL, **part})


def _data(value: object) -> bytes:
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"
