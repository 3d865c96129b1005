"""A real model, called through a chain in all modes. It is small, so the quality of its answers is not tested."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
from attrs import evolve
from kickai_providers_core import (
    AuthenticationError,
    ChainExhaustedError,
    ChatRequest,
    ContextLengthExceededError,
    DeadlineExceededError,
    FinishReason,
    ProviderTimeoutError,
    Resolver,
)

pytestmark = pytest.mark.slow  # the tests of kickai-local call the same model in every run

MODES = ("invoke", "ainvoke", "stream", "astream")
ECHO = "Repeat exactly: KICKAI-42"
LONG = evolve(ChatRequest.of("Tell a story about a goalkeeper."), max_tokens=24)
SCHEMA = {
    "type": "object",
    "properties": {"can_play": {"enum": ["yes", "no"]}, "goals": {"type": "integer"}},
    "required": ["can_play", "goals"],
    "additionalProperties": False,
}


@pytest.fixture
def chain(llama):
    """Return a function that makes chains with the real model as their only target."""
    made = []

    def make(*, token=None, retries=0, **terms):
        instance = {"kind": "huggingface", "base_url": llama.url, "token": token or llama.key, "retries": retries}
        settings = {"kickai": {"deadline_s": 120}, "providers": {"llama": {**instance, "timeout_s": 120}}}
        resolver = Resolver.from_settings(settings, env={})
        made.append(resolver)
        return resolver.chain("llama", **{"temperature": 0.0, "max_tokens": 16, **terms})

    yield make
    for resolver in made:
        resolver.close()


def ask(chain, mode, prompt):
    """Return the text, the finish reason and the tokens."""
    if mode == "invoke":
        reply = chain.invoke(prompt)
    elif mode == "ainvoke":
        reply = asyncio.run(_ainvoke(chain, prompt))
    else:
        chunks = list(chain.stream(prompt)) if mode == "stream" else asyncio.run(_astream(chain, prompt))
        usage = next(chunk.usage for chunk in reversed(chunks) if chunk.usage)
        return "".join(chunk.text for chunk in chunks), chunks[-1].finish_reason, usage
    return reply.text, reply.finish_reason, reply.usage


async def _ainvoke(chain, prompt):
    return await chain.ainvoke(prompt)


async def _astream(chain, prompt):
    return [chunk async for chunk in chain.astream(prompt)]


@pytest.mark.parametrize("mode", MODES)
def test_the_model_answers(mode, chain):
    """The model repeats a text, stops by itself, and its tokens are counted."""
    text, reason, usage = ask(chain(), mode, ECHO)
    assert "KICKAI-42" in text
    assert reason is FinishReason.STOP
    assert 10 < usage.input_tokens < 100
    assert 0 < usage.output_tokens < 17


def test_all_modes_agree(chain):
    """Without sampling, all modes return the same answer."""
    assert len({ask(chain(), mode, LONG)[0] for mode in MODES}) == 1


@pytest.mark.parametrize("mode", MODES)
def test_the_token_limit_holds(mode, chain):
    """An answer that reaches its limit has that many tokens, and its finish reason says so."""
    _, reason, usage = ask(chain(), mode, evolve(LONG, max_tokens=5))
    assert (reason, usage.output_tokens) == (FinishReason.LENGTH, 5)


@pytest.mark.parametrize("mode", MODES)
def test_a_stop_text_ends_the_answer(mode, chain):
    """The answer ends before the stop text."""
    whole, _, _ = ask(chain(), mode, LONG)
    word = whole.split()[3]
    text, reason, _ = ask(chain(), mode, evolve(LONG, stop=(word,)))
    assert text == whole[: whole.index(word)]
    assert reason is FinishReason.STOP


@pytest.mark.parametrize("mode", MODES)
def test_a_seed_repeats_an_answer(mode, chain):
    """At a high temperature, equal seeds give equal answers, and different seeds different ones."""
    warm = chain(temperature=1.2)
    # The first answer reads the prompt; the others find it read, which rounds a little differently.
    _, first, again, other = (ask(warm, mode, evolve(LONG, seed=seed))[0] for seed in (1, 1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_keeps_to_the_schema(mode, chain):
    """Even a small model keeps to it."""
    text, reason, _ = ask(chain(max_tokens=40), mode, evolve(ChatRequest.of("Can Ann play?"), json_schema=SCHEMA))
    answer = json.loads(text)
    assert answer["can_play"] in {"yes", "no"}
    assert isinstance(answer["goals"], int)
    assert reason is FinishReason.STOP


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_may_be_too_long(mode, chain):
    """The error is raised after one request."""
    with pytest.raises(ContextLengthExceededError) as caught:
        ask(chain(retries=2), mode, "goal " * 2000)
    assert caught.value.limit_tokens == 512
    assert len(caught.value.attempts) == 1
    assert ask(chain(), mode, ECHO)[0]


@pytest.mark.parametrize("mode", MODES)
def test_a_wrong_key_is_an_error(mode, chain, llama):
    """The error contains neither key."""
    with pytest.raises((ChainExhaustedError, AuthenticationError)) as caught:
        ask(chain(token="wrong-key"), mode, ECHO)
    error = caught.value.exceptions[0] if isinstance(caught.value, ChainExhaustedError) else caught.value
    assert isinstance(error, AuthenticationError)
    assert error.status_code == 401
    assert "wrong-key" not in str(error)
    assert llama.key.reveal() not in str(error)


@pytest.mark.parametrize("mode", MODES)
def test_an_attempt_ends_in_time(mode, chain, llama):
    """A slow model is abandoned, and the next request is answered. A stream is limited by its deadline."""
    deadline_s = 0.5 if mode in {"stream", "astream"} else 60
    settings = {"kind": "huggingface", "base_url": llama.url, "token": llama.key, "retries": 0, "timeout_s": 0.5}
    with Resolver.from_settings({"providers": {"llama": settings}}, env={}) as resolver:
        hasty = resolver.chain("llama", deadline_s=deadline_s, temperature=0.0)
        began = time.perf_counter()
        with pytest.raises((ChainExhaustedError, DeadlineExceededError, ProviderTimeoutError)):
            ask(hasty, mode, evolve(LONG, max_tokens=400))
        assert time.perf_counter() - began < 5.0
    assert ask(chain(), mode, ECHO)[0]


def test_concurrent_requests_are_answered(chain):
    """Several tasks of one loop share the server."""
    llama = chain(max_tokens=8)

    async def several():
        return await asyncio.gather(*(llama.ainvoke(f"{ECHO}{number}") for number in range(4)))

    replies = asyncio.run(several())
    assert all(reply.text and reply.usage for reply in replies)


def test_the_reply_names_provider_and_model(chain):
    """The model has the name that the server gives it."""
    reply = chain().invoke(ECHO)
    assert reply.model
    assert (reply.provider, reply.fell_back, len(reply.attempts)) == ("llama", False, 1)
