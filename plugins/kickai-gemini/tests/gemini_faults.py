"""Faults that only these tests need."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen
from gemini_service import GeminiService
from kickai_providers_core.testing.faults import Fault, Ok
from kickai_providers_core.testing.faults.encoding import compress_repeated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.testing.faults.exchange import Exchange

__all__ = ["Bomb", "Responses"]


@frozen
class Responses(Fault):
    """An answer that consists of these response objects; of the first one only when it is not streamed."""

    responses: tuple[Mapping[str, Any], ...]

    async def play(self, exchange: Exchange) -> None:
        """Send them."""
        service = GeminiService()
        service.answer = self.responses
        exchange = evolve(exchange, wire=service)
        await exchange.send(exchange.answer(Ok(pieces=())))


@frozen
class Bomb(Fault):
    """A small body that decompresses to a gigabyte of zeros."""

    encoding: str = "gzip"
    status: int = 200

    async def play(self, exchange: Exchange) -> None:
        """Send the body."""
        head = b"HTTP/1.1 %d X\r\ncontent-encoding: %s\r\ncontent-length: %d\r\n\r\n"
        body = _gigabyte()
        await exchange.link.send(head % (self.status, self.encoding.encode(), len(body)) + body)


@cache
def _gigabyte() -> bytes:
    return compress_repeated(b"", bytes(2**24), 64)
