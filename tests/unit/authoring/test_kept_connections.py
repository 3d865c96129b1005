"""Which connections of streams are used again, without TLS."""

from __future__ import annotations

import asyncio
import json
import socket
import socketserver
import threading
from contextlib import aclosing, closing, contextmanager, suppress

import pytest

from kickai_providers_core import ChatRequest, ProviderError, ProviderSettings
from kickai_providers_core.authoring import Endpoint, HttpProvider, HttpService, dump_bytes, http_service, openai_chat

REQUEST = ChatRequest.from_prompt("ping")
EVENTS = [
    {"choices": [{"delta": {"content": "po"}}]},
    {"choices": [{"delta": {"content": "ng"}, "finish_reason": "stop"}]},
]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def as_chunk(data):
    """Return bytes as a chunk of HTTP."""
    return b"%x\r\n%b\r\n" % (len(data), data)


FIRST, SECOND = (as_chunk(f"data: {json.dumps(event)}\n\n".encode()) for event in EVENTS)
DONE = as_chunk(b"data: [DONE]\n\n")
LAST = as_chunk(b"")

ANSWERS = {
    "whole": (HEAD + FIRST, SECOND + DONE + LAST),
    "without the end of the message": (HEAD + FIRST, SECOND + DONE),
    "cut": (HEAD + FIRST,),
    "nothing": (),
}
CLOSING = frozenset({"cut", "nothing", "close", "until cut off"})


class Kestrel(HttpProvider):
    """Chat completions over HTTP."""

    def __init__(self, url):
        settings = ProviderSettings()
        super().__init__(HttpService(Endpoint(url=url), settings, user_agent="kestrel/1.0"), settings)

    def encode(self, request, *, is_stream):
        """Write a chat completion."""
        return dump_bytes(openai_chat.encode(request, model="m", stream=is_stream))

    def create_decoder(self, request, *, is_stream):
        """Read a chat completion."""
        return openai_chat.ChatDecoder(request, is_stream=is_stream)


class Handler(socketserver.StreamRequestHandler):
    """Serves one connection as the script says."""

    def handle(self):
        """Answer each request."""
        server = self.server
        server.connections += 1
        while True:
            length = 0
            while (line := self.rfile.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if not self.rfile.read(length):
                break
            word = server.script.pop(0)
            for part in ANSWERS.get(word, ANSWERS["whole"]):
                self.wfile.write(part)
            if word == "until cut off":
                server.may_end.wait(30)
            if word in CLOSING:
                break
        self.wfile.flush()
        with suppress(OSError):  # the client may have closed it
            self.connection.shutdown(socket.SHUT_RDWR)
        server.ended.release()


@contextmanager
def serve(*script):
    """Serve answers in this order, one for each request."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.script, server.connections, server.ended = list(script), 0, threading.Semaphore(0)
        server.may_end = threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.may_end.set()
            server.shutdown()
            thread.join()


def read(provider, *, most=None):
    """Return the text of a stream, or the name of its error; read at most some of its chunks."""
    try:
        with closing(provider.stream(REQUEST, 30.0)) as chunks:
            return "".join(chunk.text for chunk, _ in zip(chunks, range(most or 99), strict=False))
    except ProviderError as error:
        return type(error).__name__


async def aread(provider, *, most=None):
    """Do the same on the running loop."""
    text, left = "", most or 99
    try:
        async with aclosing(provider.astream(REQUEST, 30.0)) as chunks:
            async for chunk in chunks:
                text += chunk.text
                left -= 1
                if not left:
                    break
    except ProviderError as error:
        return type(error).__name__
    return text


def read_all(server, mode, *most):
    """Return the results of streams one after the other, in one provider and one loop."""
    with closing(Kestrel(f"http://127.0.0.1:{server.server_address[1]}/")) as provider:
        if mode == "stream":
            return [read(provider, most=each) for each in most]

        async def main():
            results = [await aread(provider, most=each) for each in most]
            await provider.aclose()
            return results

        return asyncio.run(main())


@pytest.mark.parametrize("mode", ["stream", "astream"])
class TestConnections:
    """In both streaming modes."""

    def test_a_stream_that_was_read_to_its_end_returns_its_connection(self, mode):
        """One connection serves one stream after the other."""
        with serve(*["whole"] * 4) as server:
            assert read_all(server, mode, *[None] * 4) == ["pong"] * 4
            assert server.connections == 1

    def test_a_connection_that_the_server_closes_is_not_used_again(self, mode, monkeypatch):
        """Some servers close it after each stream without announcing it; no request is lost."""
        monkeypatch.setattr(http_service, "PROBE_S", 0.5)  # on a busy machine it closes later
        with serve(*["close"] * 4) as server:
            assert read_all(server, mode, *[None] * 4) == ["pong"] * 4
            assert server.connections == 4

    def test_an_abandoned_stream_closes_its_connection(self, mode):
        """The rest of its answer would be taken for the next one."""
        with serve("whole", "without the end of the message", "whole") as server:
            assert read_all(server, mode, None, 1, None) == ["pong", "po", "pong"]
            assert server.connections == 2
            assert server.ended.acquire(timeout=30)

    def test_a_message_without_an_end_delays_nothing_else(self, mode):
        """The answer is whole, and its connection is closed."""
        with serve("without the end of the message", "whole", "whole") as server:
            assert read_all(server, mode, None, None, None) == ["pong"] * 3
            assert server.ended.acquire(timeout=30)

    def test_a_cut_stream_is_an_error_and_closes_its_connection(self, mode):
        """It never passes for a whole answer, also on a connection that was used before."""
        with serve("whole", "cut", "whole") as server:
            assert read_all(server, mode, None, None, None) == ["pong", "InvalidReplyError", "pong"]
            assert server.connections == 2

    def test_a_server_that_begins_to_close_connections_is_watched_again(self, mode, monkeypatch):
        """A request that meets a closed connection is lost; the next ones are not."""
        monkeypatch.setattr(http_service, "PROBE_S", 0.5)  # as above
        with serve("whole", "nothing", "close", "close", "close") as server:
            assert read_all(server, mode, *[None] * 5) == ["pong", "ProviderUnavailableError", *["pong"] * 3]
            assert server.connections == 4


def test_a_connection_that_was_closed_meanwhile_is_not_used():
    """Not even when the event loop was busy and has not noticed it: the request takes another connection."""

    async def main():
        with serve("until cut off", "whole") as server:
            provider = Kestrel(f"http://127.0.0.1:{server.server_address[1]}/")
            assert await aread(provider) == "pong"
            server.may_end.set()
            assert server.ended.acquire(timeout=30)  # blocks the loop on purpose
            assert await aread(provider) == "pong"
            assert server.connections == 2
            await provider.aclose()

    asyncio.run(main())
