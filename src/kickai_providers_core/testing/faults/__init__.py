"""A fault server: a real socket that responds like a service, or fails in every way in which a service can.

Give it a `Wire`, which knows how the service's responses look, script a fault for each request, and point a provider at
its ``url``::

    with FaultServer(wire) as server:
        server.script(Status(503, headers={"retry-after": "2"}), Ok("hello"))

It needs the standard library only, and works in sync and async tests. `catalog` holds the ready-made faults; a new one
is a subclass of `Fault` that responds through its `Exchange`.
"""

from kickai_providers_core.testing.faults.addresses import (
    SelfSigned,
    Unreachable,
    blackhole,
    closed_port,
    no_tls,
    self_signed,
)
from kickai_providers_core.testing.faults.catalog.answers import (
    CloseEarly,
    Delay,
    Drip,
    DripError,
    Ok,
    Reset,
    Silence,
    SlowHeaders,
    SplitCharacters,
    Status,
)
from kickai_providers_core.testing.faults.catalog.streams import Cut, ErrorPiece, MalformedPiece, SlowFirstToken, Stall
from kickai_providers_core.testing.faults.catalog.wrong_responses import (
    EmptyBody,
    HugeBody,
    Malformed,
    NotHttp,
    Redirect,
    RedirectLoop,
    ShortBody,
    WrongContentType,
    WrongShape,
)
from kickai_providers_core.testing.faults.encoding import encode_chunk, encode_event, encode_head
from kickai_providers_core.testing.faults.exchange import Exchange, Fault
from kickai_providers_core.testing.faults.server.fault_server import FaultServer
from kickai_providers_core.testing.faults.wire import Recorded, Response, Wire

__all__ = [
    "CloseEarly",
    "Cut",
    "Delay",
    "Drip",
    "DripError",
    "EmptyBody",
    "ErrorPiece",
    "Exchange",
    "Fault",
    "FaultServer",
    "HugeBody",
    "Malformed",
    "MalformedPiece",
    "NotHttp",
    "Ok",
    "Recorded",
    "Redirect",
    "RedirectLoop",
    "Reset",
    "Response",
    "SelfSigned",
    "ShortBody",
    "Silence",
    "SlowFirstToken",
    "SlowHeaders",
    "SplitCharacters",
    "Stall",
    "Status",
    "Unreachable",
    "Wire",
    "WrongContentType",
    "WrongShape",
    "blackhole",
    "closed_port",
    "encode_chunk",
    "encode_event",
    "encode_head",
    "no_tls",
    "self_signed",
]
