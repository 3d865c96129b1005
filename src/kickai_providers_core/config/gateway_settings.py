"""The table ``[gateway]``, which the distribution kickai-gateway uses."""

from __future__ import annotations

from attrs import field, frozen

from kickai_providers_core.values.validation import Number, Text

__all__ = ["GatewaySettings"]

MAX_PORT = 65_535
MAX_WORKERS = 256
MAX_DRAIN_S = 3_600


@frozen(kw_only=True)
class GatewaySettings:
    """The table ``[gateway]``.

    Attributes:
        host: The address to listen on.
        port: The port to listen on; 0 for a free one.
        workers: The number of processes, from 1.
        drain_s: Seconds that running requests have left when the gateway is stopped, from 0.
    """

    host: str = field(default="127.0.0.1", validator=Text())
    port: int = field(default=8080, validator=Number(integer=True, minimum=0, maximum=MAX_PORT))
    workers: int = field(default=1, validator=Number(integer=True, minimum=1, maximum=MAX_WORKERS))
    drain_s: float = field(default=25.0, validator=Number(minimum=0, maximum=MAX_DRAIN_S))
