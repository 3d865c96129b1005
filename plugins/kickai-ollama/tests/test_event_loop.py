"""Other tasks of the event loop run while an answer comes in, however small its pieces are on the wire."""

import asyncio
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest
from kickai_ollama.client import OllamaProvider
from kickai_ollama.settings import OllamaSettings

from kickai_providers_core import ChatRequest

LINES = 2_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"


def answer(*, stream):
    """Return an answer's body, whole or in lines."""
    if not stream:
        return row("x" * LINES * 50, done=True)
    return row("x", done=False) * LINES + row("", done=True)


def row(text, *, done):
    """Return one line of the service's."""
    value = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text}}
    return json.dumps({**value, "done": done, "done_reason": "stop"}).encode() + b"\n"


def send(listener, body):
    """Answer one request in chunks of one byte, as fast as they are taken."""
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(HEAD + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
        connection.recv(65536)


@pytest.mark.parametrize("stream", [False, True], ids=["ainvoke", "astream"])
async def test_chunks_of_one_byte_leave_the_loop_to_other_tasks(stream):
    """Whatever comes in at once, another task runs at least once for each few kilobytes."""
    body, turns = answer(stream=stream), 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
        threads.submit(send, listener, body)
        settings = OllamaSettings(host=f"http://127.0.0.1:{listener.getsockname()[1]}", model="m")
        provider = OllamaProvider(settings)
        task, request = asyncio.create_task(other()), ChatRequest.of("Who?")
        if stream:
            count = sum([len(chunk.text) async for chunk in provider.astream(request, 120.0)])
        else:
            count = len((await provider.ainvoke(request, 120.0)).text)
        task.cancel()
        await provider.aclose()
    assert count == (LINES if stream else LINES * 50)
    assert turns > 6 * len(body) / 8192
