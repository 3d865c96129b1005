"""An OpenAI-compatible HTTP server over a resolver's chains.

`kickai serve` runs it. To run it in a server of your own, pass a `Gateway` to any ASGI server.
"""

from __future__ import annotations

from kickai_gateway.answering_target import observe
from kickai_gateway.app import Gateway

__all__ = ["Gateway", "observe"]
