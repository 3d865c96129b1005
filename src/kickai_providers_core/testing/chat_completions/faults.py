"""Faults with bytes, bodies and streams of the test's own."""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from kickai_providers_core.testing.faults import Exchange, Fault, Response, Status, encode_chunk, encode_head

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CHUNKED", "CONTINUE", "Body", "Endless", "RawBytes", "RetryAfterDate", "StreamBytes"]

CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
"""The head of an answer in chunks."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""An interim response."""


@frozen
class RawBytes(Fault):
    """Bytes as they are; then the connection closes."""

    data: bytes

    async def play(self, exchange: Exchange) -> None:
        """Send them and close."""
        await exchange.connection.send(self.data)
        exchange.connection.close()


@frozen
class Endless(Fault):
    """The same bytes again and again.

    Attributes:
        part: The bytes.
        head: What comes before them; empty for the head of a good answer.
        interval_s: The pause after each part; 0 to send as fast as the client reads.
    """

    part: bytes
    head: bytes = b""
    interval_s: float = 0.0

    async def play(self, exchange: Exchange) -> None:
        """Send until the client closes the connection."""
        await exchange.connection.send(self.head or exchange.answer().head)
        while not exchange.connection.closing:
            await exchange.connection.send(self.part)
            await asyncio.sleep(self.interval_s)


@frozen
class Body(Fault):
    """A success with this body and these headers."""

    body: bytes
    headers: Mapping[str, str] = field(factory=lambda: {"content-type": "application/json"})

    async def play(self, exchange: Exchange) -> None:
        """Send it."""
        await exchange.respond(Response(headers=self.headers, body=self.body))


@frozen
class StreamBytes(Fault):
    """A stream of these bytes.

    Attributes:
        data: The bytes.
        size: How many of them are sent at once; 0 for all.
        pause_s: Between two sends.
        end: ``clean``, ``cut`` (within the HTTP message) or ``open`` (nothing more, and the connection stays open).
        content_type: Of the response.
    """

    data: bytes
    size: int = 0
    pause_s: float = 0.0
    end: Literal["clean", "cut", "open"] = "clean"
    content_type: str = "text/event-stream"

    async def play(self, exchange: Exchange) -> None:
        """Send the bytes."""
        head = Response(headers={"content-type": self.content_type, "x-request-id": "req-7"})
        await exchange.connection.send(encode_head(head, {"transfer-encoding": "chunked"}))
        size = self.size or max(len(self.data), 1)
        for start in range(0, len(self.data), size):
            await exchange.connection.send(encode_chunk(self.data[start : start + size]))
            await asyncio.sleep(self.pause_s)
        if self.end == "clean":
            await exchange.connection.send(b"0\r\n\r\n")
        elif self.end == "cut":
            exchange.connection.close()
        else:
            await exchange.hold()


@frozen
class RetryAfterDate(Fault):
    """A 429 whose ``Retry-After`` is the date in one minute."""

    code: int = 429

    async def play(self, exchange: Exchange) -> None:
        """Send it."""
        headers = {"retry-after": formatdate(time.time() + 60, usegmt=True)}
        await Status(self.code, "rate_limit", headers).play(exchange)
