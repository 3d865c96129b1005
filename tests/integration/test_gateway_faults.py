"""The gateway over a provider whose service fails in every way: the client gets an answer or a clear error, in time."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from kickai_providers_core import Resolver
from kickai_providers_core.testing import faults as f

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ROOT = Path(__file__).parents[2]
pytest.importorskip("kickai_gateway", reason="runs in nox -s together")
pytest.importorskip("kickai_hf", reason="runs in nox -s together")


def load_wire():
    """Return the wire of Hugging Face from the tests of its plugin."""
    spec = importlib.util.spec_from_file_location("hf_wire", ROOT / "plugins" / "kickai-hf" / "tests" / "hf_wire.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HF = load_wire()

WHOLE = {
    "503": f.Status(503),
    "500": f.Status(500),
    "401": f.Status(401),
    "429": f.Status(429, headers={"retry-after": "60"}),
    "silence": f.Silence(),
    "late": f.Delay(30),
    "slow headers": f.SlowHeaders(30),
    "drip": f.Drip(30),
    "closed early": f.CloseEarly(),
    "reset": f.Reset(),
    "short body": f.ShortBody(),
    "malformed": f.Malformed(),
    "web page": f.WrongContentType(),
    "empty": f.EmptyBody(),
    "other JSON": f.WrongShape(),
    "redirect": f.RedirectLoop(),
    "huge": f.HugeBody(),
    "not HTTP": f.NotHttp(),
}
"""What goes wrong before the first token: the next target answers."""

STREAMS = {
    "stall": f.Stall(),
    "cut": f.Cut(),
    "malformed event": f.MalformedPiece(),
    "error event": f.ErrorPiece(),
    "slow first token": f.SlowFirstToken(30),
}
"""What goes wrong in streams, before or after the first token."""


@asynccontextmanager
async def serve(url: str, healthy: str) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a broken instance and a healthy one, and yield a client."""
    from kickai_gateway import Gateway
    from kickai_gateway.answering_target import observe
    from kickai_gateway.worker import Server

    timeouts = {"timeout_s": 1, "first_token_timeout_s": 1, "idle_timeout_s": 1, "connect_timeout_s": 1}
    shared = {"kind": "huggingface", "token": "hf_test", "retries": 0, **timeouts}
    settings = {
        "kickai": {"plugins": ["huggingface"], "primary": "broken", "fallback": ["healthy"], "deadline_s": 15},
        "providers": {"broken": {**shared, "base_url": url}, "healthy": {**shared, "base_url": healthy}},
    }
    resolver = Resolver.from_settings(settings, env={}, observers=[observe])
    gateway = Gateway(resolver)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = Server(gateway, drain_s=1)
        serving = asyncio.ensure_future(server.serve([listener]))
        await server.ready.wait()
        try:
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:
                yield client
        finally:
            server.should_exit = True
            await serving
            await gateway.generations.aclose()


async def ask(client: httpx.AsyncClient, chain: str, *, stream: bool) -> tuple[int, str, str]:
    """Return the status, the text, and the code of the error, if any, of one request."""
    messages = [{"role": "user", "content": "ping"}]
    body = {"model": chain, "messages": messages, "stream": stream}
    response = await client.post("/v1/chat/completions", json=body)
    if response.status_code != 200:
        return response.status_code, "", response.json()["error"]["code"]
    if not stream:
        return 200, response.json()["choices"][0]["message"]["content"], ""
    assert response.text.endswith("\n\n")
    text, code, is_done = "", "", False
    for line in filter(lambda line: line.startswith("data: "), response.text.splitlines()):
        if line == "data: [DONE]":
            is_done = True
            continue
        event = json.loads(line.removeprefix("data: "))
        code = event["error"]["code"] if "error" in event else code
        text += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    assert is_done != bool(code)  # never both, never neither
    return 200, text, code


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", WHOLE)
async def test_another_target_answers(name, stream):
    """Alone, the same fault is an error with a status and a code."""
    wire = HF.HfWire()
    with f.FaultServer(wire, WHOLE[name]) as broken, f.FaultServer(wire) as healthy:
        async with serve(broken.url, healthy.url) as client:
            status, text, code = await ask(client, f"broken:{HF.MODEL},healthy:{HF.MODEL}", stream=stream)
            if code:  # a body that breaks within a stream has had a first token
                assert (stream, status) == (True, 200), (status, code)
            else:
                assert (status, text) == (200, "pong")
            status, _, code = await ask(client, f"broken:{HF.MODEL}", stream=stream)
            assert code, name
            assert status in {200, 429, 502, 503, 504}
            assert status != 200 or stream


@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_that_breaks_says_so(name):
    """Either another target has answered, or the stream ends with an error event."""
    wire = HF.HfWire()
    with f.FaultServer(wire, STREAMS[name]) as broken, f.FaultServer(wire) as healthy:
        async with serve(broken.url, healthy.url) as client:
            status, text, code = await ask(client, f"broken:{HF.MODEL},healthy:{HF.MODEL}", stream=True)
            assert status == 200
            assert code or text == "pong"


async def test_a_service_that_cannot_be_reached():
    """Its connection is refused."""
    wire = HF.HfWire()
    with f.FaultServer(wire) as healthy, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        async with serve(f"http://127.0.0.1:{port}", healthy.url) as client:
            assert await ask(client, f"broken:{HF.MODEL},healthy:{HF.MODEL}", stream=False) == (200, "pong", "")
            assert (await ask(client, f"broken:{HF.MODEL}", stream=False))[0] == 503
