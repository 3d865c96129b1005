"""Answers in the wire format of Hugging Face's router, TGI, vLLM and llama.cpp."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from kickai_providers_core import FinishReason
from kickai_providers_core.testing.chat_completions import ChatWire
from kickai_providers_core.testing.chat_completions.wire import REQUEST_ID
from kickai_providers_core.testing.faults import Recorded, Response

MODEL = "org/test-model"


class HfWire(ChatWire):
    """Chat completions, and TGI's text generation for requests with ``inputs``."""

    sayings: ClassVar = {
        **ChatWire.sayings,
        "model_not_found": {
            "error": {
                "message": "The requested model 'org/none' is not supported by any provider you have enabled.",
                "type": "invalid_request_error",
                "code": "model_not_supported",
            }
        },
        "quota": {"error": "You have exceeded your monthly included credits for Inference Providers."},
        "auth": {"error": "Invalid username or password."},
        "overloaded": {"error": "Model is overloaded", "error_type": "overloaded"},
        "validation": {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 2048. Given: 3000",
            "error_type": "validation",
        },
        "generation": {"error": "Request failed during generation", "error_type": "generation"},
        "incomplete": {"error": "Incomplete generation", "error_type": "incomplete_generation"},
        "loading": {"error": "Model org/test-model is currently loading", "estimated_time": 20.5},
    }

    def __init__(self) -> None:
        super().__init__(MODEL)

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP, **details: Any) -> Response:
        """Return a whole answer, or the list of models."""
        if request.method == "GET" or "inputs" not in request.json():
            return super().reply(request, text, finish, **details)
        counted = {"finish_reason": _tgi(finish), "generated_tokens": 5, "prefill": [], "tokens": []}
        return Response.json([{"generated_text": text, "details": counted}], headers=REQUEST_ID)

    def stream(
        self, request: Recorded, pieces: tuple[str, ...], finish: FinishReason = FinishReason.STOP, **details: Any
    ) -> tuple[Response, list[bytes]]:
        """Return the head of a stream of server-sent events, and its events."""
        if "inputs" not in request.json():
            return super().stream(request, pieces, finish, **details)
        return Response(headers={"content-type": "text/event-stream", **REQUEST_ID}), self._tokens(pieces, finish)

    def _tokens(self, pieces: tuple[str, ...], finish: FinishReason) -> list[bytes]:
        tokens = [{"index": n, "token": _token(piece)} for n, piece in enumerate(pieces, 1)]
        details = {"finish_reason": _tgi(finish), "generated_tokens": 5, "input_length": 11}
        last = {"index": 99, "token": _token("</s>", special=True), "generated_text": "…", "details": details}
        return [b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in (*tokens, last)]


def _tgi(finish: FinishReason) -> str:
    return {FinishReason.STOP: "eos_token", FinishReason.LENGTH: "length"}[finish]


def _token(text: str, *, special: bool = False) -> dict[str, object]:
    return {"id": 1, "text": text, "logprob": 0.0, "special": special}
