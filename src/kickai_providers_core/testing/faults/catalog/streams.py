"""Faults that can only happen in streams."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Literal

from attrs import evolve, field, frozen
from attrs.validators import in_

from kickai_providers_core.testing.faults.encoding import encode_chunk, encode_event
from kickai_providers_core.testing.faults.exchange import Fault

if TYPE_CHECKING:
    from kickai_providers_core.testing.faults.exchange import Answer, Exchange

__all__ = ["Cut", "ErrorPiece", "MalformedPiece", "SlowFirstToken", "Stall"]


@frozen
class SlowFirstToken(Fault):
    """A good stream whose head comes at once and whose first event is late.

    Attributes:
        seconds: How long the first event takes.
    """

    seconds: float

    async def play(self, exchange: Exchange) -> None:
        """Send the head, wait, send the rest."""
        answer = _require_stream(exchange, self)
        await exchange.connection.send(answer.head)
        await asyncio.sleep(self.seconds)
        await exchange.send(evolve(answer, head=b""))


@frozen
class Stall(Fault):
    """A stream that stops in the middle, with its connection open.

    Attributes:
        after_pieces: How many pieces are sent.
    """

    after_pieces: int = 1

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then wait until the client goes away."""
        await _send_beginning(exchange, self, self.after_pieces)
        await exchange.hold()


@frozen
class Cut(Fault):
    """A stream that ends before its finish reason.

    Attributes:
        after_pieces: How many pieces are sent.
        how: ``fin`` and ``rst`` end the connection; ``clean`` ends the HTTP response correctly, but too early.
    """

    after_pieces: int = 1
    how: Literal["fin", "rst", "clean"] = field(default="fin", validator=in_(("fin", "rst", "clean")))

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then end."""
        answer = await _send_beginning(exchange, self, self.after_pieces)
        if self.how == "clean":
            await exchange.connection.send(answer.end)
        elif self.how == "rst":
            await exchange.connection.reset()
        else:
            exchange.connection.close()


@frozen
class MalformedPiece(Fault):
    """A stream with one event that is not valid JSON, and a good end.

    Attributes:
        after_pieces: How many pieces are sent before it.
        body: The bytes in place of the JSON text.
    """

    after_pieces: int = 1
    body: bytes = b'{"half": ['

    async def play(self, exchange: Exchange) -> None:
        """Send the stream with the event in it."""
        answer = await _send_beginning(exchange, self, self.after_pieces)
        event = encode_event(answer.content_type, self.body, first=not self.after_pieces)
        await exchange.send(evolve(answer, head=encode_chunk(event), parts=answer.parts[self.after_pieces :]))


@frozen
class ErrorPiece(Fault):
    """A stream with status 200 in which the service reports an error, and then its end.

    Attributes:
        after_pieces: How many pieces are sent before the error.
        kind: Which error, as in `Wire.error`.
        status: The status that the service would have sent if the stream had not begun.
        body: The event's JSON text; by default the body of `Wire.error`.
    """

    after_pieces: int = 1
    kind: str = "unavailable"
    status: int = 503
    body: bytes | None = None

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, the error, and the end of the HTTP response."""
        body = exchange.wire.error(exchange.request, self.status, self.kind).body if self.body is None else self.body
        answer = await _send_beginning(exchange, self, self.after_pieces)
        event = encode_event(answer.content_type, body, first=not self.after_pieces)
        closing = b"]" if _is_array(answer) else b""
        await exchange.connection.send(encode_chunk(event + closing) + answer.end)


def _require_stream(exchange: Exchange, fault: Fault) -> Answer:
    if not exchange.streamed:
        message = f"{fault} is only possible in a stream, and the request does not ask for one"
        raise TypeError(message)
    return exchange.answer()


async def _send_beginning(exchange: Exchange, fault: Fault, pieces: int) -> Answer:
    """Send the head and the first pieces; return the whole answer."""
    answer = _require_stream(exchange, fault)
    if pieces > answer.pieces:
        message = f"{fault} needs an answer of at least {pieces} pieces, got {answer.pieces}"
        raise ValueError(message)
    await exchange.send(evolve(answer, parts=answer.parts[:pieces], end=b""))
    return answer


def _is_array(answer: Answer) -> bool:
    return encode_event(answer.content_type, b"", first=True) == b"["
