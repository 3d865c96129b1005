"""A server in a separate process that keeps connections alive and echoes each question; and its provider."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from kickai_providers_core import FinishReason, ProviderInfo, Reply, ReplyChunk, hookimpl

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["EchoPlugin", "serving"]

DELAY_S = 0.05
"""How long an answer takes, so that questions of several processes overlap."""


@contextmanager
def serving() -> Iterator[int]:
    """Run the server, and give its port."""
    server = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield int(server.stdout.readline())
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()


class Provider:
    """Connections that are kept alive: one that threads share, and one for each event loop."""

    def __init__(self, port: int) -> None:
        self.made_in = os.getpid()
        self._port = port
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._loops: dict[Any, tuple[socket.socket, asyncio.Lock]] = {}

    def ask(self, text: str) -> str:
        """Return the answer over the one connection."""
        assert self.made_in == os.getpid(), "a provider was used in a process that did not make it"
        with self._lock:
            if self._line is None:
                self._line = socket.create_connection(("127.0.0.1", self._port))
            self._line.sendall(f"{text}\n".encode())
            answer = b""
            while not answer.endswith(b"\n"):
                answer += self._line.recv(4096)
        return answer.decode().strip()

    async def aask(self, text: str) -> str:
        """Return the answer over the connection of the running loop."""
        assert self.made_in == os.getpid(), "a provider was used in a process that did not make it"
        loop = asyncio.get_running_loop()
        if loop not in self._loops:
            connection = socket.create_connection(("127.0.0.1", self._port))
            connection.settimeout(0)  # the loop does the waiting
            self._loops[loop] = (connection, asyncio.Lock())
        connection, lock = self._loops[loop]
        async with lock:
            await loop.sock_sendall(connection, f"{text}\n".encode())
            answer = b""
            while not answer.endswith(b"\n"):
                answer += await loop.sock_recv(connection, 4096)
        return answer.decode().strip()

    def close(self) -> None:
        """Send a closing message on the connection, as some clients do."""
        for connection, _ in self._loops.values():
            connection.close()
        if self._line is not None:
            self._line.sendall(b"QUIT\n")
            self._line.close()
            self._line = None

    def __del__(self) -> None:
        self.close()


class EchoPlugin:
    """A provider plugin without any code for forks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.closed: list[int] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name="echo", summary="Echoes each question.")

    @hookimpl
    def kickai_create_provider(self, settings: Any) -> Provider:
        """Make a provider."""
        return Provider(self._port)

    @hookimpl
    def kickai_invoke_provider(self, provider: Provider, request: Any, timeout_s: float) -> Reply:
        """Ask."""
        return Reply(text=provider.ask(request.messages[-1].content), finish_reason=FinishReason.STOP)

    @hookimpl
    async def kickai_ainvoke_provider(self, provider: Provider, request: Any, timeout_s: float) -> Reply:
        """Ask."""
        return Reply(text=await provider.aask(request.messages[-1].content), finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_stream_provider(self, provider: Provider, request: Any, timeout_s: float) -> Iterator[ReplyChunk]:
        """Ask for each word by itself."""
        for word in request.messages[-1].content.split():
            yield ReplyChunk(text=f"{provider.ask(word)} ")
        yield ReplyChunk(finish_reason=FinishReason.STOP)

    @hookimpl
    async def kickai_astream_provider(
        self, provider: Provider, request: Any, timeout_s: float
    ) -> AsyncIterator[ReplyChunk]:
        """Ask for each word by itself."""
        for word in request.messages[-1].content.split():
            yield ReplyChunk(text=f"{await provider.aask(word)} ")
        yield ReplyChunk(finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_close_provider(self, provider: Provider) -> None:
        """Close it."""
        self.closed.append(provider.made_in)
        provider.close()


def _answer_one(connection: socket.socket) -> None:
    file = connection.makefile("rb")
    while line := file.readline():
        if line.startswith((b"POST", b"GET")):
            _answer_http(connection, file, line)
            continue
        text = line.decode().strip()
        if text == "QUIT":
            return connection.close()
        time.sleep(DELAY_S)
        connection.sendall(f"answer-to-{text}\n".encode())
    return None


def _answer_http(connection: socket.socket, file: Any, first: bytes) -> None:
    length = 0
    while (line := file.readline()) not in {b"\r\n", b""}:
        if line.lower().startswith(b"content-length"):
            length = int(line.split(b":")[1])
    body = json.loads(file.read(length))
    time.sleep(DELAY_S)
    kind, written = _in_wire(first.split(b" ")[1], body)
    head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(written)}\r\n\r\n"
    connection.sendall(head.encode() + written)


def _in_wire(path: bytes, body: dict[str, Any]) -> tuple[str, bytes]:
    """Return the answer in the client's protocol: Ollama, Gemini, or OpenAI's chat completions."""
    if b"/api/chat" in path:
        text = f"answer-to-{body['messages'][-1]['content']}"
        common = {"model": "m", "created_at": "2026-01-01T00:00:00Z"}
        done = {**common, "done": True, "done_reason": "stop", "message": {"role": "assistant", "content": text}}
        return "application/x-ndjson" if body.get("stream", True) else "application/json", _lines(done)
    if b"enerateContent" in path:
        text = f"answer-to-{body['contents'][-1]['parts'][-1]['text']}"
        sentence = {"candidates": [{"content": {"role": "model", "parts": [{"text": text}]}, "finishReason": "STOP"}]}
        return _events(sentence) if b"stream" in path else ("application/json", _lines(sentence))
    text = f"answer-to-{body['messages'][-1]['content']}"
    if body.get("stream"):
        return _events(
            {"id": "1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]},
            {"id": "1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
            end=b"data: [DONE]\n\n",
        )
    message = {"role": "assistant", "content": text}
    return "application/json", _lines({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


def _lines(value: object) -> bytes:
    return json.dumps(value).encode() + b"\n"


def _events(*values: object, end: bytes = b"") -> tuple[str, bytes]:
    return "text/event-stream", b"".join(b"data: " + json.dumps(value).encode() + b"\n\n" for value in values) + end


def _serve() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        threading.Thread(target=_answer_one, args=(listener.accept()[0],), daemon=True).start()


if __name__ == "__main__":
    _serve()
