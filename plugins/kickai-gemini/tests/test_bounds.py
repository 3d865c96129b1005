"""What a service that sends without end costs: bounded memory, and no more time than the call has."""

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
from floods import FLOODS
from gemini_service import candidate
from kickai_providers_core import ChatRequest
from test_time import serving

SCRIPT = Path(__file__).with_name("floods.py")
TIMEOUT_S = 1.0
SLACK_S = 0.25
"""How much later than its timeout a call may end."""

GROWTH_MIB = 100
"""The most memory that one call may take: one answer of the largest size, its text, and the objects in it."""


@contextmanager
def flooding():
    """Serve floods in a process of its own; give the port."""
    with subprocess.Popen([sys.executable, SCRIPT, "serve"], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield server.stdout.readline().strip()
        finally:
            server.kill()


def measure(sdk):
    """Return what each flood came to in each way of calling, by a process of its own."""
    with flooding() as port:
        run = [sys.executable, "-W", "ignore", SCRIPT, sdk, str(TIMEOUT_S), port]
        done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=600)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def seen():
    """Keep what was seen with each client for the tests of this module."""
    return {}


@pytest.mark.slow
def test_a_flood_costs_bounded_memory_and_ends(sdk, seen):
    """Whatever comes without end, and however it is packed, a call ends with an error and little memory."""
    seen[sdk] = measure(sdk)
    assert [tuple(row[:2]) for row in seen[sdk]] == [(name, mode) for name in FLOODS for mode in MODES]
    for name, mode, error, elapsed_s, grown_mib in seen[sdk]:
        assert error.endswith("Error"), (name, mode)
        assert grown_mib < GROWTH_MIB, (name, mode)
        assert elapsed_s < TIMEOUT_S + 5 * SLACK_S + 10, (name, mode)


@pytest.mark.timing
def test_the_deadline_holds_in_each_flood(sdk, seen):
    """A call ends at its timeout plus at most a quarter of a second, whatever comes."""
    late = [row for row in seen.get(sdk) or measure(sdk) if row[3] > TIMEOUT_S + SLACK_S]
    assert late == []


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
@pytest.mark.parametrize("size", [1, 65_536])
def test_other_tasks_run_while_an_answer_is_read(calls, sdk, mode, size):
    """However an answer comes, in one piece or a byte at a time, the event loop goes round while it is read."""
    text = "x" * (400 if size == 1 else 2**20)
    answer = json.dumps(candidate(text, "STOP")).encode()
    body = b"data: %s\n\n" % answer if mode == "astream" and sdk == "google-genai" else answer

    def handle(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        asked = b""
        while b"\r\n\r\n" not in asked or b"ping" not in asked:
            asked += connection.recv(65536)
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
