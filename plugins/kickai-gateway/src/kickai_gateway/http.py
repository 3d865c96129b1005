"""Requests and responses of HTTP, as far as the gateway needs them, on top of ASGI."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, Self

from attrs import define, field, frozen

__all__ = ["Headers", "HttpRequest", "Receive", "Responder", "Scope", "Send", "encode_header"]

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Headers = tuple[tuple[str, str], ...]

LONGEST_HEADER = 200
"""The maximum length of the value of a header that the gateway writes, in characters."""

UNPRINTABLE = re.compile("[^ -~]")

_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)

JSON = (b"content-type", b"application/json")


@frozen(kw_only=True)
class HttpRequest:
    """The head of a request, and the connection that its body comes from.

    Attributes:
        id: The id of this request, as in the header ``x-request-id``.
        method: The method, in upper case.
        path: The path, without the query, decoded. Routing and checks use it alone.
        query: The query as it was sent.
        headers: The headers as they were sent, with names in lower case; a name may occur more than once.
        client: The address of the peer; empty when it is unknown, as for a Unix socket.
        receive: Returns the next event of the connection.
        first_values: The first value of each header, by its name in lower case.
    """

    id: str
    method: str
    path: str
    query: bytes = field(repr=False)
    headers: tuple[tuple[bytes, bytes], ...] = field(repr=False)
    client: str
    receive: Receive = field(repr=False)
    first_values: Mapping[bytes, bytes] = field(init=False, repr=False)

    @first_values.default
    def _find_first_values(self) -> Mapping[bytes, bytes]:
        return dict(reversed(self.headers))

    @classmethod
    def from_scope(cls, scope: Scope, receive: Receive, *, request_id: str) -> Self:
        """Return the request of an ASGI scope."""
        peer = scope.get("client")
        return cls(
            id=request_id,
            method=scope["method"],
            path=scope["path"],
            query=scope.get("query_string", b""),
            headers=tuple((bytes(name), bytes(value)) for name, value in scope["headers"]),
            client=peer[0] if peer else "",
            receive=receive,
        )

    def find_header(self, name: str) -> str | None:
        """Return the first value of a header; None when it is absent.

        Args:
            name: The name, in lower case.
        """
        value = self.first_values.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")


@define
class Responder:
    """Writes the response of one request.

    Attributes:
        send: Sends an event to the connection.
        common: Headers of every response of this request.
        route: What the request is for, for the metrics.
        status: The status of the response; None before it has started.
        is_complete: Whether the whole response was written.
    """

    send: Send = field(repr=False)
    common: Headers = ()
    route: str = "other"
    status: int | None = field(default=None, init=False)
    is_complete: bool = field(default=False, init=False)

    async def start(self, status: int, headers: Iterable[tuple[bytes, bytes]], extra: Headers = ()) -> None:
        """Send the status and the headers."""
        self.status = status
        own = [(name.encode("ascii"), encode_header(value)) for name, value in (*self.common, *extra)]
        await self.send({"type": "http.response.start", "status": status, "headers": [*headers, *own]})

    async def write(self, data: bytes, *, more: bool = True) -> None:
        """Send a part of the body; ``more`` is False for the last one."""
        self.is_complete = not more
        await self.send({"type": "http.response.body", "body": data, "more_body": more})

    async def respond(
        self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = (), extra: Headers = ()
    ) -> None:
        """Send a whole response."""
        length = (b"content-length", str(len(body)).encode("ascii"))
        await self.start(status, [*headers, length], extra)
        await self.write(body, more=False)

    async def respond_json(self, status: int, value: Mapping[str, Any], extra: Headers = ()) -> None:
        """Send a whole response with a JSON body."""
        await self.respond(status, dump(value), [JSON], extra)


def dump(value: Mapping[str, Any] | str) -> bytes:
    """Return a value as JSON in UTF-8. Its texts must be encodable, as those of replies are."""
    return _ENCODER.encode(value).encode("utf-8", "replace")


def encode_header(value: str) -> bytes:
    """Return the value of a header on one line of printable ASCII; other characters become ``?``."""
    return UNPRINTABLE.sub("?", value[:LONGEST_HEADER]).encode("ascii")
