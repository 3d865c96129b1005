"""Translates between the core's values and the service's JSON."""

from __future__ import annotations

import base64
import json

from kickai_providers_core import retry_after_s
from kickai_providers_core.values import errors
from kickai_providers_core.values.replies import FinishReason, Reply, ReplyChunk
from kickai_providers_core.values.tools import ToolCall
from kickai_providers_core.values.usage import Usage

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
    408: errors.ProviderTimeoutError,
    410: errors.ModelNotFoundError,
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
        **request.options.get("kestrel", {}),
    }
    if request.tools:
        body["tools"] = [build_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["choice"] = request.tool_choice
    if request.json_schema is not None:
        body["shape"] = dict(request.json_schema)
    return body


def build_tool(tool):
    """Return the description of a tool."""
    return {"name": tool.name, "about": tool.description, "wants": dict(tool.parameters)}


def build_turn(message):
    """Return one turn of the conversation."""
    turn = {"who": message.role, "says": message.content, "images": [build_image(image) for image in message.images]}
    if message.tool_calls:
        turn["calls"] = [{"id": call.id, "name": call.name, "with": call.arguments} for call in message.tool_calls]
    if message.tool_call_id is not None:
        turn["call"] = message.tool_call_id
    return turn


def build_image(image):
    """Return one image: its bytes, or its address."""
    if image.data is None:
        return {"at": image.url}
    return {"kind": image.media_type, "bytes": base64.b64encode(image.data).decode()}


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
        reasoning=chunk.reasoning,
    )


def parse_event(value):
    """Return an event of a stream, or a whole answer, as a chunk."""
    if "problem" in value:
        raise build_error(503, {}, json.dumps(value).encode())
    if not {"says", "why"} & set(value):
        raise errors.InvalidReplyError("the response has neither text nor a finish reason")
    return ReplyChunk(
        text=value.get("says", ""),
        finish_reason=parse_reason(value["why"]) if "why" in value else None,
        usage=parse_counts(value.get("counts")),
        model=value.get("model", ""),
        tool_calls=[parse_call(call) for call in value.get("calls", ())],
        reasoning=value.get("thinks", ""),
    )


def parse_reason(word):
    """Return why the model stopped."""
    if word not in REASONS:
        raise errors.InvalidReplyError("the finish reason is unknown")
    return REASONS[word]


def parse_call(call):
    """Return a call of a tool."""
    return ToolCall(id=call["id"], name=call["name"], arguments=call["with"])


def parse_counts(counts):
    """Return the counts of tokens, if there are any."""
    if not counts:
        return None
    return Usage(
        input_tokens=counts["in"],
        output_tokens=counts["out"],
        cached_tokens=counts.get("cached", 0),
        reasoning_tokens=counts.get("thought", 0),
    )


def read_message(body):
    """Return the service's message in the body of an error; empty when there is none."""
    try:
        return str(json.loads(body)["message"])[:500]
    except (ValueError, LookupError, TypeError):
        return ""


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
        request_id=headers.get("x-kestrel-request"),
        retry_after_s=retry_after_s(headers.get("retry-after", "")),
    )
