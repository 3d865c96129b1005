"""Pure translation between the seam's words and the service's."""

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


def payload(request, *, live):
    """Return the JSON value that asks a request."""
    sampling = {"heat": request.temperature, "most": request.max_tokens, "top": request.top_p, "seed": request.seed}
    asked = {
        "model": request.model,
        "turns": [turn(message) for message in request.messages],
        "sampling": {name: value for name, value in sampling.items() if value is not None},
        "until": list(request.stop),
        "live": live,
    }
    if request.tools:
        asked["tools"] = [{"name": tool.name, "wants": dict(tool.parameters)} for tool in request.tools]
    if request.json_schema is not None:
        asked["shape"] = dict(request.json_schema)
    return asked


def turn(message):
    """Return one turn of the conversation."""
    pictures = [base64.b64encode(image.data).decode() if image.data else image.url for image in message.images]
    return {"who": message.role, "says": message.content, "pictures": pictures}


def read(body):
    """Return the JSON object that a body holds."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise errors.InvalidReplyError("the service answered with something else than a JSON object") from None
    return value


def reply(body):
    """Return the answer that a body holds."""
    value = read(body)
    chunk = event(value)
    if chunk.finish_reason is None or not (chunk.text or chunk.tool_calls):
        raise errors.InvalidReplyError("the service's answer lacks its text or its end")
    return Reply(
        text=chunk.text,
        finish_reason=chunk.finish_reason,
        usage=chunk.usage,
        model=chunk.model,
        tool_calls=chunk.tool_calls,
    )


def event(value):
    """Return the chunk that an event of a stream holds, or a whole answer as one chunk."""
    if "problem" in value:
        raise refusal(503, {}, json.dumps(value).encode())
    if not {"says", "why"} & set(value):
        raise errors.InvalidReplyError("the service's answer has neither text nor an end")
    calls = tuple(ToolCall(id=call["id"], name=call["name"], arguments=call["with"]) for call in value.get("calls", ()))
    counts = value.get("counts")
    return ReplyChunk(
        text=value.get("says", ""),
        finish_reason=REASONS[value["why"]] if "why" in value else None,
        usage=Usage(input_tokens=counts["in"], output_tokens=counts["out"]) if counts else None,
        model=value.get("model", ""),
        tool_calls=calls,
    )


def refusal(status, headers, body):
    """Return the error that an answer stands for which is no success."""
    try:
        problem = json.loads(body)["problem"]
        kind = PROBLEMS.get(problem)
    except (ValueError, LookupError, TypeError):
        kind = None
    kind = kind or STATUSES.get(status, errors.ProviderUnavailableError)
    return kind("the service refused", status_code=status, retry_after_s=retry_after_s(headers.get("retry-after", "")))
