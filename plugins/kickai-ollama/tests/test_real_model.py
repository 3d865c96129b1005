"""The real client against a real small model, over our reading of Ollama's protocol (see ollama_shim.py).

The tests check counts, finish reasons and constraints. The model is too small for sensible answers.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from attrs import evolve
from calling import MODES, Caller
from kickai_providers_core import ChatRequest, ContextLengthExceededError, FinishReason, ModelNotFoundError
from model_server import model_server
from ollama_shim import NAME

from kickai_ollama.plugin import plugin
from kickai_ollama.settings import OllamaSettings

pytestmark = pytest.mark.slow  # the tests of kickai-local call the same model in every run

ECHO = evolve(ChatRequest.of("Repeat exactly: KICKAI-42"), temperature=0.0, max_tokens=16)
"""A request that a small model can follow."""

SCHEMA = {"enum": ["available", "injured"]}

PATIENCE_S = 60.0
"""Much more than an answer takes, for a busy machine."""


@pytest.fixture(scope="module")
def call():
    """Return a caller of the small model."""
    with model_server() as (url, _):
        caller = Caller(OllamaSettings(host=url, model=NAME, keep_alive="5m"))
        yield caller
        caller.provider.close()


@pytest.mark.parametrize("mode", MODES)
def test_the_model_answers(call, mode):
    """The reply has a text, a finish reason, token counts and the model."""
    reply = call(mode, ECHO, PATIENCE_S).reply
    assert reply.text.strip() == "KICKAI-42"
    assert reply.finish_reason is FinishReason.STOP
    assert reply.usage.input_tokens > 10
    assert 3 < reply.usage.output_tokens < 16
    assert reply.model == NAME


@pytest.mark.parametrize("mode", MODES)
def test_the_token_limit_holds(call, mode):
    """An answer that reaches its token limit has exactly that number of tokens."""
    reply = call(mode, evolve(ECHO, max_tokens=3), PATIENCE_S).reply
    assert reply.finish_reason is FinishReason.LENGTH
    assert reply.usage.output_tokens == 3


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_text_ends_the_answer(call, mode):
    """The answer ends before a stop text."""
    reply = call(mode, evolve(ECHO, stop=("-",)), PATIENCE_S).reply
    assert reply.text.strip() == "KICKAI"


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_matches_its_schema(call, mode):
    """An answer with a JSON schema is JSON that the schema allows."""
    request = evolve(ChatRequest.of("Can Ann play?"), json_schema=SCHEMA, max_tokens=24, temperature=0.0)
    assert json.loads(call(mode, request, PATIENCE_S).reply.text) in SCHEMA["enum"]


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_repeats_the_answer(call, mode):
    """The same seed gives the same answer at any temperature."""
    request = evolve(ChatRequest.of("Name a colour."), temperature=1.5, max_tokens=6, seed=11)
    assert call(mode, request, PATIENCE_S).reply.text == call(mode, request, PATIENCE_S).reply.text


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_that_is_too_long_is_an_error(call, mode):
    """The error contains the size of the window."""
    error = call(mode, "word " * 800, PATIENCE_S).error
    assert type(error) is ContextLengthExceededError
    assert error.limit_tokens == 512


@pytest.mark.parametrize("mode", MODES)
def test_a_missing_model_is_an_error(call, mode):
    """The error contains the command that pulls the model."""
    error = call(mode, evolve(ECHO, model="llama3.2"), PATIENCE_S).error
    assert type(error) is ModelNotFoundError
    assert "`ollama pull llama3.2`" in str(error)


def test_a_stream_comes_in_pieces(call):
    """A stream yields more than one piece of text."""
    chunks = call("stream", ECHO, PATIENCE_S).chunks
    assert len([chunk for chunk in chunks if chunk.text]) > 1


def test_threads_and_tasks_share_the_model(call):
    """Concurrent calls from threads and tasks are all answered."""

    async def together():
        return await asyncio.gather(*(call.provider.ainvoke(ECHO, PATIENCE_S) for _ in range(3)))

    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda _: call.provider.invoke(ECHO, PATIENCE_S), range(3)))
    replies += asyncio.run(together())
    assert {reply.text.strip() for reply in replies} == {"KICKAI-42"}


def test_the_example_of_the_readme_prints_its_output(call):
    """The command of the README, run against the real model, prints what the README shows."""
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    ((command, output),) = re.findall(r"```console\n\$ (.*)\n(.*\n)```", readme)
    program, *arguments = shlex.split(command)
    done = subprocess.run(
        [Path(sys.executable).with_name(program), *arguments],
        env={**os.environ, "OLLAMA_HOST": call.settings.host},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, output)


def test_validating_online_finds_the_model(call):
    """Validation finds the model; an instance without a model gets a warning."""
    assert [problem.severity for problem in plugin.kickai_validate_provider(settings=call.settings, online=True)] == [
        "note"
    ]
    (problem,) = plugin.kickai_validate_provider(settings=evolve(call.settings, model=None), online=True)
    assert f"it has {NAME}" in problem.message
