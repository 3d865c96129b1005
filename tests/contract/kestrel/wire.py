"""How the invented service speaks."""

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
    """JSON objects, and lines of them for streams."""

    def reply(self, request, text, finish=FinishReason.STOP):
        """Answer in one object."""
        return Response.json({"says": text, **self.end(request, finish)})

    def stream(self, request, pieces, finish=FinishReason.STOP):
        """Answer in one line a piece, and one for the end."""
        values = [*({"says": piece} for piece in pieces), self.end(request, finish)]
        lines = [json.dumps(value, ensure_ascii=False).encode() + b"\n" for value in values]
        return Response(headers={"content-type": "application/x-ndjson"}), lines

    def end(self, request, finish):
        """Say why the model stopped."""
        asked = request.json()
        told = {"why": WORDS[finish], "counts": {"in": 11, "out": 5}, "model": asked["model"] or "kestrel-1"}
        if finish is FinishReason.TOOL_CALL:
            told["calls"] = [{"id": "1", "name": asked["tools"][0]["name"], "with": "{}"}]
        return told

    def error(self, request, status, kind):
        """Name the problem."""
        return Response.json({"problem": kind}, status=status)

    def wants_stream(self, request):
        """Read the request's word for it."""
        return request.json()["live"]
