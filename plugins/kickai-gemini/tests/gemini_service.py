"""The Gemini API for the fault server, as its REST reference documents it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kickai_providers_core import FinishReason
from kickai_providers_core.testing.faults import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core import Usage
    from kickai_providers_core.testing.faults import Recorded

__all__ = ["GeminiService", "candidate", "error_body", "quota_failure", "retry_info"]

FINISH = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.TOOL_CALL: "STOP",
    FinishReason.ERROR: "OTHER",
}
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "totalTokenCount": 10}
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class GeminiService:
    """How the Gemini API answers.

    Attributes:
        answer: When set, replaces every good answer: a whole response object, or one for each event of a stream.
        models: What the list of models holds.
    """

    def __init__(self) -> None:
        self.answer: Sequence[Mapping[str, Any]] | None = None
        self.models: Sequence[Mapping[str, Any]] = ()

    def wants_stream(self, request: Recorded) -> bool:
        """Return whether the request is for a stream."""
        return ":streamGenerateContent" in request.path

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP, **details: Any) -> Response:
        """Return a whole answer, or the list of models."""
        if request.method == "GET":
            return Response.json({"models": list(self.models)})
        whole = _last(request, finish, details, [{"text": text}] if text else [])
        return Response.json(self.answer[0] if self.answer else whole)

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP, **details: Any
    ) -> tuple[Response, list[bytes]]:
        """Return a stream of server-sent events."""
        model = details.get("model") or _model(request)
        named = {"responseId": details["request_id"]} if "request_id" in details else {}
        events = [candidate(piece, model=model) | named for piece in pieces]
        events.append(_last(request, finish, details, []))
        data = [b"data: %s\r\n\r\n" % json.dumps(event).encode() for event in (self.answer or events)]
        return Response(headers={"content-type": "text/event-stream"}), data

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return an error in the form of google.rpc.Status."""
        return Response.json({"error": error_body(status, kind)}, status=status)


def candidate(
    text: str = "",
    finish: str | None = None,
    *,
    parts: Sequence[Mapping[str, Any]] = (),
    model: str = "gemini-3.5-flash-lite",
    usage: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """Return a response with one candidate."""
    made: dict[str, Any] = {"content": {"parts": list(parts) or [{"text": text}], "role": "model"}, "index": 0}
    if finish:
        made["finishReason"] = finish
    counted = {"usageMetadata": dict(usage)} if usage else {}
    return {"candidates": [made], **counted, "modelVersion": model, "responseId": "response-1"}


def error_body(status: int, kind: str = "") -> dict[str, Any]:
    """Return the ``error`` object that the service sends with a status."""
    name = {"status": STATUSES[status]} if status in STATUSES else {}
    error: dict[str, Any] = {"code": status, "message": "Something is wrong with 'a secret prompt'.", **name}
    if kind == "auth" and status == 400:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return error | {"message": "API key not valid.", "details": [info]}
    if kind == "region":
        return error | {"status": "FAILED_PRECONDITION", "message": "User location is not supported for the API use."}
    if kind == "context_length":
        message = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        return error | {"message": message}
    if kind == "quota":
        return error | {"details": [quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), retry_info()]}
    if kind == "rate_limit":
        return error | {"details": [quota_failure("GenerateRequestsPerMinutePerProjectPerModel"), retry_info()]}
    return error


def retry_info(delay: str = "6.489s") -> dict[str, Any]:
    """Return the detail that states a delay."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota_failure(quota_id: str) -> dict[str, Any]:
    """Return the detail that names the exceeded quota."""
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": quota_id}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def _last(
    request: Recorded, finish: FinishReason, details: Mapping[str, Any], parts: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return a whole answer, or the last event of a stream: calls, thoughts, counts and the finish reason."""
    thoughts = [{"text": details["reasoning"], "thought": True}] if "reasoning" in details else []
    event = candidate(
        finish=details.get("finish_word", FINISH[finish]),
        parts=[*thoughts, *parts, *_calls(request, finish, details)],
        model=details.get("model") or _model(request),
        usage=_usage(details.get("usage")),
    )
    return event | ({"responseId": details["request_id"]} if "request_id" in details else {})


def _usage(usage: Usage | None) -> dict[str, int]:
    if usage is None:
        return USAGE
    return {
        "promptTokenCount": usage.input_tokens,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "thoughtsTokenCount": usage.reasoning_tokens,
        "cachedContentTokenCount": usage.cached_tokens,
        "totalTokenCount": usage.total_tokens,
    }


def _calls(request: Recorded, finish: FinishReason, details: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the calls that are asked for, or a call of the request's first tool when the model stops for that."""
    if "tool_calls" in details:
        return [
            {"functionCall": {"id": call.id, "name": call.name, "args": json.loads(call.arguments)}}
            for call in details["tool_calls"]
        ]
    if finish is not FinishReason.TOOL_CALL:
        return []
    name = request.json()["tools"][0]["functionDeclarations"][0]["name"]
    return [{"functionCall": {"name": name, "args": {"day": "Saturday", "number": 7}}}]


def _model(request: Recorded) -> str:
    return urlsplit(request.path).path.rpartition("/")[2].partition(":")[0]
