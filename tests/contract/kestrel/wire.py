"""How the invented service responds."""

from __future__ import annotations

import base64
import json

from kickai_providers_core.testing.faults import Response
from kickai_providers_core.values.images import Image
from kickai_providers_core.values.messages import Message
from kickai_providers_core.values.replies import FinishReason
from kickai_providers_core.values.tools import Tool, ToolCall

WORDS = {
    FinishReason.STOP: "done",
    FinishReason.LENGTH: "full",
    FinishReason.CONTENT_FILTER: "withheld",
    FinishReason.TOOL_CALL: "tool",
}


FIELDS = {"heat": "temperature", "most": "max_tokens", "top": "top_p", "seed": "seed"}


class KestrelWire:
    """JSON objects, and JSON lines for streams."""

    def reply(self, request, text, finish=FinishReason.STOP, **details):
        """Return one object."""
        thoughts = {"thinks": details["reasoning"]} if "reasoning" in details else {}
        value = {"says": text, **thoughts, **self.end(request, finish, **details)}
        return Response.json(value, headers=self.headers(details))

    def stream(self, request, pieces, finish=FinishReason.STOP, **details):
        """Return one line for each piece, and one for the end."""
        values = [*({"says": piece} for piece in pieces), self.end(request, finish, **details)]
        if "reasoning" in details:
            values[0]["thinks"] = details["reasoning"]
        lines = [json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values]
        return Response(headers={"content-type": "application/x-ndjson", **self.headers(details)}), lines

    def headers(self, details):
        """Return the header with the service's id of the request."""
        return {"x-kestrel-request": details.get("request_id") or "request-1"}

    def end(self, request, finish, **details):
        """Return the fields of the last line."""
        body = request.json()
        counts, usage = {"in": 11, "out": 5}, details.get("usage")
        if usage:
            counts = {"in": usage.input_tokens, "out": usage.output_tokens}
            counts |= {"cached": usage.cached_tokens, "thought": usage.reasoning_tokens}
        model = details.get("model") or body["model"] or "kestrel-1"
        fields = {"why": details.get("finish_word", WORDS[finish]), "counts": counts, "model": model}
        if "tool_calls" in details:
            calls = details["tool_calls"]
            fields["calls"] = [{"id": call.id, "name": call.name, "with": call.arguments} for call in calls]
        elif finish is FinishReason.TOOL_CALL:
            fields["calls"] = [{"id": "1", "name": body["tools"][0]["name"], "with": "{}"}]
        return fields

    def error(self, request, status, kind):
        """Return the kind of the error."""
        return Response.json({"problem": kind, "message": "There was a problem."}, status=status)

    def read_request(self, request):
        """Return what the service understands of a request."""
        body = request.json()
        found = {FIELDS[name]: value for name, value in body["sampling"].items() if name in FIELDS}
        found |= {"stop": tuple(body["until"]), "messages": tuple(map(read_turn, body["turns"]))}
        tools = body.get("tools", ())
        found["tools"] = tuple(
            Tool(name=each["name"], description=each["about"], parameters=each["wants"]) for each in tools
        )
        return {**found, "tool_choice": body.get("choice"), "json_schema": body.get("shape")}

    def wants_stream(self, request):
        """Return the request's `live`."""
        return request.json()["live"]


def read_turn(turn):
    """Return one message of a request."""
    calls = []
    for call in turn.get("calls", ()):
        if not isinstance(call["with"], str):
            raise TypeError("the arguments of a call must be a text")
        calls.append(ToolCall(id=call["id"], name=call["name"], arguments=call["with"]))
    images = [
        Image(media_type="image/*", url=each["at"])
        if "at" in each
        else Image(media_type=each["kind"], data=base64.b64decode(each["bytes"]))
        for each in turn["images"]
    ]
    return Message(
        role=turn["who"], content=turn["says"], images=images, tool_calls=calls, tool_call_id=turn.get("call")
    )
