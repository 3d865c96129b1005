"""The Gemini API as its REST reference documents it, for the fault server: JSON, server-sent events, JSON arrays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from kickai_providers_core import FinishReason
from kickai_providers_core.testing.faults import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.testing.faults import Recorded

__all__ = ["GeminiService", "candidate", "error_body", "quota_failure", "retry_info"]

FINISH = {
    FinishReason.STOP: "STOP",
    FinishReason.LENGTH: "MAX_TOKENS",
    FinishReason.CONTENT_FILTER: "SAFETY",
    FinishReason.TOOL_CALL: "STOP",
    FinishReason.ERROR: "OTHER",
}
NUMBERS = {
    "STOP": 1,
    "MAX_TOKENS": 2,
    "SAFETY": 3,
    "RECITATION": 4,
    "OTHER": 5,
    "LANGUAGE": 6,
    "BLOCKLIST": 7,
    "PROHIBITED_CONTENT": 8,
    "SPII": 9,
    "MALFORMED_FUNCTION_CALL": 10,
    "IMAGE_SAFETY": 11,
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
        answer: When set, what every good answer is instead: a whole response object, or one per event of a stream.
        models: What the list of models holds.
    """

    def __init__(self) -> None:
        self.answer: Sequence[Mapping[str, Any]] | None = None
        self.models: Sequence[Mapping[str, Any]] = ()

    def wants_stream(self, request: Recorded) -> bool:
        """Say whether the method asked for is the streaming one."""
        return ":streamGenerateContent" in request.path

    def reply(self, request: Recorded, text: str, finish: FinishReason = FinishReason.STOP) -> Response:
        """Return a whole answer, or the list of models."""
        if request.method == "GET":
            return Response.json({"models": list(self.models)})
        whole = candidate(text, FINISH[finish], parts=_call(request, finish), model=_model(request), usage=USAGE)
        return Response.json(_encoded(self.answer[0] if self.answer else whole, request))

    def stream(
        self, request: Recorded, pieces: Sequence[str], finish: FinishReason = FinishReason.STOP
    ) -> tuple[Response, list[bytes]]:
        """Return a stream: server-sent events when ``alt=sse`` asks for them, else one JSON array."""
        model = _model(request)
        events = [candidate(piece, model=model) for piece in pieces]
        events.append(candidate("", FINISH[finish], parts=_call(request, finish), model=model, usage=USAGE))
        told = [json.dumps(_encoded(event, request)).encode() for event in (self.answer or events)]
        if parse_qs(urlsplit(request.path).query).get("alt") == ["sse"]:
            head = Response(headers={"content-type": "text/event-stream"})
            return head, [b"data: %s\r\n\r\n" % event for event in told]
        head = Response(headers={"content-type": "application/json; charset=UTF-8"})
        return head, [*(b"%s%s" % (b",\r\n" if i else b"[", event) for i, event in enumerate(told)), b"]"]

    def error(self, request: Recorded, status: int, kind: str) -> Response:
        """Return an error in the form of google.rpc.Status; a stream that is no event stream wraps it in a list."""
        body: object = {"error": error_body(status, kind)}
        if self.wants_stream(request) and "alt=sse" not in request.path:
            body = [body]
        return Response.json(body, status=status)


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
    told = {"status": STATUSES[status]} if status in STATUSES else {}
    error: dict[str, Any] = {"code": status, "message": "Something is wrong with 'a secret prompt'.", **told}
    if kind == "auth" and status == 400:
        info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
        return error | {"message": "API key not valid.", "details": [info]}
    if kind == "region":
        return error | {"status": "FAILED_PRECONDITION", "message": "User location is not supported for the API use."}
    if kind == "context_length":
        told = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
        return error | {"message": told}
    if kind == "quota":
        return error | {"details": [quota_failure("GenerateRequestsPerDayPerProjectPerModel-FreeTier"), retry_info()]}
    if kind == "rate_limit":
        return error | {"details": [quota_failure("GenerateRequestsPerMinutePerProjectPerModel"), retry_info()]}
    return error


def retry_info(delay: str = "6.489s") -> dict[str, Any]:
    """Return the detail that states a delay."""
    return {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}


def quota_failure(quota_id: str) -> dict[str, Any]:
    """Return the detail that names the quota which was exceeded."""
    violation = {"quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": quota_id}
    return {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}


def _call(request: Recorded, finish: FinishReason) -> list[dict[str, Any]]:
    """Return a call of the first tool that the request offers, when that is why the model stops."""
    if finish is not FinishReason.TOOL_CALL:
        return []
    name = request.json()["tools"][0]["functionDeclarations"][0]["name"]
    return [{"functionCall": {"name": name, "args": {"day": "Saturday", "number": 7}}}]


def _model(request: Recorded) -> str:
    return urlsplit(request.path).path.rpartition("/")[2].partition(":")[0]


def _encoded(response: Mapping[str, Any], request: Recorded) -> Mapping[str, Any]:
    """Return a response with its finish reason as a number, when the request asks for enumerations as numbers."""
    if "enum-encoding" not in request.path or "candidates" not in response:
        return response
    encoded = json.loads(json.dumps(response))
    for each in encoded["candidates"]:
        if "finishReason" in each:
            each["finishReason"] = NUMBERS.get(each["finishReason"], 99)
    return encoded  # type: ignore[no-any-return]
