"""The preset of kickai-gateway against the gateway itself: a chain that calls another process's chains."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import evolve
from calling import MODES
from kickai_providers_core import ChatRequest, FinishReason, Resolver

NEEDED = ("kickai_gateway", "kickai_mock")
SETTINGS = """
[kickai]
primary = "mock"
fallback = []
[providers.mock]
[gateway]
port = 0
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    """Run ``kickai serve`` over the mock provider; return its address."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        message = f"{', '.join(missing)} is not installed"
        pytest.fail(message) if os.environ.get("KICKAI_NEEDS_PLUGINS") else pytest.skip(message)
    folder = tmp_path_factory.mktemp("gateway")
    (folder / "kickai.toml").write_text(SETTINGS)
    program = Path(sysconfig.get_path("scripts")) / "kickai"
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
    with subprocess.Popen([str(program), "serve"], cwd=folder, text=True, **pipes) as process:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if found := re.search(r"serving (\S+)/v1", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(lines))
        process.terminate()
        process.stderr.read()


@pytest.fixture
def chain(gateway):
    """Return a chain with the gateway's role as its only target."""
    instance = {"kind": "openai", "preset": "kickai-gateway", "base_url": gateway, "model": "mock", "retries": 0}
    with Resolver.from_settings({"providers": {"gateway": instance}}, env={}) as resolver:
        yield resolver.chain("gateway", deadline_s=30)


async def _aask(chain, mode, request):
    if mode == "ainvoke":
        return await chain.ainvoke(request)
    async with chain.astream(request) as stream:
        async for _ in stream:
            pass
        return stream.reply


def ask(chain, mode, request):
    """Return the reply in one of the four modes."""
    if mode == "invoke":
        return chain.invoke(request)
    if mode == "stream":
        with chain.stream(request) as stream:
            list(stream)
            return stream.reply
    return asyncio.run(_aask(chain, mode, request))


@pytest.mark.parametrize("mode", MODES)
def test_the_gateway_answers(mode, chain):
    """The text, the finish reason and the token counts arrive."""
    reply = ask(chain, mode, evolve(ChatRequest.of("Who can play on Saturday?"), temperature=0.0, max_tokens=50))
    assert reply.text
    assert reply.finish_reason is FinishReason.STOP
    assert reply.usage.input_tokens > 0
