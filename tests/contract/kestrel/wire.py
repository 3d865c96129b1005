"""How the invented service responds."""

from __future__ import annotations

import json

from kickai_providers_core.testing.faults import Response
from kickai_providers_core.values.replies import FinishReason

WORDS = {
    FinishReason.STOP: "done",
    FinishReason.LENGTH: "full",
    FinishReason.CONTENT_FILTER: "withheld",
    FinishReason.TOOL_CALL: "tool",
}


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
        return Response.json({"problem": kind}, status=status)

    def wants_stream(self, request):
        """Return the request's `live`."""
        return request.json()["live"]
