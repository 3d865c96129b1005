"""Good answers, refusals, and answers that come late or end too soon; each plays on streams as well."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.values.replies import FinishReason

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kickai_providers_core.testing.faults.exchange import Exchange

__all__ = ["CloseEarly", "Delay", "Drip", "Fault", "Ok", "Reset", "Silence", "SlowHeaders", "Status"]


@frozen
class Fault(ABC):
    """What the server does with one request. A subclass says it in `play`."""

    @abstractmethod
    async def play(self, exchange: Exchange) -> None:
        """Answer the request, or fail to. Runs on the server's loop, and is cancelled when the client goes away."""


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
