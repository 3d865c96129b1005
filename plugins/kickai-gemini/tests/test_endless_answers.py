"""Endless answers take limited memory, and no more time than the call has."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import MODES
from endless_answers import ANSWERS
from gemini_service import candidate
from kickai_providers_core import ChatRequest
from test_connections import serving

SCRIPT = Path(__file__).with_name("endless_answers.py")
TIMEOUT_S = 1.0
SLACK_S = 1.25
"""How much later than its timeout a call may end."""

GROWTH_MIB = 100
"""The most memory that one call may take: one answer of the largest size, its text, and the objects in it."""


@contextmanager
def serving_endless_answers():
    """Serve endless answers in another process; yield the port."""
    with subprocess.Popen([sys.executable, SCRIPT, "serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def measure(sdk):
    """Return how each call of each mode ended, measured in another process."""
    with serving_endless_answers() as port:
        run = [sys.executable, "-W", "ignore", SCRIPT, sdk, str(TIMEOUT_S), port]
        done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=600)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def seen():
    """Keep the measurements of each client for the tests of this module."""
    return {}


@pytest.mark.slow
def test_endless_answer_takes_little_memory_and_ends(sdk, seen):
    """A call ends with an error and takes little memory, whatever is endless and however it is compressed."""
    seen[sdk] = measure(sdk)
    assert [tuple(row[:2]) for row in seen[sdk]] == [(name, mode) for name in ANSWERS for mode in MODES]
    for name, mode, error, elapsed_s, grown_mib in seen[sdk]:
        assert error.endswith("Error"), (name, mode)
        assert grown_mib < GROWTH_MIB, (name, mode)
        assert elapsed_s < TIMEOUT_S + 5 * SLACK_S + 10, (name, mode)


@pytest.mark.timing
def test_timeout_holds_for_each_endless_answer(sdk, seen):
    """A call ends at most 0.25 s after its timeout, whatever the service sends."""
    late = [row for row in seen.get(sdk) or measure(sdk) if row[3] > TIMEOUT_S + SLACK_S]
    assert late == []


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
@pytest.mark.parametrize("size", [1, 65_536])
def test_other_tasks_run_while_an_answer_is_read(calls, sdk, mode, size):
    """The event loop is not blocked by an answer in one piece, nor by one that arrives a byte at a time."""
    text = "x" * (400 if size == 1 else 2**20)
    answer = json.dumps(candidate(text, "STOP")).encode()
    body = b"data: %s\n\n" % answer if mode == "astream" else answer

    def handle(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        received = b""
        while b"\r\n\r\n" not in received or b"ping" not in received:
            received += connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), size):
            connection.sendall(body[start : start + size])
        connection.recv(1)

    async def read(provider):
        turns = 0

        async def count():
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        counting = asyncio.create_task(count())
        if mode == "ainvoke":
            said = (await provider.ainvoke(ChatRequest.of("ping"), 30.0)).text
        else:
            said = "".join([chunk.text async for chunk in provider.astream(ChatRequest.of("ping"), 30.0)])
        counting.cancel()
        return said, turns

    with serving(handle) as (port, _):
        provider = calls(base_url=f"http://127.0.0.1:{port}").provider
        said, turns = asyncio.run(read(provider))
    assert said == text
    assert turns > min(len(body) // 8192, 100)
