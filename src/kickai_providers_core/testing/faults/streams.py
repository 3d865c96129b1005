"""Faults that only a streamed answer can have."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from attrs import evolve, field, frozen
from attrs.validators import in_

from kickai_providers_core.testing.faults.answers import Fault
from kickai_providers_core.testing.faults.exchange import chunk, in_stream

if TYPE_CHECKING:
    from kickai_providers_core.testing.faults.exchange import Answer, Exchange

__all__ = ["Cut", "ErrorPiece", "MalformedPiece", "SlowFirstToken", "Stall"]


@frozen
class SlowFirstToken(Fault):
    """A good stream whose first event is late, though its head is not.

    Attributes:
        seconds: How late.
    """

    seconds: float

    async def play(self, exchange: Exchange) -> None:
        """Send the head, wait, send the rest."""
        answer = _stream(exchange, self)
        await exchange.link.send(answer.head)
        await asyncio.sleep(self.seconds)
        await exchange.send(evolve(answer, head=b""))


@frozen
class Stall(Fault):
    """A stream that falls silent, its connection open.

    Attributes:
        after_pieces: How many pieces are sent.
    """

    after_pieces: int = 1

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then wait until the client goes away."""
        await _begin(exchange, self, self.after_pieces)
        await exchange.hold()


@frozen
class Cut(Fault):
    """A stream that ends before its finish reason.

    Attributes:
        after_pieces: How many pieces are sent.
        how: ``fin`` and ``rst`` end the connection; ``clean`` ends the HTTP message in good order, only too soon.
    """

    after_pieces: int = 1
    how: Literal["fin", "rst", "clean"] = field(default="fin", validator=in_(("fin", "rst", "clean")))

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then end."""
        answer = await _begin(exchange, self, self.after_pieces)
        if self.how == "clean":
            await exchange.link.send(answer.end)
        elif self.how == "rst":
            await exchange.link.reset()
        else:
            exchange.link.close()


@frozen
class MalformedPiece(Fault):
    """A stream with one event in it that cannot be read, and a good end.

    Attributes:
        after_pieces: How many pieces are sent before it.
        body: What stands where JSON should.
    """

    after_pieces: int = 1
    body: bytes = b'{"half": ['

    async def play(self, exchange: Exchange) -> None:
        """Send the stream with the event in it."""
        await _with_event(exchange, self, self.after_pieces, self.body)


@frozen
class ErrorPiece(Fault):
    """A stream in which the service tells an error after it began with status 200, and then ends.

    Attributes:
        after_pieces: How many pieces are sent before it.
        kind: Which error, as in `Wire.error`.
        status: The status that the vendor would have sent, had it known.
        body: The event's JSON text; by default the body of `Wire.error`.
    """

    after_pieces: int = 1
    kind: str = "unavailable"
    status: int = 503
    body: bytes | None = None

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, the error, and the end of the HTTP message."""
        body = exchange.wire.error(exchange.request, self.status, self.kind).body if self.body is None else self.body
        answer = await _begin(exchange, self, self.after_pieces)
        event = in_stream(answer.content_type, body, first=not self.after_pieces)
        closing = b"]" if _is_array(answer) else b""
        await exchange.link.send(chunk(event + closing) + answer.end)


def _stream(exchange: Exchange, fault: Fault) -> Answer:
    if not exchange.streamed:
        told = f"{fault} is a fault of streams, and the request asks for none"
        raise TypeError(told)
    return exchange.answer()


async def _begin(exchange: Exchange, fault: Fault, pieces: int) -> Answer:
    """Send the head and the first pieces; return the whole answer."""
    answer = _stream(exchange, fault)
    if pieces > answer.pieces:
        told = f"{fault} wants {pieces} pieces, and the answer has {answer.pieces}"
        raise ValueError(told)
    await exchange.send(evolve(answer, parts=answer.parts[:pieces], end=b""))
    return answer


async def _with_event(exchange: Exchange, fault: Fault, pieces: int, body: bytes) -> None:
    answer = await _begin(exchange, fault, pieces)
    event = in_stream(answer.content_type, body, first=not pieces)
    await exchange.send(evolve(answer, head=chunk(event), parts=answer.parts[pieces:]))


def _is_array(answer: Answer) -> bool:
    return in_stream(answer.content_type, b"", first=True) == b"["
