"""A client that measures: sends requests over kept connections, and notes the time of each."""

from __future__ import annotations

import asyncio
import json
import time
from statistics import median, quantiles
from typing import Self

from attrs import define, field, frozen


@frozen
class Target:
    """Where to send requests.

    Attributes:
        name: What it is, for the table.
        port: The port on loopback.
        model: The prefix of the models' names.
    """

    name: str
    port: int
    model: str = ""

    def request(self, model: str, *, stream: bool) -> bytes:
        """Return the bytes of a request."""
        messages = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "Who can play?"}]
        body = json.dumps({"model": self.model + model, "messages": messages, "stream": stream}).encode()
        return (
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:%d\r\nauthorization: Bearer sk-bench\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (self.port, len(body), body)
        )


@define
class Connection:
    """One kept connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @classmethod
    async def open(cls, target: Target) -> Self:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", target.port, limit=2**20))

    async def send(self, request: bytes) -> tuple[float, float]:
        """Send a request, and return the seconds to the first byte of the body and to its end."""
        started = time.perf_counter()
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError((head + await self.reader.read(500)).decode(errors="replace"))
        lower = head.lower()
        if b"content-length:" in lower:
            length = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0])
            await self.reader.readexactly(length)
            ended = time.perf_counter()
            return ended - started, ended - started
        first = 0.0
        while size := int(await self.reader.readline(), 16):
            data = await self.reader.readexactly(size + 2)
            if not first and b'"content":"Anna' in data.replace(b'": "', b'":"'):
                first = time.perf_counter()
        await self.reader.readexactly(2)
        return first - started, time.perf_counter() - started

    def close(self) -> None:
        """Close it."""
        self.writer.close()


@define
class Times:
    """Seconds of many requests."""

    values: list[float] = field(factory=list)

    @property
    def p50_ms(self) -> float:
        """The median, in milliseconds."""
        return median(self.values) * 1000

    @property
    def p99_ms(self) -> float:
        """The 99th percentile, in milliseconds."""
        return quantiles(self.values, n=100)[98] * 1000


async def measure(
    target: Target, model: str, *, connections: int, requests: int, stream: bool = False
) -> tuple[Times, Times]:
    """Return the times to the first byte and to the end, with so many connections at a time."""
    first, whole = Times(), Times()
    request = target.request(model, stream=stream)
    left = iter(range(requests))

    async def work() -> None:
        connection = await Connection.open(target)
        try:
            for _ in left:
                to_first, to_end = await connection.send(request)
                first.values.append(to_first)
                whole.values.append(to_end)
        finally:
            connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return first, whole
