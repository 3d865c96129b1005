"""A client that measures: sends requests over kept connections, and notes the time of each.

It shares the cores with what it measures, so it parses only as much of a response as it needs.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from statistics import median, quantiles
from typing import Self

from attrs import define, field, frozen

LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
FIRST_WORD = re.compile(rb'"content": ?"Anna')
LAST_CHUNK = b"\r\n0\r\n\r\n"


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


class Connection(asyncio.Protocol):
    """One kept connection, with one request at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._body_at = 0
        self._length: int | None = None
        self._began_s = self._first_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._ended: asyncio.Future[tuple[float, float]] = asyncio.get_running_loop().create_future()
        self.began: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @classmethod
    async def open(cls, target: Target) -> Self:
        """Connect."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", target.port)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    async def send(self, request: bytes) -> tuple[float, float]:
        """Send a request, and return the seconds to the first word of the answer and to its end."""
        loop = asyncio.get_running_loop()
        self._received.clear()
        self._body_at, self._length, self._first_s = 0, None, 0.0
        self._ended, self.began = loop.create_future(), loop.create_future()
        assert self._transport is not None
        self._began_s = time.perf_counter()
        self._transport.write(request)
        return await self._ended

    def data_received(self, data: bytes) -> None:
        """Note the first word and the end."""
        received = self._received
        received += data
        if not self._body_at and not self._read_head():
            return
        if not self._first_s and FIRST_WORD.search(received, self._body_at):
            self._first_s = time.perf_counter()
            self.began.set_result(None)
        length = self._length
        is_whole = received.endswith(LAST_CHUNK) if length is None else len(received) >= self._body_at + length
        if is_whole and not self._ended.done():
            ended_s = time.perf_counter()
            self._ended.set_result(((self._first_s or ended_s) - self._began_s, ended_s - self._began_s))

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the request that runs."""
        for waiting in (self._ended, self.began):
            if not waiting.done():
                waiting.set_exception(exc or ConnectionError("the server closed the connection"))
                waiting.exception()  # the benchmark itself closes connections of streams

    def close(self) -> None:
        """Close it."""
        assert self._transport is not None
        self._transport.close()

    def _read_head(self) -> bool:
        """Return whether the head of the response has come."""
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._received[:end])
        if not head.startswith(b"HTTP/1.1 200"):
            self.connection_lost(RuntimeError(self._received.decode(errors="replace")))
            return False
        self._body_at = end + 4
        found = LENGTH.search(head)
        self._length = int(found[1]) if found else None
        return True


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
    target: Target, model: str, *, connections: int, requests: int, stream: bool = False, spread_s: float = 0.0
) -> tuple[Times, Times]:
    """Return the times to the first word and to the end.

    Args:
        target: Where to send the requests.
        model: What the upstream does.
        connections: How many requests run at a time.
        requests: How many are sent.
        stream: Whether the answers are streamed.
        spread_s: The seconds over which the connections begin, at even intervals. Without it they begin together, and
            each answer waits for those of all others.
    """
    first, whole = Times(), Times()
    request = target.request(model, stream=stream)
    left = iter(range(requests))

    async def work(place: int) -> None:
        connection = await Connection.open(target)
        try:
            await asyncio.sleep(spread_s * place / connections)
            for _ in left:
                to_first, to_end = await connection.send(request)
                first.values.append(to_first)
                whole.values.append(to_end)
        finally:
            connection.close()

    await asyncio.gather(*map(work, range(connections)))
    return first, whole
