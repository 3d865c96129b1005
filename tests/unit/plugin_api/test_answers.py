"""Extensions that answer in place of a provider."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from kickai_providers_core import (
    ChainExhaustedError,
    FinishReason,
    ProviderInfo,
    RateLimitedError,
    Reply,
    ReplyChunk,
    Resolver,
    UnusableProviderError,
    hookimpl,
)
from kickai_providers_core.authoring import hooks_for
from kickai_providers_core.plugin_api.inspection import inspect_plugin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from kickai_providers_core import Chain

WAYS = ("invoke", "ainvoke", "stream", "astream")
HOOKS = {way: f"kickai_{way}_provider" for way in WAYS}
PREPARED = Reply(text="prepared", finish_reason=FinishReason.STOP, model="none")
CHUNKS = (ReplyChunk(text="pre"), ReplyChunk(text="pared", finish_reason=FinishReason.STOP))


class Service:
    """Counts the calls of a provider."""

    def __init__(self) -> None:
        self.calls = 0

    def answer(self) -> Reply:
        """Answer."""
        self.calls += 1
        return Reply(text="real", finish_reason=FinishReason.STOP)

    def chunk(self) -> ReplyChunk:
        """Answer in one chunk."""
        self.calls += 1
        return ReplyChunk(text="real", finish_reason=FinishReason.STOP)

    def make_plugin(self, ways: tuple[str, ...]) -> object:
        """Return a plugin with these modes."""
        service = self

        class Provider:
            def __init__(self, settings: object) -> None:
                pass

            def invoke(self, request: Any, timeout_s: float) -> Reply:
                return service.answer()

            async def ainvoke(self, request: Any, timeout_s: float) -> Reply:
                return service.answer()

            def stream(self, request: Any, timeout_s: float) -> Iterator[ReplyChunk]:
                yield service.chunk()

            async def astream(self, request: Any, timeout_s: float) -> AsyncIterator[ReplyChunk]:
                yield service.chunk()

        return hooks_for(ProviderInfo(name="real", summary=""), Provider, methods=ways)


PROVIDERS = {
    "sync": ("invoke", "stream"),
    "async": ("ainvoke", "astream"),
    "all": WAYS,
    "whole": ("invoke",),
    "awhole": ("ainvoke",),
}


async def _later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


async def _astream() -> AsyncIterator[ReplyChunk]:
    for chunk in CHUNKS:
        yield chunk


def _prepare(way: str) -> Any:
    if way == "invoke":
        return PREPARED
    if way == "ainvoke":
        return _later(PREPARED)
    return iter(CHUNKS) if way == "stream" else _astream()


def make_extension(answer: Callable[[str], Any], ways: tuple[str, ...] = WAYS) -> object:
    """Return an extension that answers in these modes."""

    def make(way: str) -> Callable[..., Any]:
        return hookimpl(tryfirst=True)(lambda request: answer(way))

    return SimpleNamespace(**{HOOKS[way]: make(way) for way in ways})


def ask(chain: Chain, way: str) -> Reply:
    """Return the answer in one of the four ways."""

    async def aask() -> Any:
        if way == "ainvoke":
            return await chain.ainvoke("hi")
        stream = chain.astream("hi")
        async for _ in stream:
            pass
        return stream.reply

    if way == "invoke":
        return chain.invoke("hi")
    if way in {"ainvoke", "astream"}:
        return asyncio.run(aask())
    stream = chain.stream("hi")
    for _ in stream:
        pass
    assert stream.reply is not None
    return stream.reply


def open_resolver(service: Service, kind: str, **extensions: object) -> Resolver:
    """Return a resolver with a provider of one kind, which is not retried."""
    settings = {"providers": {"real": {"retries": 0}}}
    plugins = {"real": service.make_plugin(PROVIDERS[kind]), **extensions}
    return Resolver.from_settings(settings, env={}, plugins=plugins)


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("way", WAYS)
def test_an_extension_answers_in_place_of_the_provider(way: str, kind: str) -> None:
    """In each mode, whether the provider has it or the core derives it; the reply says who answered."""
    service = Service()
    with open_resolver(service, kind, cache=make_extension(_prepare)) as resolver:
        reply = ask(resolver.chain("real"), way)
    assert (reply.text, reply.answered_by, reply.provider, service.calls) == ("prepared", "cache", "real", 0)
    assert "real answered, from the extension cache after" in reply.explain()
    assert reply.as_dict()["answered_by"] == "cache"


@pytest.mark.parametrize("kind", PROVIDERS)
@pytest.mark.parametrize("way", WAYS)
def test_none_leaves_the_request_to_the_provider(way: str, kind: str) -> None:
    """Then the reply names no extension."""
    service = Service()
    with open_resolver(service, kind, cache=make_extension(lambda _: None)) as resolver:
        reply = ask(resolver.chain("real"), way)
    assert (reply.text, reply.answered_by, service.calls) == ("real", "", 1)
    assert "extension" not in reply.explain()


def test_extensions_come_before_the_provider_whatever_its_order() -> None:
    """Also before a provider that wants to be first itself."""

    class Eager:
        @hookimpl
        def kickai_provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="real", summary="")

        @hookimpl
        def kickai_create_provider(self, settings: object) -> str:
            return "provider"

        @hookimpl(tryfirst=True)
        def kickai_invoke_provider(self) -> Reply:
            return Reply(text="real", finish_reason=FinishReason.STOP)

    plugins = {"cache": make_extension(_prepare), "real": Eager()}
    with Resolver.from_settings({}, env={}, plugins=plugins) as resolver:
        assert resolver.chain("real").invoke("hi").text == "prepared"


def test_wrappers_of_other_extensions_see_the_answer() -> None:
    """They run around it as around an answer of the provider."""
    seen: list[str] = []

    class Watching:
        @hookimpl(wrapper=True)
        def kickai_invoke_provider(self) -> Any:
            reply = yield
            seen.append(reply.text)
            return reply

    with open_resolver(Service(), "sync", cache=make_extension(_prepare), watching=Watching()) as resolver:
        reply = resolver.chain("real").invoke("hi")
    assert (seen, reply.answered_by) == (["prepared"], "cache")


def fail(way: str) -> Any:
    """Raise."""
    raise ValueError("broken")


async def _astream_number() -> AsyncIterator[Any]:
    yield 7


WRONG = {
    "invoke": lambda: 7,
    "ainvoke": lambda: _later(7),
    "stream": lambda: [7],
    "astream": _astream_number,
}


@pytest.mark.parametrize("kind", ["sync", "async", "all"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("answer", "fault"),
    [(fail, "raised ValueError"), (lambda way: 7, "returned int, not a"), (lambda way: WRONG[way](), " int, not a")],
    ids=["raises", "number", "content"],
)
def test_a_fault_of_an_extension_is_its_own(answer: Callable[[str], Any], fault: str, way: str, kind: str) -> None:
    """The error names the extension, and the provider is not blamed."""
    with (
        open_resolver(Service(), kind, odd=make_extension(answer)) as resolver,
        pytest.raises((ChainExhaustedError, UnusableProviderError)) as caught,
    ):
        ask(resolver.chain("real"), way)
    error = caught.value.exceptions[0] if isinstance(caught.value, ChainExhaustedError) else caught.value
    assert isinstance(error, UnusableProviderError)
    assert "the extension odd of kickai_" in error.message
    assert fault in error.message


@pytest.mark.parametrize(("value", "fault"), [(_astream(), ""), (7, "raised TypeError")])
def test_an_awaitable_of_an_async_iterator_is_awaited(value: Any, fault: str) -> None:
    """It may stand for the iterator, as in a provider."""

    async def ask_once() -> str:
        async with open_resolver(Service(), "async", odd=make_extension(lambda _: _later(value))) as resolver:
            return "".join([chunk.text async for chunk in resolver.chain("real").astream("hi")])

    if not fault:
        assert asyncio.run(ask_once()) == "prepared"
        return
    with pytest.raises(ChainExhaustedError) as caught:
        asyncio.run(ask_once())
    assert fault in str(caught.value)


def test_an_extension_may_refuse_a_request_on_purpose() -> None:
    """A limiter raises an error of the core, which says who raised it."""

    def refuse(way: str) -> Any:
        raise RateLimitedError("the team has used its share", retry_after_s=7.0)

    with (
        open_resolver(Service(), "all", limiter=make_extension(refuse)) as resolver,
        pytest.raises(ChainExhaustedError) as caught,
    ):
        resolver.chain("real").invoke("hi")
    (error,) = caught.value.exceptions
    assert error.message == "the team has used its share (raised by the extension limiter)"


async def _coroutine() -> None:
    pass


def _generator() -> Iterator[None]:
    yield


@pytest.mark.parametrize("function", [_coroutine, _generator, _astream])
@pytest.mark.parametrize("way", WAYS)
def test_an_extension_that_would_answer_every_request_is_broken(way: str, function: Callable[..., Any]) -> None:
    """A function that never returns None leaves nothing to the provider."""
    made = hookimpl(tryfirst=True)(function)
    found = inspect_plugin(SimpleNamespace(**{HOOKS[way]: made}), timeout_s=10.0)
    del function.kickai_impl
    assert found.fault.startswith(f"its {HOOKS[way]} is an async function or a generator, which would answer every")


@pytest.mark.parametrize("way", WAYS)
def test_answering_must_be_meant(way: str) -> None:
    """A provider that forgot to describe itself does not answer the requests of others."""
    found = inspect_plugin(SimpleNamespace(**{HOOKS[way]: hookimpl(lambda: None)}), timeout_s=10.0)
    assert found.fault == (
        f"it implements {HOOKS[way]} without kickai_provider_info: only wrappers and implementations with "
        "tryfirst=True may do that"
    )
    found = inspect_plugin(
        SimpleNamespace(kickai_create_provider=hookimpl(tryfirst=True)(lambda: None)), timeout_s=10.0
    )
    assert found.fault == "it implements kickai_create_provider without kickai_provider_info: only wrappers may do that"
