"""A chain huggingface → ollama → local of real clients and runtimes with the real small model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import evolve
from calling import MODES
from kickai_providers_core import ChatRequest, Resolver, SkipReason
from kickai_providers_core.testing.faults import Cut, FaultServer, Ok, Silence, Stall, closed_port
from model_server import model_server
from ollama_shim import NAME
from ollama_wire import OllamaWire

pytestmark = pytest.mark.skipif(
    not (find_spec("kickai_hf") and find_spec("kickai_local")), reason="needs kickai-hf and kickai-local"
)

CHAIN = ("huggingface:small", f"ollama:{NAME}", "local")
ECHO = evolve(ChatRequest.of("Repeat exactly: KICKAI-42"), temperature=0.0, max_tokens=16)
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def served():
    """Serve the small model."""
    with model_server() as addresses:
        yield addresses


@pytest.fixture
def resolver(served):
    """Return a function that makes resolvers; the providers that it is given are down."""
    made = []

    def make(*down, **ollama):
        ollama_url, openai_url = served
        nobody = f"http://127.0.0.1:{closed_port()}"
        base_url = nobody if "huggingface" in down else openai_url
        host = nobody if "ollama" in down else ollama_url
        settings = {
            "providers": {
                "huggingface": {"base_url": base_url, "timeout_s": DEADLINE_S, "retries": 0},
                "ollama": {"host": host, "retries": 0, **ollama},
                "local": {"context_window": 512},
            }
        }
        made.append(Resolver.from_settings(settings, env={}))
        return made[-1]

    yield make
    for resolver in made:
        resolver.close()


def call(resolver, mode):
    """Call the chain in a mode, and return the reply."""
    chain = resolver.chain(*CHAIN, deadline_s=DEADLINE_S)

    async def awaited():
        return await chain.ainvoke(ECHO)

    async def read():
        async with chain.astream(ECHO) as stream:
            async for _ in stream:
                pass
            return stream.reply

    if mode == "invoke":
        return chain.invoke(ECHO)
    if mode == "stream":
        with chain.stream(ECHO) as stream:
            list(stream)
            return stream.reply
    return asyncio.run(awaited() if mode == "ainvoke" else read())


@pytest.mark.parametrize("mode", MODES)
def test_the_first_target_answers(resolver, mode):
    """When everything is up, the chain does not fall back."""
    reply = call(resolver(), mode)
    assert reply.provider == "huggingface"
    assert not reply.fell_back


@pytest.mark.parametrize("mode", MODES)
def test_ollama_answers_for_hugging_face(resolver, mode):
    """When Hugging Face is down, the model on this machine answers."""
    reply = call(resolver("huggingface"), mode)
    assert reply.provider == "ollama"
    assert reply.model == NAME
    assert reply.text.strip() == "KICKAI-42"
    assert reply.fell_back
    assert [attempt.provider for attempt in reply.attempts] == ["huggingface", "ollama"]


@pytest.mark.parametrize("mode", MODES)
def test_the_local_model_answers_for_both(resolver, mode):
    """When Ollama is down too, the local model answers, and the reply contains the errors."""
    reply = call(resolver("huggingface", "ollama"), mode)
    assert reply.provider == "local"
    assert [type(attempt.error).__name__ for attempt in reply.attempts[:2]] == ["ProviderUnavailableError"] * 2
    assert "`ollama serve`" in reply.attempts[1].error.message


def test_a_model_that_is_not_pulled_is_suspended(resolver):
    """A missing model is called once, and then skipped while it is suspended."""
    chain = resolver("huggingface").chain("ollama:llama3.2", f"ollama:{NAME}", deadline_s=DEADLINE_S)
    assert chain.invoke(ECHO).attempts[0].error.message.endswith("`ollama pull llama3.2`")
    again = chain.invoke(ECHO)
    assert [skip.reason for skip in again.skipped] == [SkipReason.RESTING]
    assert again.model == NAME


@pytest.mark.parametrize("fault", [Silence(), Stall(0), Cut(0, "rst"), Cut(0, "clean")], ids=repr)
def test_a_stream_that_fails_before_its_first_token_falls_back(resolver, fault):
    """The stream continues with the next target."""
    with FaultServer(OllamaWire(), fault) as server:
        chain = resolver("huggingface", host=server.url, first_token_timeout_s=0.3)
        reply = call(chain, "stream")
    assert reply.provider == "local"
    assert len(server.requests) == 1


def test_the_command_line_pulls_a_missing_model():
    """With ``pull`` the model is pulled before the call, and standard error shows the progress."""
    with FaultServer(OllamaWire(["phi4:latest"])) as server:
        server.default = Ok("pong", pieces=("po", "ng"))
        done = subprocess.run(
            [Path(sys.executable).with_name("kickai"), "ask", "--chain", "ollama:llama3.2", "hi"],
            env={**os.environ, "OLLAMA_HOST": server.url, "KICKAI_PROVIDERS__OLLAMA__PULL": "true"},
            check=False,
            capture_output=True,
            text=True,
        )
        assert [request.path for request in server.requests] == ["/api/tags", "/api/pull", "/api/chat"]
    assert (done.returncode, done.stdout) == (0, "pong\n")
    assert done.stderr.splitlines()[0] == "pulling manifest"
    assert done.stderr.splitlines()[-1] == "success"
