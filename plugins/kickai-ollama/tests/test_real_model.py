"""The real client against a real small model, over our reading of Ollama's protocol (see ollama_shim.py).

What is asked of the model is plumbing: counts, finish reasons, constraints. It is too small to be asked for sense.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from attrs import evolve
from calling import MODES, Caller
from kickai_providers_core import ChatRequest, ContextLengthExceededError, FinishReason, ModelNotFoundError
from model_server import model_server
from ollama_shim import NAME

from kickai_ollama import plugin
from kickai_ollama.settings import OllamaSettings

ECHO = evolve(ChatRequest.of("Repeat exactly: KICKAI-42"), temperature=0.0, max_tokens=16)
"""What even a small model does."""

SCHEMA = {"enum": ["available", "injured"]}

PATIENCE_S = 60.0
"""Much more than an answer takes, for a machine that does other things too."""


@pytest.fixture(scope="module")
def call():
    """Return a caller of the small model."""
    with model_server() as (url, _):
        caller = Caller(OllamaSettings(host=url, model=NAME, keep_alive="5m"))
        yield caller
        caller.provider.close()


@pytest.mark.parametrize("mode", MODES)
def test_the_model_answers(call, mode):
    """An answer comes with its text, its finish reason, its tokens and its model."""
    reply = call(mode, ECHO, PATIENCE_S).reply
    assert reply.text.strip() == "KICKAI-42"
    assert reply.finish_reason is FinishReason.STOP
    assert reply.usage.input_tokens > 10
    assert 3 < reply.usage.output_tokens < 16
    assert reply.model == NAME


@pytest.mark.parametrize("mode", MODES)
def test_the_token_limit_holds(call, mode):
    """An answer that runs into its token limit has that many tokens, and says so."""
    reply = call(mode, evolve(ECHO, max_tokens=3), PATIENCE_S).reply
    assert reply.finish_reason is FinishReason.LENGTH
    assert reply.usage.output_tokens == 3


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_text_stops(call, mode):
    """The answer ends before a stop text."""
    reply = call(mode, evolve(ECHO, stop=("-",)), PATIENCE_S).reply
    assert reply.text.strip() == "KICKAI"


@pytest.mark.parametrize("mode", MODES)
def test_a_schema_constrains(call, mode):
    """An answer to a request with a JSON schema is JSON that the schema admits."""
    request = evolve(ChatRequest.of("Can Ann play?"), json_schema=SCHEMA, max_tokens=24, temperature=0.0)
    assert json.loads(call(mode, request, PATIENCE_S).reply.text) in SCHEMA["enum"]


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_repeats(call, mode):
    """The same seed brings the same answer, at any temperature."""
    request = evolve(ChatRequest.of("Name a colour."), temperature=1.5, max_tokens=6, seed=11)
    assert call(mode, request, PATIENCE_S).reply.text == call(mode, request, PATIENCE_S).reply.text


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_that_is_too_long_is_told(call, mode):
    """A prompt beyond the window is refused as such, with the window's size."""
    error = call(mode, "word " * 800, PATIENCE_S).error
    assert type(error) is ContextLengthExceededError
    assert error.limit_tokens == 512


@pytest.mark.parametrize("mode", MODES)
def test_a_model_that_is_not_there_is_told(call, mode):
    """A model that the server does not have is told with the command that gets it."""
    error = call(mode, evolve(ECHO, model="llama3.2"), PATIENCE_S).error
    assert type(error) is ModelNotFoundError
    assert "`ollama pull llama3.2`" in str(error)


def test_a_stream_comes_in_pieces(call):
    """A stream hands out more than one piece of text."""
    chunks = call("stream", ECHO, PATIENCE_S).chunks
    assert len([chunk for chunk in chunks if chunk.text]) > 1


def test_threads_and_tasks_share_the_model(call):
    """Calls from threads and tasks at once are all answered."""

    async def together():
        return await asyncio.gather(*(call.provider.ainvoke(ECHO, PATIENCE_S) for _ in range(3)))

    with ThreadPoolExecutor(3) as pool:
        replies = list(pool.map(lambda _: call.provider.invoke(ECHO, PATIENCE_S), range(3)))
    replies += asyncio.run(together())
    assert {reply.text.strip() for reply in replies} == {"KICKAI-42"}


def test_validating_online_finds_the_model(call):
    """A server that answers is asked what it has; only an instance without a model is warned."""
    assert [problem.severity for problem in plugin.kickai_validate_provider(settings=call.settings, online=True)] == [
        "note"
    ]
    (problem,) = plugin.kickai_validate_provider(settings=evolve(call.settings, model=None), online=True)
    assert f"it has {NAME}" in problem.message
