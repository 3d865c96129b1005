"""Requests leave no reference cycles: what they held is free when they end, without the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from kickai_providers_core import (
    FinishReason,
    InvalidRequestError,
    KickaiError,
    ProviderInfo,
    ProviderUnavailableError,
    Reply,
    ReplyChunk,
    Resolver,
    hookimpl,
)
from kickai_providers_core.authoring import hooks_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from kickai_providers_core import Chain, ChatRequest

ERRORS: dict[str | None, Callable[[], Exception]] = {
    "down": lambda: ProviderUnavailableError("down", may_retry=False),
    "broken": lambda: ValueError("a bug"),
    "wrong": lambda: InvalidRequestError("refused for good"),
}


def answer(request: ChatRequest) -> str:
    """Return an answer, or raise the error of the request's model."""
    build_error = ERRORS.get(request.model)
    if build_error is not None:
        raise build_error()
    return "yes"


class Faulty:
    """A provider whose models fail, each in its own way."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="faulty", summary="", holds_timeouts=True)

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        return Reply(text=answer(request), finish_reason=FinishReason.STOP)

    @hookimpl
    async def kickai_ainvoke_provider(self, request: ChatRequest) -> Reply:
        if request.model == "down":
            await asyncio.sleep(0)
        return Reply(text=answer(request), finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_stream_provider(self, request: ChatRequest) -> Iterator[ReplyChunk]:
        yield ReplyChunk(text=answer(request), finish_reason=FinishReason.STOP)

    @hookimpl
    async def kickai_astream_provider(self, request: ChatRequest) -> AsyncIterator[ReplyChunk]:
        yield ReplyChunk(text=answer(request), finish_reason=FinishReason.STOP)


class Provider:
    """The same provider as a class, for plugins with some of its methods."""

    def __init__(self, settings: object) -> None:
        self._hooks = Faulty()

    def invoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        return self._hooks.kickai_invoke_provider(request)

    async def ainvoke(self, request: ChatRequest, timeout_s: float) -> Reply:
        return await self._hooks.kickai_ainvoke_provider(request)

    def stream(self, request: ChatRequest, timeout_s: float) -> Iterator[ReplyChunk]:
        return self._hooks.kickai_stream_provider(request)

    def astream(self, request: ChatRequest, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        return self._hooks.kickai_astream_provider(request)


def make_plugin(*methods: str) -> object:
    """Return a plugin with these methods, whose sync ones run in threads."""
    return hooks_for(ProviderInfo(name="faulty", summary=""), Provider, methods=methods)


PLUGINS: dict[str, Callable[[], object]] = {
    "holds its timeouts": Faulty,
    "sync": lambda: make_plugin("invoke", "stream"),
    "async": lambda: make_plugin("ainvoke", "astream"),
}


def invoke(chain: Chain) -> None:
    """Ask for a whole answer."""
    with suppress(KickaiError):
        chain.invoke("hi")


def stream(chain: Chain) -> None:
    """Ask for a stream."""
    with suppress(KickaiError):
        list(chain.stream("hi"))


async def ainvoke(chain: Chain) -> None:
    """Ask for a whole answer on an event loop."""
    with suppress(KickaiError):
        await chain.ainvoke("hi")


async def astream(chain: Chain) -> None:
    """Ask for a stream on an event loop."""
    with suppress(KickaiError):
        async for _ in chain.astream("hi"):
            pass


WAYS: dict[str, Callable[[Chain], Coroutine[None, None, None] | None]] = {
    "invoke": invoke,
    "ainvoke": ainvoke,
    "stream": stream,
    "astream": astream,
}


def call(way: str, loop: asyncio.AbstractEventLoop, chain: Chain) -> None:
    """Call the chain in one of four ways."""
    running = WAYS[way](chain)
    if running is not None:
        loop.run_until_complete(running)


def garbage_of(act: Callable[[], None]) -> Counter[str]:
    """Return how many objects of each type three acts leave to the garbage collector."""
    gc.disable()
    gc.freeze()  # so that the collection does not look at older objects, which are many
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        for _ in range(3):
            act()
        gc.collect()
        return Counter(type(unreachable).__qualname__ for unreachable in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
        gc.unfreeze()


@pytest.mark.parametrize(
    ("way", "hedging"), [*((way, {}) for way in WAYS), ("invoke", {"after_s": 30.0}), ("ainvoke", {"after_s": 30.0})]
)
@pytest.mark.parametrize(
    "targets",
    [
        ("faulty:well",),
        ("faulty:down", "faulty:well"),
        ("faulty:broken", "faulty:well"),
        ("faulty:down", "faulty:broken"),
        ("faulty:wrong", "faulty:well"),
    ],
    ids="-".join,
)
@pytest.mark.parametrize("kind", PLUGINS)
def test_a_request_leaves_no_garbage(way: str, hedging: dict[str, float], targets: tuple[str, ...], kind: str) -> None:
    """Neither one that is answered nor one that fails, with errors of the plugin's own and with foreign ones."""
    loop = asyncio.new_event_loop()
    settings = {"breaker": {"max_errors": 1_000}, "hedging": hedging, "policy": {"backoff_initial_s": 0.001}}
    with Resolver.from_settings(settings, plugins={"faulty": PLUGINS[kind]()}, env={}) as resolver:
        chain = resolver.chain(*targets)
        call(way, loop, chain)  # imports and caches
        # A thread of the test runner may leave garbage of its own meanwhile, but not each time.
        left = min((garbage_of(lambda: call(way, loop, chain)) for _ in range(3)), key=Counter.total)
    loop.close()
    assert not left
