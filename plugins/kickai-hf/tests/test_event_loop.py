"""Streams on an event loop: other tasks run, and an abandoned stream leaves nothing behind."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from calling import acall
from hf_wire import HfWire
from kickai_providers_core import ProviderError, ProviderTimeoutError
from kickai_providers_core.testing.chat_completions.faults import CHUNKED, CONTINUE, Endless
from kickai_providers_core.testing.faults import FaultServer
from kickai_providers_core.testing.faults.exchange import chunk
from test_streams import text_event

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FLOODS = {
    "single bytes": Endless(chunk(b"\n") * 1000, CHUNKED),
    "comments": Endless(chunk(b":\n") * 1000, SSE),
    "pieces": Endless(chunk(text_event("z")) * 100, SSE),
    "interim answers": Endless(CONTINUE * 100, CONTINUE),
    "an error's body": Endless(chunk(b" ") * 1000, CHUNKED.replace(b"200 OK", b"500 Oh")),
}


@pytest.mark.parametrize("mode", [pytest.param("ainvoke", marks=pytest.mark.slow), "astream"])
@pytest.mark.parametrize("flood", FLOODS)
def test_a_fast_server_does_not_starve_other_tasks(flood, mode, server, provide):
    """Other tasks run while a server sends faster than the client reads, and the call ends in time."""
    server.default = FLOODS[flood]
    provider = provide(idle_timeout_s=10.0, first_token_timeout_s=10.0)

    async def watch():
        pauses = []

        async def beat():
            while True:
                began = time.perf_counter()
                await asyncio.sleep(0.005)
                pauses.append(time.perf_counter() - began)

        beating = asyncio.create_task(beat())
        ended = await acall(provider, mode, timeout_s=1.0)
        beating.cancel()
        return ended, pauses

    ended, pauses = asyncio.run(watch())
    assert isinstance(ended.error, ProviderError)
    if not isinstance(ended.error, ProviderTimeoutError):
        assert flood == "an error's body" or (flood == "pieces" and mode == "ainvoke")
    assert ended.elapsed_s < 6.0
    assert max(pauses) < 0.5
    assert len(pauses) > ended.elapsed_s / 0.5


PROGRAM = """
import asyncio, gc, logging, sys, warnings
warnings.simplefilter("always")
sys.path.insert(0, sys.argv[1])
from kickai_providers_core.values.requests import ChatRequest
from kickai_providers_core import Resolver
from kickai_hf.client import HuggingFace
url, how, through = sys.argv[2:]

async def main(astream):
    if how == "break":
        async for piece in astream("x"):
            break
    elif how == "drop":
        stream = astream("x")
        async for piece in stream:
            break
        del stream, piece
        gc.collect()
    elif how == "leave":
        kept.append(astream("x"))
        async for piece in kept[-1]:
            break
    elif how == "cancel":
        async def read():
            async for piece in astream("x"):
                await asyncio.sleep(30)
        task = asyncio.create_task(read())
        await asyncio.sleep(0.1)
        task.cancel()
    elif how == "end":
        async def read():
            async for piece in astream("x"):
                await asyncio.sleep(30)
        kept.append(asyncio.create_task(read()))
        await asyncio.sleep(0.1)

kept = []
with Resolver.from_settings({"providers": {"p": {"kind": "huggingface", "base_url": url, "model": "m"}}}, env={}) as r:
    chain = r.chain("p")
    if through == "chain":
        chain.invoke("warm up")
        astream = chain.astream
    else:
        provider = HuggingFace(r.registry.find("p").settings)
        provider.invoke(ChatRequest.of("warm up"), 10.0)
        astream = lambda prompt: provider.astream(ChatRequest.of(prompt), 10.0)
    for _ in range(3):
        asyncio.run(main(astream), debug=True)
    kept.clear()
    gc.collect()
    if through == "provider":
        provider.close()
"""


@pytest.mark.parametrize(
    ("how", "through"),
    [
        *((how, "chain") for how in ("break", "drop", "end")),
        *(pytest.param(how, "provider", marks=pytest.mark.slow) for how in ("break", "drop", "leave", "cancel", "end")),
    ],
)
def test_an_abandoned_stream_leaves_nothing_behind(how, through):
    """However a stream is abandoned, it leaves neither a warning nor a log line nor an open connection."""
    with FaultServer(HfWire()) as server:
        server.script(server.default, *[FLOODS["pieces"]] * 3)
        here = str(Path(__file__).parent)
        command = [sys.executable, "-X", "dev", "-c", PROGRAM, here, server.url, how, through]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        noise = [line for line in done.stderr.splitlines() if line and not line.startswith("Executing <")]
        assert noise == []  # asyncio's debug mode reports steps that took 0.1 s, as they may on a busy machine
        assert server.wait_closed(5.0)
