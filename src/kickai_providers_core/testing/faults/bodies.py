"""Successes that are no answer: short, malformed, empty, huge, of another type or protocol, or somewhere else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from attrs import field, frozen

from kickai_providers_core.testing.faults.answers import Fault
from kickai_providers_core.testing.faults.exchange import END_OF_CHUNKS, chunk, head_of, in_stream
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
"""Whatever is asked for below this path is redirected once more."""

BLOCK = b"x" * 65536


@frozen
class ShortBody(Fault):
    """A good answer that is shorter than its content length, or whose chunks have no end."""

    async def play(self, exchange: Exchange) -> None:
        """Announce more than is sent, then close."""
        answer = exchange.answer()
        body = b"".join(answer.parts)
        framing = {"content-length": str(2 * len(body))} if not answer.end else {"transfer-encoding": "chunked"}
        response = Response(headers={"content-type": answer.content_type})
        await exchange.link.send(head_of(response, framing) + body[: len(body) // 2])
        exchange.link.close()


@frozen
class Malformed(Fault):
    """A success whose body is not what its content type says.

    Attributes:
        body: The body as it is sent.
    """

    body: bytes = b'{"half": ['

    async def play(self, exchange: Exchange) -> None:
        """Send the head of a good answer, and the body."""
        content_type = exchange.answer().content_type
        await exchange.respond(Response(headers={"content-type": content_type}, body=self.body))


@frozen
class WrongContentType(Fault):
    """A success of another content type, as a proxy's login page is.

    Attributes:
        content_type: The type.
        body: The body.
    """

    content_type: str = "text/html"
    body: bytes = b"<!doctype html><title>Sign in</title><p>Please sign in to the network."

    async def play(self, exchange: Exchange) -> None:
        """Send the page."""
        await exchange.respond(Response(headers={"content-type": self.content_type}, body=self.body))


@frozen
class EmptyBody(Fault):
    """A success without a body."""

    async def play(self, exchange: Exchange) -> None:
        """Send the head of a good answer and nothing else."""
        await exchange.respond(Response(headers={"content-type": exchange.answer().content_type}))


@frozen
class WrongShape(Fault):
    """A success with valid JSON that is no answer; in a stream, one such event and then its end.

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
        event = in_stream(answer.content_type, body, first=True)
        closing = b"]" if event.startswith(b"[{") else b""
        return await exchange.link.send(answer.head + chunk(event + closing) + END_OF_CHUNKS)


@frozen
class Redirect(Fault):
    """A redirect to another place.

    Attributes:
        location: Where to.
        code: The status; 307 asks for the same method and body again.
    """

    location: str
    code: int = 307

    async def play(self, exchange: Exchange) -> None:
        """Send the redirect."""
        await exchange.respond(Response(status=self.code, headers={"location": self.location}))


@frozen
class RedirectLoop(Fault):
    """A redirect that leads to a redirect, and so on without end.

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
    """A success whose body is one JSON string that does not end.

    Attributes:
        size: Of the body, in bytes.
    """

    size: int = 8 * 2**20

    async def play(self, exchange: Exchange) -> None:
        """Announce the size, then send that much as fast as the client takes it."""
        response = Response(headers={"content-type": exchange.answer().content_type})
        await exchange.link.send(head_of(response, {"content-length": str(self.size)}) + b'"')
        left = self.size - 1
        while left > 0:
            await exchange.link.send(BLOCK[:left])
            left -= len(BLOCK)


@frozen
class NotHttp(Fault):
    """Another protocol altogether."""

    async def play(self, exchange: Exchange) -> None:
        """Greet as a mail server would, then close."""
        await exchange.link.send(b"220 mail.example ESMTP ready\r\n")
        exchange.link.close()
