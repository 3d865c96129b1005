"""Translates between the core's values and the service's JSON."""

from __future__ import annotations

import base64
import json

from kickai_providers_core import retry_after_s
from kickai_providers_core.values import errors
from kickai_providers_core.values.messages import ToolCall, Usage
from kickai_providers_core.values.replies import FinishReason, Reply, ReplyChunk

REASONS = {
    "done": FinishReason.STOP,
    "full": FinishReason.LENGTH,
    "withheld": FinishReason.CONTENT_FILTER,
    "tool": FinishReason.TOOL_CALL,
}

STATUSES = {
    400: errors.UnsupportedRequestError,
    401: errors.AuthenticationError,
    402: errors.QuotaExhaustedError,
    403: errors.AuthenticationError,
    404: errors.ModelNotFoundError,
    413: errors.UnsupportedRequestError,
    422: errors.UnsupportedRequestError,
    429: errors.RateLimitedError,
}

PROBLEMS = {
    "context_length": errors.ContextLengthExceededError,
    "content_filter": errors.ContentFilteredError,
    "quota": errors.QuotaExhaustedError,
}


def build_payload(request, *, live):
    """Return the JSON value of a request."""
    sampling = {"heat": request.temperature, "most": request.max_tokens, "top": request.top_p, "seed": request.seed}
    body = {
        "model": request.model,
        "turns": [build_turn(message) for message in request.messages],
        "sampling": {name: value for name, value in sampling.items() if value is not None},
        "until": list(request.stop),
        "live": live,
    }
    if request.tools:
        body["tools"] = [{"name": tool.name, "wants": dict(tool.parameters)} for tool in request.tools]
    if request.json_schema is not None:
        body["shape"] = dict(request.json_schema)
    return body


def build_turn(message):
    """Return one turn of the conversation."""
    images = [base64.b64encode(image.data).decode() if image.data else image.url for image in message.images]
    return {"who": message.role, "says": message.content, "images": images}


def parse_object(body):
    """Return the JSON object in a body."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise errors.InvalidReplyError("the response is not a JSON object") from None
    return value


def parse_reply(body):
    """Return the reply in a body."""
    value = parse_object(body)
    chunk = parse_event(value)
    if chunk.finish_reason is None or not (chunk.text or chunk.tool_calls):
        raise errors.InvalidReplyError("the response has no text or no finish reason")
    return Reply(
        text=chunk.text,
        finish_reason=chunk.finish_reason,
        usage=chunk.usage,
        model=chunk.model,
        tool_calls=chunk.tool_calls,
    )


def parse_event(value):
    """Return an event of a stream, or a whole answer, as a chunk."""
    if "problem" in value:
        raise build_error(503, {}, json.dumps(value).encode())
    if not {"says", "why"} & set(value):
        raise errors.InvalidReplyError("the response has neither text nor a finish reason")
    calls = tuple(ToolCall(id=call["id"], name=call["name"], arguments=call["with"]) for call in value.get("calls", ()))
    counts = value.get("counts")
    return ReplyChunk(
        text=value.get("says", ""),
        finish_reason=REASONS[value["why"]] if "why" in value else None,
        usage=Usage(input_tokens=counts["in"], output_tokens=counts["out"]) if counts else None,
        model=value.get("model", ""),
        tool_calls=calls,
    )


def build_error(status, headers, body):
    """Return the error for a response with an error status."""
    try:
        problem = json.loads(body)["problem"]
        kind = PROBLEMS.get(problem)
    except (ValueError, LookupError, TypeError):
        kind = None
    kind = kind or STATUSES.get(status, errors.ProviderUnavailableError)
    return kind(
        "an error status",
        status_code=status,
        retry_after_s=retry_after_s(headers.get("retry-after", "")),
    )
