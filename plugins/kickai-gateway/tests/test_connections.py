"""Slow, large and numerous connections."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import live
import pytest
from wire import CHAT, body

from kickai_gateway.connections import MAX_HEAD_BYTES, JoiningTransport


@asynccontextmanager
async def connect(running):
    """Open a connection."""
    host, _, port = running.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        yield reader, writer
    finally:
        writer.close()


async def read_status(reader):
    """Return the status of a response."""
    async with asyncio.timeout(20):
        line = await reader.readline()
    return int(line.split()[1]) if line else None


def encode_request(data=None, **headers):
    """Return a request for an answer."""
    data = json.dumps(body(model="kickai") if data is None else data).encode()
    given = {"host": "localhost", "content-type": "application/json", "content-length": str(len(data)), **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return f"POST {CHAT} HTTP/1.1\r\n{head}\r\n".encode() + data


@pytest.mark.parametrize(
    "sent",
    [b"", b"P", b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n", encode_request()[:-1]],
    ids=["nothing", "a letter", "a part of the head", "a part of the body"],
)
async def test_a_request_that_does_not_arrive_is_ended(script, sent):
    """The status is 408, and the connection is closed."""
    async with live.serve(script, receive_timeout_s=0.3) as running, connect(running) as (reader, writer):
        writer.write(sent)
        assert await read_status(reader) == 408
        await reader.read()
    assert script.requests == []


async def test_bytes_that_trickle_in_do_not_extend_the_time(script):
    """The limit is that of the whole request."""
    async with live.serve(script, receive_timeout_s=0.5) as running, connect(running) as (reader, writer):

        async def trickle():
            for byte in encode_request():
                writer.write(bytes([byte]))
                await asyncio.sleep(0.1)

        task = asyncio.ensure_future(trickle())
        assert await read_status(reader) == 408
        task.cancel()
    assert script.requests == []


async def test_a_slow_answer_is_not_a_slow_request(script):
    """Once a request has arrived, only its deadline counts."""
    async with live.serve(script, receive_timeout_s=0.2) as running, connect(running) as (reader, writer):
        await asyncio.sleep(0.05)
        writer.write(encode_request())
        assert await read_status(reader) == 200


async def test_a_client_that_reads_nothing_is_cut_off(script):
    """And its call of the provider ends, instead of waiting for ever."""
    async with live.serve(script, send_timeout_s=0.2) as running, connect(running) as (_, writer):
        writer.transport.pause_reading()
        writer.write(encode_request(body(model="one:endless", stream=True)))
        await live.wait_for(lambda: script.ended)
        await live.wait_for(lambda: running.gateway.generations.current.running == 0)
    assert script.ended == ["closed"]


async def test_a_client_that_reads_slowly_is_served(script):
    """Only one that reads nothing for so long is cut off."""
    async with live.serve(script, send_timeout_s=60) as running, connect(running) as (reader, writer):
        writer.write(encode_request(body(model="one:endless", stream=True)))
        size = 0
        async with asyncio.timeout(20):
            while size < 5_000_000:  # more than all buffers hold
                size += len(await reader.read(200_000))
                await asyncio.sleep(0)
        assert script.ended == []
    await live.wait_for(lambda: script.ended)


@pytest.mark.parametrize("head", [{"x-long": "a" * 2 * MAX_HEAD_BYTES}, {f"x-{i}": "a" * 100 for i in range(2000)}])
async def test_a_large_head_is_refused(script, head):
    """Nothing of it is kept."""
    async with live.serve(script) as running, connect(running) as (reader, writer):
        writer.write(encode_request(**head))
        assert await read_status(reader) == 431
    assert script.requests == []


async def test_a_head_without_an_end_is_refused(script):
    """A client that goes on sending headers is cut off."""

    async def send_without_end(writer):
        writer.write(b"GET /healthz HTTP/1.1\r\n")
        for _ in range(10_000):
            writer.write(b"x-more: " + b"a" * 1000 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with live.serve(script) as running, connect(running) as (_, writer):
        with pytest.raises(ConnectionError):
            await send_without_end(writer)


@pytest.mark.parametrize("is_stated", [True, False])
async def test_a_large_body_is_refused(script, is_stated):
    """Whether or not its length is stated; nothing beyond the limit is kept."""
    settings = {**live.SETTINGS, "gateway": {"max_body_mb": 1}}
    async with live.serve(script, settings) as running, connect(running) as (reader, writer):
        length = "content-length: 9000000" if is_stated else "transfer-encoding: chunked"
        writer.write(
            f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{length}\r\n\r\n".encode()
        )
        if not is_stated:
            for _ in range(40):
                writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        assert await read_status(reader) == 413
    assert script.requests == []


@pytest.mark.parametrize("is_stated", [True, False])
async def test_a_client_that_sends_all_of_a_large_body_gets_the_reason(script, is_stated):
    """The rest is discarded, and the connection serves further requests."""
    settings = {**live.SETTINGS, "gateway": {"max_body_mb": 1}}
    data = b" " * 3_000_000
    length, sent = f"content-length: {len(data)}", data
    if not is_stated:
        length, sent = "transfer-encoding: chunked", b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{length}\r\n\r\n"
    async with live.serve(script, settings) as running, connect(running) as (reader, writer):
        writer.write(head.encode() + sent)
        async with asyncio.timeout(20):
            await writer.drain()
        assert await read_status(reader) == 413
        assert b"at most 1048576 bytes" in await reader.readuntil(b"}}")
        writer.write(encode_request())
        assert await read_status(reader) == 200


@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
async def test_an_offered_upgrade_is_ignored(script, protocol):
    """Java's client offers HTTP/2 in its first request."""
    offer = {"connection": "Upgrade, HTTP2-Settings", "Upgrade": protocol, "http2-settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    async with live.serve(script) as running, connect(running) as (reader, writer):
        writer.write(encode_request(**offer))
        assert await read_status(reader) == 200
    assert len(script.requests) == 1


async def test_further_connections_are_refused(script):
    """The ones that exist go on, and their end makes room."""
    async with live.serve(script, max_connections=2) as running:
        async with connect(running) as (reader, writer), connect(running):
            async with connect(running) as (late, _):
                assert await read_status(late) == 503
            writer.write(encode_request())
            assert await read_status(reader) == 200

        async def is_served():
            async with connect(running) as (reader, writer):
                writer.write(encode_request())
                return await read_status(reader) == 200

        async with asyncio.timeout(20):
            while not await is_served():  # noqa: ASYNC110  the end of a connection sets no event
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    "line",
    [
        b"GET http://evil.example/v1/models HTTP/1.1",
        b"CONNECT evil.example:443 HTTP/1.1",
        b"GET //evil.example/v1/models HTTP/1.1",
        b"GET /v1/../v1/models HTTP/1.1",
        b"GET /%2e%2e/v1/models HTTP/1.1",
    ],
)
async def test_the_gateway_is_no_proxy(script, line):
    """An absolute target selects nothing but its path, and a path is taken as it is."""
    async with live.serve(script) as running, connect(running) as (reader, writer):
        writer.write(line + b"\r\nhost: localhost\r\n\r\n")
        status = await read_status(reader)
    assert status in ({200} if b"http://" in line else {400, 404, 405})
    assert script.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx y: z\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: \0\r\n\r\n",
        encode_request(**{"transfer-encoding": "chunked"}),
        encode_request(**{"content-length": "-1"}),
    ],
    ids=["TLS", "HTTP/2", "header name", "header value", "two lengths", "negative length"],
)
async def test_what_is_not_http_is_refused_with_an_error_body(script, sent):
    """And the connection is closed."""
    async with live.serve(script) as running, connect(running) as (reader, writer):
        writer.write(sent)
        assert await read_status(reader) == 400
        head, _, rest = (await reader.read()).partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head
    assert json.loads(rest)["error"]["type"] == "invalid_request_error"
    assert script.requests == []


async def test_what_is_not_http_never_becomes_part_of_a_stream(script):
    """A stream ends when its client sends such bytes: nothing else can be written in the midst of it."""
    data = json.dumps(body("one:slow", stream=True)).encode()
    head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    async with live.serve(script) as running, connect(running) as (reader, writer):
        writer.write(f"{head}\r\n\r\n".encode() + data)
        async with asyncio.timeout(20):
            received = await reader.readuntil(b"data: ")
            writer.write(b"no HTTP\r\n\r\n")
            received += await reader.read()
    assert received.startswith(b"HTTP/1.1 200")
    assert received.count(b"HTTP/1.1") == 1
    await live.wait_for(lambda: script.ended == ["cancelled"])


class Wire:
    """Notes the calls of a transport."""

    def __init__(self):
        self.calls = []

    def write(self, data):
        """Note the bytes."""
        self.calls.append(data)

    def close(self):
        """Note the end."""
        self.calls.append("close")

    def is_closing(self):
        """Return whether it was closed."""
        return "close" in self.calls


async def test_what_is_written_in_one_iteration_is_one_packet():
    """A response is one packet, though the server writes its head and its body apart; nothing is lost at the end."""
    wire = Wire()
    transport = JoiningTransport(wire, asyncio.get_running_loop())
    transport.write(b"head ")
    transport.write(b"body")
    assert wire.calls == []
    await asyncio.sleep(0)
    assert wire.calls == [b"head body"]
    transport.write(b"next")
    await asyncio.sleep(0)
    transport.write(b"last")
    transport.close()
    await asyncio.sleep(0)
    assert wire.calls == [b"head body", b"next", b"last", "close"]
    assert transport.is_closing()
