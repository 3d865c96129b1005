"""Each HTTP plugin, in all four modes, against another project's reading of its service's protocol."""

from __future__ import annotations

import asyncio
import json
import os
from importlib import import_module
from importlib.util import find_spec

import pytest
from attrs import evolve

from kickai_providers_core import ChainExhaustedError, ChatRequest, FinishReason, Message, ProviderError, Resolver, Tool
from kickai_providers_core.values import errors

MODES = ("invoke", "ainvoke", "stream", "astream")
KEY = "key-of-the-test"
USUAL = {"model": "m", "retries": 0, "timeout_s": 20.0, "first_token_timeout_s": 20.0}
PROVIDERS = {
    "openai": ("kickai_openai", lambda url: {"kind": "openai", "base_url": url, "api_key": KEY}),
    "openrouter": (
        "kickai_openai",
        lambda url: {"kind": "openai", "preset": "openrouter", "base_url": f"{url}/api/v1", "api_key": KEY},
    ),
    "groq": (
        "kickai_openai",
        lambda url: {"kind": "openai", "preset": "groq", "base_url": f"{url}/openai/v1", "api_key": KEY},
    ),
    "hf": ("kickai_hf", lambda url: {"kind": "huggingface", "base_url": url, "token": KEY}),
    "gemini-new": (
        "kickai_gemini",
        lambda url: {"kind": "gemini", "base_url": url, "api_key": KEY, "client": "google-genai"},
    ),
    "gemini-old": (
        "kickai_gemini",
        lambda url: {"kind": "gemini", "base_url": url, "api_key": KEY, "client": "google-generativeai"},
    ),
    "ollama": ("kickai_ollama", lambda url: {"kind": "ollama", "host": url}),
}
TOOL = Tool(
    name="find_players",
    description="Finds the players of a day.",
    parameters={"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
)
SCHEMA = {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]}
HELLO = "Hello, Ann! ⚽ Grüße from the goalkeeper, who is ready to play on Saturday."


def params(*names):
    """Return the parameter of each provider; skipped where its plugin is not installed, which fails on CI."""
    chosen = names or tuple(PROVIDERS)
    missing = {name for name in chosen if find_spec(PROVIDERS[name][0]) is None}
    assert not (missing and os.environ.get("CI")), missing
    skip = pytest.mark.skip(reason="its plugin is not installed")
    return [pytest.param(name, marks=[skip] if name in missing else []) for name in chosen]


every_provider = pytest.mark.parametrize("provider", params())
every_mode = pytest.mark.parametrize("mode", MODES)


async def _aask(chain, mode, request):
    if mode == "ainvoke":
        return await chain.ainvoke(request)
    async with chain.astream(request) as stream:
        async for _ in stream:
            pass
        return stream.reply


def ask(url, provider, mode, request):
    """Return the reply of a provider whose service is at an address."""
    table = {**USUAL, **PROVIDERS[provider][1](url)}
    with Resolver.from_settings({"providers": {"tested": table}}, env={}) as resolver:
        chain = resolver.chain("tested", deadline_s=60)
        if mode == "invoke":
            return chain.invoke(request)
        if mode == "stream":
            with chain.stream(request) as stream:
                list(stream)
                return stream.reply
        return asyncio.run(_aask(chain, mode, request))


def fail(url, provider, mode, request):
    """Return the error of a provider whose service is at an address."""
    with pytest.raises((ChainExhaustedError, ProviderError)) as caught:
        ask(url, provider, mode, request)
    found = caught.value
    (error,) = found.exceptions if isinstance(found, ChainExhaustedError) else (found,)
    return error


@every_provider
@every_mode
def test_text(mode, provider, aimock):
    """The text arrives unchanged, with its finish reason."""
    request = evolve(ChatRequest.of("say hello"), temperature=0.0, max_tokens=100, seed=1, stop=("###",), top_p=0.5)
    reply = ask(aimock, provider, mode, request)
    assert (reply.text, reply.finish_reason) == (HELLO, FinishReason.STOP)


@every_provider
@every_mode
def test_tools(mode, provider, aimock):
    """A call arrives with its arguments, and the conversation goes on with its result."""
    question = Message(role="user", content="who can play on Saturday?")
    request = ChatRequest(messages=(question,), tools=(TOOL,))
    reply = ask(aimock, provider, mode, request)
    (call,) = reply.tool_calls
    assert reply.finish_reason is FinishReason.TOOL_CALL
    assert (call.name, json.loads(call.arguments)) == ("find_players", {"day": "Saturday", "shirts": [1, 7]})
    assert call.id
    answered = Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls)
    result = Message(role="tool", content='["Ann", "Bo"]', tool_call_id=call.id)
    reply = ask(aimock, provider, mode, evolve(request, messages=(question, answered, result)))
    assert reply.text == "Ann and Bo can play."


@every_provider
@every_mode
def test_a_schema(mode, provider, aimock):
    """An answer that keeps to it is accepted."""
    reply = ask(aimock, provider, mode, evolve(ChatRequest.of("as json"), json_schema=SCHEMA))
    assert json.loads(reply.text) == {"day": "Saturday"}


@every_provider
@every_mode
def test_reasoning(mode, provider, aimock):
    """It is never a part of the answer."""
    reply = ask(aimock, provider, mode, ChatRequest.of("think first"))
    assert reply.text == "Saturday."
    assert reply.reasoning in {"", "Friday is over, so it is Saturday."}


@pytest.mark.parametrize("provider", params("openai", "openrouter", "groq", "hf"))
@every_mode
def test_the_token_limit(mode, provider, aimock):
    """An answer that reached it says so."""
    reply = ask(aimock, provider, mode, ChatRequest.of("be long"))
    assert (reply.text, reply.finish_reason) == ("It was a long", FinishReason.LENGTH)


@pytest.mark.parametrize("provider", params("openai", "openrouter", "groq", "hf"))
@every_mode
def test_a_filtered_answer(mode, provider, aimock):
    """It is an error."""
    assert type(fail(aimock, provider, mode, ChatRequest.of("be safe"))) is errors.ContentFilteredError


ERRORS = {
    "limit me": errors.RateLimitedError,
    "be too long": errors.ContextLengthExceededError,
    "no credit": errors.QuotaExhaustedError,
    "wrong key": errors.AuthenticationError,
    "break down": errors.ProviderUnavailableError,
}


@every_provider
@every_mode
@pytest.mark.parametrize("prompt", ERRORS)
def test_errors(prompt, mode, provider, aimock):
    """Each has its class. The longest delay counts: in the headers it is that of the tokens, not ``retry-after``."""
    error = fail(aimock, provider, mode, ChatRequest.of(prompt))
    # Google says "you exceeded your current quota" for limits per minute, too.
    is_minute = prompt == "no credit" and provider.startswith("gemini")
    assert type(error) is (errors.RateLimitedError if is_minute else ERRORS[prompt]), error
    if prompt == "limit me":
        assert error.retry_after_s == 360.0


FAULTS = {
    "drop": errors.ProviderUnavailableError,
    "malformed": errors.InvalidReplyError,
    "disconnect": errors.ProviderUnavailableError,
    "ratelimit": errors.RateLimitedError,
}


@every_provider
@every_mode
@pytest.mark.parametrize("fault", FAULTS)
def test_faults(fault, mode, provider, broken):
    """A failed request, half a JSON text, a closed connection and a rate limit have their classes."""
    error = fail(broken(fault), provider, mode, ChatRequest.of("say hello"))
    assert type(error) is FAULTS[fault], error


@pytest.mark.parametrize("provider", params("openai", "hf"))
def test_the_list_of_models(provider, aimock):
    """The online check reads it, and finds that the fake lists other models."""
    table = {**USUAL, **PROVIDERS[provider][1](aimock)}
    with Resolver.from_settings({"providers": {"tested": table}}, env={}) as resolver:
        settings = resolver.registry.find("tested").settings
    plugin = import_module(f"{PROVIDERS[provider][0]}.plugin").plugin
    problems = plugin.kickai_validate_provider(settings=settings, online=True)
    assert [(problem.path, problem.severity) for problem in problems] == [("model", "warning")]
