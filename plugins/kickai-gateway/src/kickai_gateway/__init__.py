"""An OpenAI-compatible HTTP server over a resolver's chains.

`kickai serve` runs it. To run it in a server of your own, pass a `Gateway` to any ASGI server.
"""

from __future__ import annotations

from kickai_gateway.app import Gateway
from kickai_gateway.served_targets import observe

__all__ = ["Gateway", "observe"]
