"""Good answers, error statuses, and answers that are late or cut off. All of them work for streams as well."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from kickai_providers_core.testing.faults.exchange import Fault, GoodAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.testing.faults.exchange import Exchange

__all__ = [
    "CloseEarly",
    "Delay",
    "Drip",
    "DripError",
    "Ok",
    "Reset",
    "Silence",
    "SlowHeaders",
    "SplitCharacters",
    "Status",
]


@frozen
class Ok(GoodAnswer, Fault):
    """A good answer."""

    async def play(self, exchange: Exchange) -> None:
        """Send the answer."""
        await exchange.send(exchange.answer(self))


@frozen
class Status(Fault):
    """An error status, with the service's own error body.

    Attributes:
        code: The status.
        kind: Which error with that status, as in `Wire.error`.
        headers: Headers in addition to the service's.
        body: The body in place of the service's.
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
    """No response at all; the connection stays open."""

    async def play(self, exchange: Exchange) -> None:
        """Wait until the client goes away."""
        await exchange.hold()


@frozen
class Delay(Fault):
    """A good answer that is late.

    Attributes:
        seconds: How long the answer takes.
    """

    seconds: float

    async def play(self, exchange: Exchange) -> None:
        """Wait, then answer."""
        await asyncio.sleep(self.seconds)
        await exchange.send(exchange.answer())


@frozen
class SlowHeaders(Fault):
    """A good answer whose head arrives one byte at a time.

    Attributes:
        interval_s: The time between two bytes.
    """

    interval_s: float

    async def play(self, exchange: Exchange) -> None:
        """Send the head slowly, then the body."""
        answer = exchange.answer()
        await _send_slowly(exchange, answer.head, self.interval_s)
        await exchange.send(evolve(answer, head=b""))


@frozen
class Drip(Fault):
    """A good answer whose body arrives one byte at a time.

    Attributes:
        interval_s: The time between two bytes.
    """

    interval_s: float

    async def play(self, exchange: Exchange) -> None:
        """Send the head, then the body slowly."""
        answer = exchange.answer()
        await exchange.connection.send(answer.head)
        await _send_slowly(exchange, b"".join((*answer.parts, answer.end)), self.interval_s)


@frozen
class SplitCharacters(Fault):
    """A good answer with a packet that ends within each character beyond ASCII.

    Attributes:
        pause_s: The time between two packets, in which the client reads the first.
    """

    pause_s: float = 0.02

    async def play(self, exchange: Exchange) -> None:
        """Send the head, then the body in packets that end after the first byte of a character."""
        answer = exchange.answer()
        await exchange.connection.send(answer.head)
        for packet in re.split(rb"(?<=[\xc0-\xff])", b"".join((*answer.parts, answer.end))):
            await exchange.connection.send(packet)
            await asyncio.sleep(self.pause_s)


@frozen
class CloseEarly(Fault):
    """A good answer that is cut off: the connection ends with FIN.

    Attributes:
        after_bytes: How many bytes are sent, the head included; at most half of the body.
    """

    after_bytes: int = 0

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then close."""
        await exchange.connection.send(_cut_answer(exchange, self.after_bytes))
        exchange.connection.close()


@frozen
class Reset(Fault):
    """A good answer that is cut off: the connection ends with RST.

    Attributes:
        after_bytes: How many bytes are sent, the head included; at most half of the body.
    """

    after_bytes: int = 0

    async def play(self, exchange: Exchange) -> None:
        """Send the beginning, then reset."""
        await exchange.connection.send(_cut_answer(exchange, self.after_bytes))
        await exchange.connection.reset()


async def _send_slowly(exchange: Exchange, data: bytes, interval_s: float) -> None:
    for byte in data:
        await exchange.connection.send(bytes((byte,)))
        await asyncio.sleep(interval_s)


def _cut_answer(exchange: Exchange, size: int) -> bytes:
    answer = exchange.answer()
    whole = b"".join((answer.head, *answer.parts, answer.end))
    return whole[: min(size, len(answer.head) + (len(whole) - len(answer.head)) // 2)]


@frozen
class DripError(Fault):
    """An error whose body never ends: its head, and then one byte at a time.

    Attributes:
        status: The status.
        interval_s: Seconds between two bytes.
    """

    status: int = 500
    interval_s: float = 0.05

    async def play(self, exchange: Exchange) -> None:
        """Send the head, and then the bytes."""
        await exchange.link.send(b"HTTP/1.1 %d X\r\ncontent-length: 100000\r\n\r\n" % self.status)
        while True:
            await exchange.link.send(b" ")
            await asyncio.sleep(self.interval_s)
