"""Other tasks of the event loop run while an answer arrives, even in tiny pieces."""

import asyncio
import json
import subprocess
import sys
import time

import pytest
from kickai_providers_core import ChatRequest

from kickai_ollama.client import OllamaProvider
from kickai_ollama.settings import OllamaSettings

LINES = 2_000
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n"


def answer(*, stream):
    """Return the body of an answer, whole or in lines."""
    if not stream:
        return row("x" * LINES * 50, done=True)
    return row("x", done=False) * LINES + row("", done=True)


def row(text, *, done):
    """Return one line of an answer."""
    value = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": text}}
    return json.dumps({**value, "done": done, "done_reason": "stop"}).encode() + b"\n"


SERVE = """
import socket, sys
body = sys.stdin.buffer.read()
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    connection, _ = listener.accept()
    with connection:
        connection.recv(65536)
        connection.sendall(body)
        connection.recv(65536)
"""
"""A program that answers one request with its standard input. In its own process it is faster than the reader."""


def serve(body):
    """Start the program; return it and its port."""
    program = subprocess.Popen([sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    program.stdin.write(HEAD + b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n")
    program.stdin.close()
    return program, int(program.stdout.readline())


@pytest.mark.parametrize("stream", [False, True], ids=["ainvoke", "astream"])
async def test_chunks_of_one_byte_leave_the_loop_to_other_tasks(stream):
    """Reading never uses 0.1 s of processor time without a pause; the aim is 5 ms."""
    body, pauses = answer(stream=stream), []

    async def other():
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            pauses.append(time.thread_time() - began)

    program, port = serve(body)
    with program:
        provider = OllamaProvider(OllamaSettings(host=f"http://127.0.0.1:{port}", model="m"))
        task, request = asyncio.create_task(other()), ChatRequest.of("Who?")
        if stream:
            count = sum([len(chunk.text) async for chunk in provider.astream(request, 120.0)])
        else:
            count = len((await provider.ainvoke(request, 120.0)).text)
        task.cancel()
        await provider.aclose()
    assert count == (LINES if stream else LINES * 50)
    assert max(pauses) < 0.1
