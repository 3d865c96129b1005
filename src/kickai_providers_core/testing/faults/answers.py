"""Faults of a whole answer; each plays on streams as well."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.messages import FinishReason
from kickai_providers_core.testing.faults.exchange import END_OF_CHUNKS, chunk, head_of, in_stream
from kickai_providers_core.testing.faults.wire import Response

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.testing.faults.exchange import Exchange

__all__ = [
    "REDIRECT_PATH",
    "CloseEarly",
    "Delay",
    "Drip",
    "EmptyBody",
    "Fault",
    "HugeBody",
    "Malformed",
    "NotHttp",
    "Ok",
    "Redirect",
    "RedirectLoop",
    "Reset",
    "ShortBody",
    "Silence",
    "SlowHeaders",
    "Status",
    "WrongContentType",
    "WrongShape",
]

REDIRECT_PATH = "/redirect-loop/"
"""Whatever is asked for below this path is redirected once more."""

BLOCK = b"x" * 65536


@frozen
class Fault:
    """What the server does with one request. A subclass says it in `play`."""

    async def play(self, exchange: Exchange) -> None:
        """Answer the request, or fail to. Runs on the server's loop, and is cancelled when the client goes away."""
        raise NotImplementedError


@frozen
class Ok(Fault):
    """A good answer.

    Attributes:
        text: What the model says.
        pieces: The same in pieces, for a stream; by default three of about one length.
        finish: Why the model stopped.
    """

    text: str = "pong"
    pieces: Sequence[str] | None = None
    finish: FinishReason = field(default=FinishReason.STOP, converter=FinishReason)

    @property
    def parts(self) -> tuple[str, ...]:
        """The pieces of a stream."""
        if self.pieces is not None:
            return tuple(self.pieces)
        size = max(1, -(-len(self.text) // 3))
        return tuple(self.text[at : at + size] for at in range(0, len(self.text), size))

    @property
    def unusual_finish(self) -> tuple[FinishReason, ...]:
        """The finish reason as the wire's last argument, left out when it is the usual one."""
        return () if self.finish is FinishReason.STOP else (self.finish,)

    async def play(self, exchange: Exchange) -> None:
        """Send the answer."""
        await exchange.send(exchange.answer(self))


@frozen
class Status(Fault):
    """An answer with a status of its own, in the vendor's words.

    Attributes:
        code: The status.
        kind: Which of the errors with that status, as in `Wire.error`.
        headers: Added to the vendor's.
        body: Instead of the vendor's.
    """

    code: int
    kind: str = ""
    headers: Mapping[str, str] = field(factory=dict)
    body: bytes | None = None

    async def play(self, exchange: Exchange) -> None:
        """Send the error."""
        response = exchange.wire.error(exchange.request, self.code, self.kind)
        body = response.body if self.body is None else self.body
        await exchange.respond(evolve(response, headers={**response.headers, **self.headers}, body=body))


@frozen
class Silence(Fault):
    """Nothing, for as long as the client waits."""

    async def play(self, exchange: Exchange) -> None:
        """Wait until the client goes away."""
        await exchange.hold()


@frozen
class Delay(Fault):
    """A good answer, late.

    Attributes:
        seconds: How late.
    """

    seconds: float

    async def play(self, exchange: Exchange) -> None:
        """Wait, then answer."""
        await asyncio.sleep(self.seconds)
        await exchange.send(exchange.answer())


@frozen
class SlowHeaders(Fault):
    """A good answer whose head comes one byte at a time.

    Attributes:
        interval_s: Between two bytes.
    """

    interval_s: float

    async def play(self, exchange: Exchange) -> None:
        """Drip the head, then send the body."""
        answer = exchange.answer()
        await _drip(exchange, answer.head, self.interval_s)
        await exchange.send(evolve(answer, head=b""))


@frozen
class Drip(Fault):
    """A good answer whose body comes one byte at a time.

    Attributes:
        interval_s: Between two bytes.
    """

    interval_s: float

    async def play(self, exchange: Exchange) -> None:
        """Send the head, then drip the body."""
        answer = exchange.answer()
        await exchange.link.send(answer.head)
        await _drip(exchange, b"".join((*answer.parts, answer.end)), self.interval_s)


async def _drip(exchange: Exchange, data: bytes, interval_s: float) -> None:
    for byte in data:
        await exchange.link.send(bytes((byte,)))
        await asyncio.sleep(interval_s)


@frozen
class CloseEarly(Fault):
    """A good answer that ends too soon, with FIN.

    Attributes:
        after_bytes: How much of it is sent, the head included; at most half of it.
    """

    after_bytes: int = 0

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then close."""
        await exchange.link.send(_beginning(exchange, self.after_bytes))
        exchange.link.close()


@frozen
class Reset(Fault):
    """A good answer that ends too soon, with RST.

    Attributes:
        after_bytes: How much of it is sent, the head included; at most half of it.
    """

    after_bytes: int = 0

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then reset."""
        await exchange.link.send(_beginning(exchange, self.after_bytes))
        await exchange.link.reset()


def _beginning(exchange: Exchange, size: int) -> bytes:
    answer = exchange.answer()
    whole = b"".join((answer.head, *answer.parts, answer.end))
    return whole[: min(size, len(answer.head) + (len(whole) - len(answer.head)) // 2)]


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

    size: int = 16 * 2**20

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
