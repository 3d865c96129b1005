"""A fault server: a real socket that answers as a service does, or fails in every way a service can.

Give it a `Wire` (how one answer, one stream and one error of the service look), script what happens to each
request, and point a provider at its ``url``::

    with FaultServer(wire) as server:
        server.script(Status(503, headers={"retry-after": "2"}), Ok("hello"))

Standard library only; for sync and async tests alike.
"""

from kickai_providers_core.testing.faults.answers import (
    CloseEarly,
    Delay,
    Drip,
    Fault,
    Ok,
    Reset,
    Silence,
    SlowHeaders,
    Status,
)
from kickai_providers_core.testing.faults.bodies import (
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
from kickai_providers_core.testing.faults.ports import Unreachable, blackhole, closed_port, no_tls
from kickai_providers_core.testing.faults.server import FaultServer
from kickai_providers_core.testing.faults.streams import Cut, ErrorPiece, MalformedPiece, SlowFirstToken, Stall
from kickai_providers_core.testing.faults.wire import Recorded, Response, Wire

__all__ = [
    "CloseEarly",
    "Cut",
    "Delay",
    "Drip",
    "EmptyBody",
    "ErrorPiece",
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
    "ShortBody",
    "Silence",
    "SlowFirstToken",
    "SlowHeaders",
    "Stall",
    "Status",
    "Unreachable",
    "Wire",
    "WrongContentType",
    "WrongShape",
    "blackhole",
    "closed_port",
    "no_tls",
]
