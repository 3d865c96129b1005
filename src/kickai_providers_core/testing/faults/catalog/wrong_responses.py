"""Responses with status 200 that are not an answer, redirects, and other protocols."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import field, frozen

from kickai_providers_core.testing.faults.encoding import END_OF_CHUNKS, encode_chunk, encode_event, encode_head
from kickai_providers_core.testing.faults.exchange import Fault
from kickai_providers_core.testing.faults.wire import Response

if TYPE_CHECKING:
    from kickai_providers_core.testing.faults.exchange import Exchange

__all__ = [
    "REDIRECT_PATH",
    "EmptyBody",
    "HugeBody",
    "Malformed",
    "NotHttp",
    "Redirect",
    "RedirectLoop",
    "ShortBody",
    "WrongContentType",
    "WrongShape",
]

REDIRECT_PATH = "/redirect-loop/"
"""Each request for a path below this one is redirected again."""

BLOCK = b"x" * 65536


@frozen
class ShortBody(Fault):
    """A good answer that is shorter than its content length, or whose last chunk is missing."""

    async def play(self, exchange: Exchange) -> None:
        """Announce more than is sent, then close."""
        answer = exchange.answer()
        body = b"".join(answer.parts)
        framing = {"content-length": str(2 * len(body))} if not answer.end else {"transfer-encoding": "chunked"}
        response = Response(headers={"content-type": answer.content_type})
        await exchange.connection.send(encode_head(response, framing) + body[: len(body) // 2])
        exchange.connection.close()


@frozen
class Malformed(Fault):
    """Status 200 with a body that does not match its content type.

    Attributes:
        body: The body.
    """

    body: bytes = b'{"half": ['

    async def play(self, exchange: Exchange) -> None:
        """Send the head of a good answer, and the body."""
        content_type = exchange.answer().content_type
        await exchange.respond(Response(headers={"content-type": content_type}, body=self.body))


@frozen
class WrongContentType(Fault):
    """Status 200 with another content type, such as a proxy's login page.

    Attributes:
        content_type: The content type.
        body: The body.
    """

    content_type: str = "text/html"
    body: bytes = b"<!doctype html><title>Sign in</title><p>Please sign in to the network."

    async def play(self, exchange: Exchange) -> None:
        """Send the page."""
        await exchange.respond(Response(headers={"content-type": self.content_type}, body=self.body))


@frozen
class EmptyBody(Fault):
    """Status 200 without a body."""

    async def play(self, exchange: Exchange) -> None:
        """Send the head of a good answer and nothing else."""
        await exchange.respond(Response(headers={"content-type": exchange.answer().content_type}))


@frozen
class WrongShape(Fault):
    """Status 200 with valid JSON that is not an answer; in a stream, one such event and then its end.

    Attributes:
        json: The JSON value.
    """

    json: object = field(factory=lambda: {"unexpected": True})

    async def play(self, exchange: Exchange) -> None:
        """Send the value in the form that the client asked for."""
        answer = exchange.answer()
        body = json.dumps(self.json).encode()
        if not exchange.streamed:
            return await exchange.respond(Response(headers={"content-type": answer.content_type}, body=body))
        event = encode_event(answer.content_type, body, first=True)
        closing = b"]" if event.startswith(b"[{") else b""
        return await exchange.connection.send(answer.head + encode_chunk(event + closing) + END_OF_CHUNKS)


@frozen
class Redirect(Fault):
    """A redirect to another address.

    Attributes:
        location: The address.
        code: The status; 307 asks for the same method and body again.
    """

    location: str
    code: int = 307

    async def play(self, exchange: Exchange) -> None:
        """Send the redirect."""
        await exchange.respond(Response(status=self.code, headers={"location": self.location}))


@frozen
class RedirectLoop(Fault):
    """A redirect to another redirect, without end.

    Attributes:
        code: The status of each.
    """

    code: int = 307

    async def play(self, exchange: Exchange) -> None:
        """Send the next redirect."""
        path = exchange.request.path
        step = path.removeprefix(REDIRECT_PATH)
        number = int(step) + 1 if path.startswith(REDIRECT_PATH) and step.isdecimal() else 1
        await Redirect(f"{REDIRECT_PATH}{number}", self.code).play(exchange)


@frozen
class HugeBody(Fault):
    """Status 200 with a very large body: one JSON string that does not end.

    Attributes:
        size: The size of the body, in bytes.
    """

    size: int = 8 * 2**20

    async def play(self, exchange: Exchange) -> None:
        """Send the body as fast as the client reads it."""
        response = Response(headers={"content-type": exchange.answer().content_type})
        await exchange.connection.send(encode_head(response, {"content-length": str(self.size)}) + b'"')
        left = self.size - 1
        while left > 0:
            await exchange.connection.send(BLOCK[:left])
            left -= len(BLOCK)


@frozen
class NotHttp(Fault):
    """Another protocol than HTTP."""

    async def play(self, exchange: Exchange) -> None:
        """Greet like a mail server, then close."""
        await exchange.connection.send(b"220 mail.example ESMTP ready\r\n")
        exchange.connection.close()
