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

    def reply(self, request, text, finish=FinishReason.STOP):
        """Return one object."""
        return Response.json({"says": text, **self.end(request, finish)})

    def stream(self, request, pieces, finish=FinishReason.STOP):
        """Return one line for each piece, and one for the end."""
        values = [*({"says": piece} for piece in pieces), self.end(request, finish)]
        lines = [json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values]
        return Response(headers={"content-type": "application/x-ndjson"}), lines

    def end(self, request, finish):
        """Return the fields of the last line."""
        body = request.json()
        fields = {"why": WORDS[finish], "counts": {"in": 11, "out": 5}, "model": body["model"] or "kestrel-1"}
        if finish is FinishReason.TOOL_CALL:
            fields["calls"] = [{"id": "1", "name": body["tools"][0]["name"], "with": "{}"}]
        return fields

    def error(self, request, status, kind):
        """Return the kind of the error."""
        return Response.json({"problem": kind}, status=status)

    def wants_stream(self, request):
        """Return the request's `live`."""
        return request.json()["live"]
