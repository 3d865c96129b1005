"""Keyword arguments of a call: what they override, what is refused, and the rollout key."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from kickai_providers_core import (
    ArgumentTypeError,
    ArgumentValueError,
    Capability,
    ChatRequest,
    FinishReason,
    Message,
    ProviderInfo,
    Reply,
    Resolver,
    Tool,
    hookimpl,
    use_key,
)
from kickai_providers_core.values.call_options import ALL_KEYWORDS, CallOptions
from kickai_providers_core.values.prompt_masking import Masked
from kickai_providers_core.values.rollout_key import get_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Chain

MODES = ("invoke", "call", "ainvoke", "stream", "astream")
FIELDS: dict[str, Any] = {
    "model": "large",
    "temperature": 0.25,
    "max_tokens": 17,
    "top_p": 0.5,
    "stop": ("END",),
    "seed": 7,
    "tools": (Tool(name="look"),),
    "tool_choice": "none",
    "json_schema": {"type": "object"},
}


class Recorder:
    """A provider that keeps its requests and can do everything."""

    def __init__(self) -> None:
        self.requests: list[ChatRequest] = []
        self.times: list[float] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="recorder", summary="", capabilities=frozenset(Capability))

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest, timeout_s: float) -> Reply:
        self.requests.append(request)
        self.times.append(timeout_s)
        return Reply(text="{}", finish_reason=FinishReason.STOP)


@pytest.fixture
def recorder() -> Recorder:
    """The provider."""
    return Recorder()


@pytest.fixture
def chain(recorder: Recorder) -> Iterator[Chain]:
    """A chain of the provider alone, with a temperature and a token limit of its own."""
    with Resolver.from_settings({}, plugins={"recorder": recorder}, env={}) as resolver:
        yield resolver.chain("recorder", temperature=0.9, max_tokens=99, deadline_s=20)


def ask(chain: Chain, prompt: Any, how: str, **keywords: Any) -> Reply:
    """Return the reply of one way of calling."""
    if how == "invoke":
        return chain.invoke(prompt, **keywords)
    if how == "call":
        return chain(prompt, **keywords)
    if how == "ainvoke":
        return asyncio.run(chain.ainvoke(prompt, **keywords))
    if how == "stream":
        stream = chain.stream(prompt, **keywords)
        list(stream)
        assert stream.reply is not None
        return stream.reply

    async def read() -> Reply:
        stream = chain.astream(prompt, **keywords)
        async for _ in stream:
            pass
        assert stream.reply is not None
        return stream.reply

    return asyncio.run(read())


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize("name", FIELDS)
def test_each_keyword_sets_the_field_of_its_name(chain: Chain, recorder: Recorder, how: str, name: str) -> None:
    """One keyword changes one field of the request, in every way of calling."""
    given = {name: FIELDS[name]} | ({"tools": FIELDS["tools"]} if name == "tool_choice" else {})
    ask(chain, "hi", how, **given)
    usual = {"temperature": 0.9, "max_tokens": 99}
    expected = ChatRequest(messages=(Message(role="user", content="hi"),), **(usual | given))
    assert recorder.requests == [expected]


def test_a_keyword_outranks_a_request(chain: Chain, recorder: Recorder) -> None:
    """A request's own fields are used where no keyword says otherwise, and None says nothing."""
    own = ChatRequest(messages=(Message(role="user", content="hi"),), temperature=0.1, seed=3)
    chain.invoke(own, temperature=0.2, seed=None, stop="END")
    (sent,) = recorder.requests
    assert (sent.temperature, sent.seed, sent.stop, sent.max_tokens) == (0.2, 3, ("END",), 99)


def test_the_deadline_is_of_this_call(chain: Chain) -> None:
    """``deadline_s`` replaces the chain's deadline once."""
    assert chain.invoke("hi", deadline_s=5).deadline_s == 5
    assert chain.invoke("hi", deadline_s=None).deadline_s == 20


@pytest.mark.parametrize("how", MODES)
@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"temprature": 0.1}, ArgumentTypeError, "unknown keyword argument 'temprature' (did you mean 'temperature'?)"),
        ({"zzz": None}, ArgumentTypeError, f"unknown keyword argument 'zzz' (known are {', '.join(ALL_KEYWORDS)})"),
        ({"temperature": -1}, ArgumentValueError, "temperature must be at least 0, got -1"),
        ({"max_tokens": "9"}, ArgumentTypeError, "max_tokens must be an integer of at least 1, or None, got '9' (str)"),
        ({"tool_choice": "look"}, ArgumentValueError, "tool_choice must be 'auto', 'none', 'required' or the name"),
        ({"deadline_s": 0}, ArgumentValueError, "deadline_s must be greater than 0, got 0"),
        ({"key": ""}, ArgumentValueError, "key must be a string that is not empty, got ''"),
        ({"key": 4711}, ArgumentTypeError, "key must be a string, got int"),
    ],
)
def test_a_bad_keyword_is_refused_before_anything_is_sent(
    recorder: Recorder, how: str, given: Any, error: type[Exception], message: str
) -> None:
    """The error names the keyword, and the nearest one when it is unknown."""
    with (
        Resolver.from_settings({}, plugins={"recorder": recorder}, env={}) as resolver,
        pytest.raises(error) as raised,
    ):
        ask(resolver.chain("recorder"), "hi", how, **given)
    assert str(raised.value).startswith(message)
    assert recorder.requests == []


def key_of(**keywords: Any) -> str | None:
    """Return the key that a call with these keywords has in the current context."""
    return CallOptions.from_keywords(Masked(keywords) if keywords else None).rollout_key


def test_the_key_is_the_calls_or_the_contexts() -> None:
    """A call's own key comes before that of the innermost ``with`` block."""
    assert key_of() is None
    with use_key("team-1"):
        assert key_of() == key_of(seed=1) == "team-1"
        assert key_of(key="user-1") == "user-1"
        with use_key("team-2"):
            assert key_of() == "team-2"
        with use_key(None):
            assert key_of() is None
        assert key_of() == "team-1"
    assert get_key() is None


class KeepsTheOrder:
    """A router that remembers the keys and chooses no route."""

    def __init__(self) -> None:
        self.keys: list[str | None] = []

    def choose(self, key: str | None) -> None:
        """Remember the key."""
        self.keys.append(key)


def test_a_router_gets_the_key_of_the_request(chain: Chain) -> None:
    """A key of the call itself precedes that of the context."""
    router = KeepsTheOrder()
    starter = evolve(chain._starter, router=router)
    starter.start(Masked("hi"), CallOptions.from_keywords(None))
    with use_key("team-1"):
        for keywords in (None, Masked({"key": "user-1"})):
            starter.start(Masked("hi"), CallOptions.from_keywords(keywords))
    assert router.keys == [None, "team-1", "user-1"]


def test_a_failed_block_restores_the_key() -> None:
    """The key ends with its block, however that ends."""
    with pytest.raises(KeyError), use_key("team-1"):
        raise KeyError
    assert get_key() is None


@pytest.mark.parametrize("key", ["", 5, b"user"])
def test_a_malformed_key_of_a_context_is_refused(key: Any) -> None:
    """``use_key`` takes text that is not empty, and does not quote what it refuses."""
    with pytest.raises((ArgumentTypeError, ArgumentValueError)) as raised, use_key(key):
        pytest.fail("the block was entered")
    assert "user" not in str(raised.value)


async def test_each_task_has_its_own_key() -> None:
    """Tasks that run at the same time do not see each other's keys."""
    both = asyncio.Barrier(2)

    async def run(key: str) -> str | None:
        with use_key(key):
            await both.wait()
            return key_of()

    assert await asyncio.gather(run("a"), run("b")) == ["a", "b"]
    with use_key("c"):
        assert await asyncio.to_thread(key_of) == "c"


def test_a_thread_has_the_key_of_the_context_it_was_given() -> None:
    """A bare thread has no key; one that runs in a copied context has the creator's."""
    found: list[str | None] = []
    with use_key("a"):
        context = contextvars.copy_context()
        threads = [
            threading.Thread(target=lambda: found.append(key_of())),
            threading.Thread(target=lambda: context.run(lambda: found.append(key_of()))),
        ]
        for thread in threads:
            thread.start()
            thread.join()
    assert found == [None, "a"]


def test_a_repr_shows_neither_key_nor_values() -> None:
    """The options can appear in a traceback's local variables."""
    options = CallOptions.from_keywords(Masked({"key": "user-1", "stop": "secret", "deadline_s": 3}))
    assert repr(options) == "CallOptions(fields=<stop>, deadline_s=3, response_type=None)"


@pytest.mark.parametrize("how", MODES)
def test_the_key_reaches_neither_events_nor_replies(recorder: Recorder, how: str) -> None:
    """Nothing that a call reports has the key."""
    events: list[Any] = []
    with Resolver.from_settings({}, plugins={"recorder": recorder}, env={}, observers=[events.append]) as resolver:
        reply = ask(resolver.chain("recorder"), "hi", how, key="user-4711")
    assert events
    assert "4711" not in repr((events, [event.as_dict() for event in events], reply, reply.as_dict(), reply.explain()))
    assert "4711" not in repr(recorder.requests)
