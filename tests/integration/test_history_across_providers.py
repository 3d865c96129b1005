"""Whatever a provider answers can be sent on to every other one as history, or is refused by that one alone."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field, frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from integration.odd_answers import PLAIN, WIRES, OddWire, expected, odd_answers, read, strict

from kickai_providers_core import (
    ChainExhaustedError,
    ChatRequest,
    KickaiSettings,
    Message,
    ProviderError,
    Reply,
    Resolver,
    Secret,
    Settings,
    Tool,
    UnsupportedRequestError,
)
from kickai_providers_core.resilience.policy import Policy, Rule
from kickai_providers_core.testing.faults import FaultServer, Ok
from kickai_providers_core.values.attempts import Outcome, SkipReason
from kickai_providers_core.values.plain_text import clean_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from integration.odd_answers import Odd

MODES = ("invoke", "ainvoke", "stream", "astream")
DISTRIBUTIONS = {
    "huggingface": "kickai_hf",
    "openai": "kickai_openai",
    "gemini-old": "kickai_gemini",
    "gemini-new": "kickai_gemini",
    "ollama": "kickai_ollama",
    "local": "kickai_local",
    "mock": "kickai_mock",
}
CLIENTS = {"gemini-old": "google-generativeai", "gemini-new": "google-genai"}
MOCK_MODELS = ("tool_call", "cut_arguments", "same_ids", "no_ids", "halves")
TOOL = Tool(name="add", parameters={"type": "object", "properties": {"x": {"type": "integer"}}})
ONE_PIECE = Ok("-", pieces=("-",))
"""What the servers do; the wire decides what is in the answer, which may have a single event."""

EXAMPLES = 20
"""For each provider."""


def absent(provider: str) -> str:
    """Return what is not installed that a provider needs; empty when nothing is."""
    module = DISTRIBUTIONS[provider]
    if importlib.util.find_spec(module) is None:
        return module.replace("_", "-")
    if provider in CLIENTS and not importlib.import_module("kickai_gemini.sdk").is_sdk_usable(CLIENTS[provider]):
        return CLIENTS[provider]
    return ""


def need(provider: str) -> None:
    """Skip the test when a provider is not installed."""
    missing = absent(provider)
    if missing:
        pytest.skip(f"{missing} is not installed")


def served_local() -> Any:
    """Return kickai-local's plugin, in front of a server that runs already."""
    path = Path(__file__).parents[2] / "plugins" / "kickai-local" / "tests" / "test_faulty_service.py"
    spec = importlib.util.spec_from_file_location("served_local", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@define
class World:
    """A resolver of all providers that are installed, and the service of each."""

    resolver: Resolver
    servers: dict[str, FaultServer]
    wires: dict[str, OddWire]
    replies: dict[str, int] = field(factory=dict)

    def ask(self, mode: str, request: ChatRequest, *targets: str) -> Reply:
        """Ask a chain in one of the four ways."""
        chain = self.resolver.chain(*targets, deadline_s=60.0)
        if mode == "invoke":
            return chain.invoke(request)
        if mode == "ainvoke":
            return asyncio.run(_ainvoke(chain, request))
        if mode == "stream":
            with chain.stream(request) as stream:
                list(stream)
                return stream.reply
        return asyncio.run(_astream(chain, request))

    def produce(self, ticket: Ticket) -> Reply | None:
        """Return a provider's reply to an odd answer; None when it is an error."""
        provider, odd = ticket.provider, ticket.odd
        tools = () if provider == "local" else (TOOL,)
        request = ChatRequest(messages=(Message(role="user", content="ping"),), tools=tools)
        wire = self.wires.get(provider)  # the mock has none: its models are odd themselves
        target = provider if wire else f"mock:{MOCK_MODELS[odd.cut % len(MOCK_MODELS)]}"
        if wire:
            wire.answer = odd
        try:
            reply = self.ask(ticket.mode, request, target)
        except (ChainExhaustedError, ProviderError):
            return None
        finally:
            if wire:
                wire.answer = PLAIN
        self.replies[provider] = self.replies.get(provider, 0) + 1
        return reply


async def _ainvoke(chain: Any, request: ChatRequest) -> Reply:
    reply: Reply = await chain.ainvoke(request)
    return reply


async def _astream(chain: Any, request: ChatRequest) -> Reply:
    async with chain.astream(request) as stream:
        async for _ in stream:
            pass
        reply: Reply = stream.reply
        return reply


def settings_of(provider: str, url: str, module: Any) -> tuple[Any, Any]:
    """Return a provider's plugin, and settings that point it at a server."""
    usual = {"retries": 0, **dict.fromkeys(("timeout_s", "connect_timeout_s", "first_token_timeout_s"), 60.0)}
    plugin = importlib.import_module(f"{DISTRIBUTIONS[provider]}.plugin").plugin
    if provider == "huggingface":
        kind = importlib.import_module("kickai_hf.settings").HuggingFaceSettings
        return plugin, kind(kind=provider, base_url=f"{url}/v1", token=Secret("t" * 20), model="m", **usual)
    if provider == "openai":
        kind = importlib.import_module("kickai_openai.settings").OpenAISettings
        return plugin, kind(kind=provider, base_url=f"{url}/v1", api_key=Secret("k" * 20), model="m", **usual)
    if provider.startswith("gemini"):
        kind = importlib.import_module("kickai_gemini.settings").GeminiSettings
        return plugin, kind(kind="gemini", base_url=url, api_key=Secret("k" * 20), client=CLIENTS[provider], **usual)
    if provider == "ollama":
        kind = importlib.import_module("kickai_ollama.settings").OllamaSettings
        return plugin, kind(kind=provider, host=url, model="m", **usual)
    if provider == "local":
        return module.served, module.ServedSettings(kind="local", url=url, key=Secret("k" * 20), **usual)
    kind = importlib.import_module("kickai_mock.settings").MockSettings
    return plugin, kind(kind=provider)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Run a service for each provider that is installed."""
    module = served_local() if not absent("local") else None
    wires = {name: make() for name, make in WIRES.items() if not absent(name)}
    lenient = Policy(invalid_reply=Rule(), unavailable=Rule(), content_filtered=Rule())
    with ExitStack() as stack:
        servers = {name: stack.enter_context(FaultServer(wire, default=ONE_PIECE)) for name, wire in wires.items()}
        plugins, instances = {}, {}
        for name in [*servers, "mock"]:
            plugin, instances[name] = settings_of(name, servers[name].url if name in servers else "", module)
            plugins[instances[name].kind] = plugin
        whole = Settings(kickai=KickaiSettings(plugins=()), providers=instances, policy=lenient)
        resolver = stack.enter_context(Resolver.from_settings(whole, env={}, plugins=plugins))
        yield World(resolver, servers, wires)


def history(replies: list[Reply], *, backwards: bool) -> list[Message]:
    """Return a conversation in which each reply was given, and each of its calls answered."""
    messages = []
    for ticket, reply in enumerate(replies):
        messages.append(Message(role="user", content=f"question {ticket}"))
        messages.append(Message(role="assistant", content=reply.text, tool_calls=reply.tool_calls))
        results = [
            Message(role="tool", content=f"result {ticket}/{place}", tool_call_id=call.id)
            for place, call in enumerate(reply.tool_calls)
        ]
        messages += reversed(results) if backwards else results
    return [*messages, Message(role="user", content="and then?")]


def value(arguments: Any) -> Any:
    """Return the value of arguments in valid Unicode, with null for what JSON cannot express."""
    if not isinstance(arguments, str):
        return arguments
    text = arguments.removeprefix("\ufeff").strip() or "{}"
    found = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    return json.loads(clean_text(json.dumps(found, ensure_ascii=False)))


def _finite(text: str) -> float | None:
    return None if float(text) in {float("inf"), float("-inf")} else float(text)


def check_body(provider: str, body: bytes, request: ChatRequest) -> None:
    """Check that a service was sent the conversation: all of it, in order, and each result with its call."""
    found, wanted = read(provider, strict(body)), expected(request)
    assert [event[:2] for event in found] == [event[:2] for event in wanted]
    for got, want in zip(found, wanted, strict=True):
        if got[0] != "call":
            assert got == want
        elif provider in {"huggingface", "openai"}:
            assert got[2] == want[2]
        else:
            assert value(got[2]) == value(want[2])


def check_target(world: World, provider: str, mode: str, request: ChatRequest) -> None:
    """Check that a provider answers a conversation, or refuses it for itself alone."""
    server = world.servers.get(provider)
    before = len(server.requests) if server else 0
    reply = world.ask(mode, request, provider, "mock:model")
    sent = [each.body for each in server.requests[before:] if each.method == "POST"] if server else []
    if reply.skipped:
        assert {skip.reason for skip in reply.skipped} == {SkipReason.INCAPABLE}
        return
    first = reply.attempts[0]
    if first.outcome is not Outcome.SUCCESS:
        assert type(first.error) is UnsupportedRequestError, first
        assert not sent
        assert reply.attempts[-1].provider == "mock"
        return
    assert reply.provider == provider
    if server:
        (body,) = sent
        check_body(provider, body, request)


@frozen(kw_only=True)
class Ticket:
    """An odd answer that a provider gets in one of the four ways."""

    provider: str
    mode: str
    odd: Odd


def tickets(providers: list[str]) -> st.SearchStrategy[Ticket]:
    """Return a strategy for the tickets of some providers."""
    return st.builds(Ticket, provider=st.sampled_from(providers), mode=st.sampled_from(MODES), odd=odd_answers())


@pytest.mark.parametrize("producer", DISTRIBUTIONS)
def test_a_conversation_survives_the_replies_in_it(world: World, producer: str) -> None:
    """Odd ids, names, arguments and texts reach each other provider whole, or it refuses them and the next answers."""
    need(producer)
    targets = [name for name in DISTRIBUTIONS if not absent(name)]

    @settings(
        derandomize=True, max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(
        first=tickets([producer]),
        more=st.lists(tickets(targets), max_size=1),
        mode=st.sampled_from(MODES),
        backwards=st.booleans(),
        offered=st.booleans(),
    )
    def run(*, first: Ticket, more: list[Ticket], mode: str, backwards: bool, offered: bool) -> None:
        made = [reply for ticket in (first, *more) if (reply := world.produce(ticket)) is not None]
        if made:
            messages = history(made, backwards=backwards)
            request = ChatRequest(messages=messages, tools=(TOOL,) if offered else ())
            for target in targets:
                check_target(world, target, mode, request)

    run()
    assert world.replies.get(producer, 0) >= EXAMPLES // 4, "hardly any odd answer of this provider was a reply"
