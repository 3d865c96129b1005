"""Sync calls of providers that have asynchronous hooks only: they run on an event loop in a thread."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from forks import run_in_child

from kickai_providers_core import (
    ChainExhaustedError,
    FinishReason,
    InvalidReplyError,
    ProviderInfo,
    ProviderTimeoutError,
    RateLimitedError,
    Reply,
    ReplyChunk,
    Resolver,
    hookimpl,
)
from kickai_providers_core.authoring import hooks_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

USER = ContextVar("USER", default="nobody")
WAYS = ("invoke", "ainvoke", "stream", "astream")
SYNC = ("invoke", "stream")


class Words:
    """A provider with two asynchronous methods, which records what happens to its calls.

    Attributes:
        made: The chunks that were generated.
        events: What happened to the calls.
        hangs: Whether calls wait for ever, and a stream after its first chunk.
        ends: Whether a call that was cancelled may end its clean-up.
        blocks: Blocks the event loop until it is set; None for no blocking.
    """

    info = ProviderInfo(name="words", summary="Answers with words")

    def __init__(self, settings: object = None) -> None:
        self.made = 0
        self.events: list[str] = []
        self.hangs = False
        self.ends = asyncio.Event()
        self.ends.set()
        self.blocks: threading.Event | None = None
        self.error: Exception | None = None

    async def ainvoke(self, request: Any, timeout_s: float) -> Reply:
        """Answer with the user, the process and the thread."""
        if self.error is not None:
            raise self.error
        if self.blocks is not None:
            self.blocks.wait(30)
        if self.hangs:
            await self.hang()
        text = f"{USER.get()} {os.getpid()} {threading.current_thread().name}"
        return Reply(text=text, finish_reason=FinishReason.STOP)

    async def astream(self, request: Any, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer with ten words."""
        try:
            for number in range(10):
                self.made += 1
                await asyncio.sleep(0)
                yield ReplyChunk(text=f"{USER.get()} {os.getpid()} {threading.current_thread().name} {number}\n")
                if self.hangs:
                    await self.hang()
            if self.error is not None:
                raise self.error
            yield ReplyChunk(finish_reason=FinishReason.STOP)
        finally:
            self.events.append("closed")

    async def hang(self) -> None:
        """Wait for ever; clean up for as long as `ends` says."""
        self.events.append("hangs")
        try:
            await asyncio.Event().wait()
        finally:
            self.events.append("cancelled")
            while not self.ends.is_set():
                try:
                    await asyncio.sleep(0.01)
                except asyncio.CancelledError:
                    continue


class WordsPlugin:
    """The same with the two hooks themselves, for one provider object that tests can look at."""

    def __init__(self) -> None:
        self.words = Words()

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe the provider."""
        return Words.info

    @hookimpl
    def kickai_create_provider(self, settings: object) -> Words:
        """Return the one object."""
        return self.words

    @hookimpl
    async def kickai_ainvoke_provider(self, provider: Words, request: Any, timeout_s: float) -> Reply:
        """Answer."""
        return await provider.ainvoke(request, timeout_s)

    @hookimpl
    def kickai_astream_provider(self, provider: Words, request: Any, timeout_s: float) -> AsyncIterator[ReplyChunk]:
        """Answer in chunks."""
        return provider.astream(request, timeout_s)


def find_portals() -> list[str]:
    """Return the names of the threads with an event loop for blocking callers."""
    return [thread.name for thread in threading.enumerate() if thread.name == "kickai-portal"]


def wait_until(condition: Any) -> None:
    """Wait until something is true."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends, "it did not become true within 20 s"
        time.sleep(0.005)


def open_resolver(plugin: object, **settings: Any) -> Resolver:
    """Return a resolver with one provider, which is not retried."""
    given = {"retries": 0, **settings.pop("words", {})}
    return Resolver.from_settings({"providers": {"words": given}, **settings}, env={}, plugins={"words": plugin})


@pytest.fixture
def words() -> Words:
    """Return the provider object of the plugin."""
    return Words()


@pytest.fixture
def plugin(words: Words) -> WordsPlugin:
    """Return the plugin of the object."""
    made = WordsPlugin()
    made.words = words
    return made


@pytest.fixture(autouse=True)
def _no_portal_is_left() -> Iterator[None]:
    """After each test the thread of the event loop is gone."""
    yield
    wait_until(lambda: not find_portals())


def ask(resolver: Resolver, way: str) -> str:
    """Return the first line of the answer in one of the four ways."""
    chain = resolver.chain("words")

    async def aask() -> str:
        if way == "ainvoke":
            return (await chain.ainvoke("hi")).text
        return "".join([chunk.text async for chunk in chain.astream("hi")])

    if way == "invoke":
        text = chain.invoke("hi").text
    elif way == "stream":
        text = "".join(chunk.text for chunk in chain.stream("hi"))
    else:
        text = asyncio.run(aask())
    return text.partition("\n")[0]


@pytest.mark.parametrize("make", [WordsPlugin, lambda: hooks_for(Words.info, Words)], ids=["hooks", "class"])
@pytest.mark.parametrize("way", WAYS)
def test_two_async_hooks_are_enough(way: str, make: Any) -> None:
    """All four modes work, and the caller's context reaches the coroutine."""
    token = USER.set("coach")
    try:
        with open_resolver(make()) as resolver:
            assert resolver.discovery.infos()["words"].native == {"ainvoke", "astream"}
            answers = [ask(resolver, way) for _ in range(2)]
    finally:
        USER.reset(token)
    thread = "kickai-portal" if way in SYNC else "MainThread"
    assert [answer.split()[:3] for answer in answers] == [["coach", str(os.getpid()), thread]] * 2
    assert find_portals() == []


@pytest.mark.parametrize("way", WAYS)
def test_errors_of_the_coroutine_reach_the_caller_unchanged(way: str, words: Words, plugin: WordsPlugin) -> None:
    """A delay stated by the service is there in each mode."""
    words.error = RateLimitedError("too many", retry_after_s=7.0)
    with open_resolver(plugin) as resolver, pytest.raises(Exception, match="too many") as caught:
        ask(resolver, way)
    found = caught.value.exceptions[0] if isinstance(caught.value, ChainExhaustedError) else caught.value
    assert (type(found), found.retry_after_s) == (RateLimitedError, 7.0)


@pytest.mark.parametrize("way", SYNC)
def test_a_call_that_times_out_is_cancelled_before_it_returns(way: str, words: Words, plugin: WordsPlugin) -> None:
    """Nothing of it is left when the caller gets the timeout."""
    words.hangs = True
    limits = {"timeout_s": 0.1, "idle_timeout_s": 0.1}
    with open_resolver(plugin, words=limits) as resolver:
        with pytest.raises((ChainExhaustedError, ProviderTimeoutError)) as caught:
            ask(resolver, way)
        assert words.events[:2] == ["hangs", "cancelled"]
        assert resolver.registry.find("words").adapter.abandoned.count == 0
    error = caught.value.exceptions[0] if isinstance(caught.value, ChainExhaustedError) else caught.value
    assert (type(error), error.phase) == (ProviderTimeoutError, "total" if way == "invoke" else "idle")


@pytest.mark.parametrize("way", SYNC)
def test_a_cleanup_that_goes_on_does_not_keep_the_caller(way: str, words: Words, plugin: WordsPlugin) -> None:
    """The caller leaves it behind, and it counts as abandoned until it ends."""
    words.hangs = True
    words.ends.clear()
    with open_resolver(plugin, words={"timeout_s": 0.1, "idle_timeout_s": 0.1}) as resolver:
        abandoned = resolver.registry.find("words").adapter.abandoned
        began = time.monotonic()
        with pytest.raises((ChainExhaustedError, ProviderTimeoutError)):
            ask(resolver, way)
        assert time.monotonic() - began < 5 * 0.35
        assert abandoned.count == 1
        words.ends.set()
        wait_until(lambda: abandoned.count == 0)
        words.hangs = False
        assert ask(resolver, way)


@pytest.mark.parametrize("way", SYNC)
def test_a_coroutine_that_blocks_the_loop_does_not_keep_the_caller(way: str, plugin: WordsPlugin, words: Words) -> None:
    """The deadline holds for a blocking caller although the loop does not run; later calls work again."""
    words.blocks = threading.Event()
    with open_resolver(plugin, words={"timeout_s": 0.1, "first_token_timeout_s": 0.1}) as resolver:
        abandoned = resolver.registry.find("words").adapter.abandoned

        def block() -> None:
            with pytest.raises(ChainExhaustedError):
                ask(resolver, "invoke")

        blocking = threading.Thread(target=block)
        blocking.start()
        wait_until(lambda: abandoned.count == 1)  # its caller has left
        began = time.monotonic()
        with pytest.raises(ChainExhaustedError) as caught:
            ask(resolver, way)
        assert time.monotonic() - began < 5 * 0.35
        assert isinstance(caught.value.exceptions[0], ProviderTimeoutError)
        assert abandoned.count == 2
        words.blocks.set()
        wait_until(lambda: abandoned.count == 0)
        blocking.join(10)
    with open_resolver(plugin) as resolver:
        words.blocks = None
        assert ask(resolver, way)


def test_a_stream_is_not_read_ahead(words: Words, plugin: WordsPlugin) -> None:
    """The next chunk is generated when the caller wants it."""
    with open_resolver(plugin) as resolver, resolver.chain("words").stream("hi") as stream:
        for number in range(1, 6):
            next(stream)
            time.sleep(0.02)  # the loop would have time to read on
            assert words.made == number


def test_closing_a_stream_early_closes_the_providers(words: Words, plugin: WordsPlugin) -> None:
    """Its clean-up has ended when closing returns."""
    with open_resolver(plugin) as resolver:
        stream = resolver.chain("words").stream("hi")
        next(stream)
        stream.close()
        assert words.events == ["closed"]
        assert words.made == 1


def test_a_stream_that_is_dropped_is_closed(words: Words, plugin: WordsPlugin) -> None:
    """The garbage collector is enough."""
    with open_resolver(plugin) as resolver:
        stream = resolver.chain("words").stream("hi")
        next(stream)
        del stream
        gc.collect()
        wait_until(lambda: words.events == ["closed"])


def test_closing_a_stream_whose_cleanup_goes_on_returns(words: Words, plugin: WordsPlugin) -> None:
    """The clean-up goes on behind it."""
    words.hangs = True
    words.ends.clear()
    with open_resolver(plugin) as resolver:
        stream = resolver.chain("words").stream("hi")
        next(stream)
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 5 * 0.25
        words.ends.set()
        wait_until(lambda: "closed" in words.events)


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_without_an_end_is_an_error_in_each_mode(way: str) -> None:
    """What is validated does not depend on the mode."""

    class Cut(Words):
        async def astream(self, request: Any, timeout_s: float) -> AsyncIterator[ReplyChunk]:
            yield ReplyChunk(text="half")

        async def ainvoke(self, request: Any, timeout_s: float) -> Any:
            return "half"

    with open_resolver(hooks_for(Words.info, Cut)) as resolver, pytest.raises((InvalidReplyError, ChainExhaustedError)):
        ask(resolver, way)


@pytest.mark.parametrize("way", SYNC)
def test_only_ainvoke_is_enough_too(way: str) -> None:
    """A stream then is one chunk."""

    class Whole:
        def __init__(self, settings: object) -> None:
            pass

        async def ainvoke(self, request: Any, timeout_s: float) -> Reply:
            return Reply(text="whole", finish_reason=FinishReason.STOP)

    with open_resolver(hooks_for(Words.info, Whole)) as resolver:
        assert ask(resolver, way) == "whole"
        assert len(list(resolver.chain("words").stream("hi"))) == 1


def test_a_sync_stream_comes_from_the_async_one_rather_than_from_a_whole_answer(words: Words) -> None:
    """A provider with ``invoke`` and ``astream`` streams in both modes."""

    class Mixed(Words):
        def invoke(self, request: Any, timeout_s: float) -> Reply:
            return Reply(text="whole", finish_reason=FinishReason.STOP)

    with open_resolver(hooks_for(Words.info, Mixed)) as resolver:
        assert resolver.chain("words").invoke("hi").text == "whole"
        assert len(list(resolver.chain("words").stream("hi"))) == 11


def test_a_slow_sync_call_that_is_hedged_away_is_cancelled() -> None:
    """The first call hangs, the second one answers, and nothing is left."""

    class Racing(Words):
        calls: ClassVar[list[Words]] = []

        async def ainvoke(self, request: Any, timeout_s: float) -> Reply:
            if request.model == "slow":
                Racing.calls.append(self)
                await self.hang()
            return Reply(text="quick", finish_reason=FinishReason.STOP)

    hedging = {"hedging": {"after_s": 0.05, "budget": 1.0}}
    with open_resolver(hooks_for(Words.info, Racing), **hedging) as resolver:
        assert resolver.chain("words:slow", "words:quick").invoke("hi").text == "quick"
        (slow,) = Racing.calls
        wait_until(lambda: slow.events == ["hangs", "cancelled"])


def test_threads_share_one_event_loop(plugin: WordsPlugin) -> None:
    """Twenty threads get their answers from one loop."""
    with open_resolver(plugin) as resolver:
        answers: list[str] = []
        callers = [threading.Thread(target=lambda: answers.append(ask(resolver, "invoke"))) for _ in range(20)]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join(20)
        assert len(answers) == 20
        assert find_portals() == ["kickai-portal"]


def test_a_blocking_call_on_the_loop_itself_is_answered(plugin: WordsPlugin) -> None:
    """Progress of a batch is reported on the loop, and may use the chain."""
    answers: list[str] = []
    with open_resolver(plugin) as resolver:
        resolver.chain("words").batch(
            ["hi"], on_progress=lambda _: answers.extend((ask(resolver, "invoke"), ask(resolver, "stream")))
        )
    assert len(answers) == 2


@pytest.mark.parametrize("way", SYNC)
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_an_event_loop_of_its_own(way: str, plugin: WordsPlugin) -> None:
    """Parent and child are both answered after the fork, also while a stream of the parent is open."""
    with open_resolver(plugin) as resolver:
        ask(resolver, way)
        stream = resolver.chain("words").stream("hi")
        first = next(stream).text

        def in_child() -> list[str]:
            answer = ask(resolver, way)
            stream.close()
            resolver.close()
            return [answer, *find_portals()]

        answer, *threads = run_in_child(in_child)
        assert answer.split()[1] != str(os.getpid())
        assert threads == []
        assert first.split()[1] == ask(resolver, way).split()[1] == str(os.getpid())
        assert len(list(stream)) == 10


class Closing(Words):
    """Records the thread in which it was closed."""

    closed: ClassVar[list[str]] = []

    async def aclose(self) -> None:
        """Record the thread."""
        Closing.closed.append(threading.current_thread().name)


@pytest.mark.parametrize("way", WAYS)
def test_a_provider_with_aclose_only_is_closed_by_a_sync_close(way: str) -> None:
    """On the loop that served its calls, or on one of its own."""
    Closing.closed.clear()
    with open_resolver(hooks_for(Words.info, Closing)) as resolver:
        ask(resolver, way)
    assert Closing.closed == ["kickai-portal"]
    with open_resolver(hooks_for(Words.info, Closing)):
        pass
    assert Closing.closed == ["kickai-portal"], "a provider that was never created was closed"
