"""The adapter: it fills in missing hooks, and checks what a plugin returns or raises."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from kickai_providers_core import (
    ChatRequest,
    ContentFilteredError,
    FinishReason,
    InvalidReplyError,
    ModelNotFoundError,
    Problem,
    Progress,
    ProviderInfo,
    ProviderSettings,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Reply,
    ReplyChunk,
    Usage,
    hookimpl,
)
from kickai_providers_core.plugin_api.adapter import Adapter
from kickai_providers_core.plugin_api.discovery import discover

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

REQUEST = ChatRequest.of("hi")
PONG = Reply(text="pong", finish_reason=FinishReason.STOP, usage=Usage(input_tokens=1, output_tokens=1))
SETTINGS = ProviderSettings(first_token_timeout_s=0.2, idle_timeout_s=0.2)


class Minimal:
    """A provider that implements only the mandatory hooks; its answer is passed in."""

    def __init__(self, answer: Callable[[], Any] = lambda: PONG, *, holds_timeouts: bool = False) -> None:
        self.answer = answer
        self.holds_timeouts = holds_timeouts
        self.threads: list[str] = []

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name="minimal", summary="", holds_timeouts=self.holds_timeouts)

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Any:
        self.threads.append(threading.current_thread().name)
        return self.answer()


class Streaming(Minimal):
    """A provider that streams the chunks that are passed in."""

    def __init__(self, chunks: Callable[[], Iterator[Any]], *, holds_timeouts: bool = False) -> None:
        super().__init__(holds_timeouts=holds_timeouts)
        self.chunks = chunks

    @hookimpl
    def kickai_stream_provider(self) -> Iterator[Any]:
        return self.chunks()


def adapter(plugin: Minimal, *wrappers: object) -> Adapter:
    """Return the adapter of a plugin as the resolver would make it."""
    found = discover((), given={"minimal": plugin})
    info = found.infos()["minimal"]
    return Adapter(plugin, info, {f"wrapper {at}": each for at, each in enumerate(wrappers)})


def raises(error: BaseException) -> Callable[[], Any]:
    """Return a function that raises."""

    def fail() -> Any:
        raise error

    return fail


async def texts(chunks: AsyncIterator[ReplyChunk]) -> list[str]:
    """Return the texts of an async stream."""
    return [chunk.text async for chunk in chunks]


def test_a_provider_that_does_not_hold_timeouts_is_called_in_a_thread() -> None:
    """The calling thread can return when the time is over."""
    plugin = Minimal()
    assert adapter(plugin).invoke(plugin, REQUEST, 1.0) is PONG
    assert plugin.threads == ["kickai-call"]


def test_a_provider_that_holds_timeouts_is_called_directly() -> None:
    """A provider that can be trusted is called on the caller's thread."""
    plugin = Minimal(holds_timeouts=True)
    assert adapter(plugin).invoke(plugin, REQUEST, 1.0) is PONG
    assert plugin.threads == [threading.current_thread().name]


def test_a_call_that_hangs_is_abandoned_when_its_time_is_over() -> None:
    """The caller gets a timeout, though the provider's thread has not returned."""
    release = threading.Event()
    plugin = Minimal(lambda: release.wait(60) and PONG)
    began = time.monotonic()
    with pytest.raises(ProviderTimeoutError):
        adapter(plugin).invoke(plugin, REQUEST, 0.1)
    assert time.monotonic() - began < 30
    release.set()


def test_an_async_call_without_a_native_hook_runs_in_a_thread() -> None:
    """The event loop is not blocked, and the time is held."""
    release = threading.Event()
    plugin = Minimal(lambda: release.wait(60) and PONG, holds_timeouts=True)

    async def main() -> None:
        with pytest.raises(ProviderTimeoutError):
            await adapter(plugin).ainvoke(plugin, REQUEST, 0.1)

    asyncio.run(main())
    release.set()
    assert plugin.threads == ["kickai-call"]


WRONG = {
    "none": (lambda: None, InvalidReplyError, "the provider returned NoneType, not a Reply"),
    "text": (lambda: "pong", InvalidReplyError, "the provider returned str, not a Reply"),
    "empty": (lambda: evolve(PONG, text=""), InvalidReplyError, "the answer is empty"),
    "broken off": (
        lambda: evolve(PONG, finish_reason=FinishReason.ERROR),
        InvalidReplyError,
        "the model stopped with an error",
    ),
    "withheld": (
        lambda: evolve(PONG, finish_reason=FinishReason.CONTENT_FILTER),
        ContentFilteredError,
        "withheld the answer",
    ),
    "an error of its own": (raises(KeyError("choices")), ProviderUnavailableError, "an unexpected error: KeyError"),
    "a builtin timeout": (raises(TimeoutError()), ProviderTimeoutError, "no answer in time"),
    "a typed error": (raises(ModelNotFoundError("gone")), ModelNotFoundError, "gone"),
}


@pytest.mark.parametrize(("answer", "error", "sentence"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("holds_timeouts", [True, False])
def test_an_invalid_answer_is_a_typed_error(
    answer: Callable[[], Any], error: type[Exception], sentence: str, *, holds_timeouts: bool
) -> None:
    """In every mode, directly and in a thread, the same fault is the same error, with its cause attached."""
    plugin = Minimal(answer, holds_timeouts=holds_timeouts)
    whole = adapter(plugin)

    async def ainvoke() -> None:
        await whole.ainvoke(plugin, REQUEST, 1.0)

    async def astream() -> None:
        await texts(whole.astream(plugin, REQUEST, 1.0, SETTINGS))

    ways = {
        "invoke": lambda: whole.invoke(plugin, REQUEST, 1.0),
        "ainvoke": lambda: asyncio.run(ainvoke()),
        "stream": lambda: list(whole.stream(plugin, REQUEST, 1.0, SETTINGS)),
        "astream": lambda: asyncio.run(astream()),
    }
    for way in ways.values():
        with pytest.raises(error, match=sentence) as raised:
            way()
        if "an unexpected" in sentence:
            assert isinstance(raised.value.__cause__, KeyError)


@pytest.mark.parametrize("holds_timeouts", [True, False])
def test_a_whole_answer_streams_as_one_chunk(*, holds_timeouts: bool) -> None:
    """A provider that cannot stream gives its answer in one chunk, sync and async."""
    plugin = Minimal(holds_timeouts=holds_timeouts)
    chunks = list(adapter(plugin).stream(plugin, REQUEST, 1.0, SETTINGS))
    assert [(chunk.text, chunk.finish_reason, chunk.usage) for chunk in chunks] == [
        ("pong", FinishReason.STOP, PONG.usage)
    ]
    assert asyncio.run(texts(adapter(plugin).astream(plugin, REQUEST, 1.0, SETTINGS))) == ["pong"]


@pytest.mark.parametrize("holds_timeouts", [True, False])
def test_a_sync_stream_can_be_read_asynchronously(*, holds_timeouts: bool) -> None:
    """Without a native async stream, the sync one is read in a thread."""

    def chunks() -> Iterator[ReplyChunk]:
        yield ReplyChunk(text="po")
        yield ReplyChunk(text="ng", finish_reason=FinishReason.STOP)

    plugin = Streaming(chunks, holds_timeouts=holds_timeouts)
    assert [chunk.text for chunk in adapter(plugin).stream(plugin, REQUEST, 1.0, SETTINGS)] == ["po", "ng"]
    assert asyncio.run(texts(adapter(plugin).astream(plugin, REQUEST, 1.0, SETTINGS))) == ["po", "ng"]


STREAM_FAULTS = {
    "not a chunk": (lambda: iter(["po"]), InvalidReplyError, "yielded str, not a ReplyChunk"),
    "an error of its own": (raises(KeyError("delta")), ProviderUnavailableError, "an unexpected error: KeyError"),
    "a typed error": (raises(ModelNotFoundError("gone")), ModelNotFoundError, "gone"),
}


@pytest.mark.parametrize(("chunks", "error", "sentence"), STREAM_FAULTS.values(), ids=STREAM_FAULTS)
@pytest.mark.parametrize("holds_timeouts", [True, False])
def test_an_invalid_stream_is_a_typed_error(
    chunks: Callable[[], Any], error: type[Exception], sentence: str, *, holds_timeouts: bool
) -> None:
    """The same rules apply to streams and to whole answers."""
    plugin = Streaming(chunks, holds_timeouts=holds_timeouts)
    with pytest.raises(error, match=sentence):
        list(adapter(plugin).stream(plugin, REQUEST, 1.0, SETTINGS))
    with pytest.raises(error, match=sentence):
        asyncio.run(texts(adapter(plugin).astream(plugin, REQUEST, 1.0, SETTINGS)))


PATIENCE = {
    "first_token": (0, 5.0, "no first token in time"),
    "idle": (1, 5.0, "the stream stalled"),
    "total": (1, 0.1, "no answer in time"),
}


def test_a_stream_that_is_slow_to_open_times_out() -> None:
    """Promise 7: an ``async def`` that returns its iterator has the time of the first token for it."""

    class Slow(Streaming):
        @hookimpl
        async def kickai_astream_provider(self) -> AsyncIterator[ReplyChunk]:
            await asyncio.sleep(10)
            raise AssertionError

    plugin = Slow(lambda: iter(()))
    for timeout_s, sentence in ((5.0, "no first token in time"), (0.1, "no answer in time")):
        with pytest.raises(ProviderTimeoutError, match=sentence):
            asyncio.run(texts(adapter(plugin).astream(plugin, REQUEST, timeout_s, SETTINGS)))


@pytest.mark.parametrize(("before", "timeout_s", "sentence"), PATIENCE.values(), ids=PATIENCE)
def test_a_silent_stream_times_out(before: int, timeout_s: float, sentence: str) -> None:
    """Promise 7: first token, idle time and the whole each have their own bound, sync and async."""
    release = threading.Event()

    def chunks() -> Iterator[ReplyChunk]:
        for _ in range(before):
            yield ReplyChunk(text="po")
        release.wait(60)
        yield ReplyChunk(text="ng", finish_reason=FinishReason.STOP)

    plugin = Streaming(chunks)
    with pytest.raises(ProviderTimeoutError, match=sentence):
        list(adapter(plugin).stream(plugin, REQUEST, timeout_s, SETTINGS))
    with pytest.raises(ProviderTimeoutError, match=sentence):
        asyncio.run(texts(adapter(plugin).astream(plugin, REQUEST, timeout_s, SETTINGS)))
    release.set()


@pytest.mark.parametrize("holds_timeouts", [True, False])
def test_an_abandoned_stream_is_closed(*, holds_timeouts: bool) -> None:
    """Leaving a stream half-way closes the provider's stream."""
    closed = threading.Event()

    def chunks() -> Iterator[ReplyChunk]:
        try:
            while True:
                yield ReplyChunk(text="po")
                time.sleep(0.001)
        finally:
            closed.set()

    plugin = Streaming(chunks, holds_timeouts=holds_timeouts)
    stream = adapter(plugin).stream(plugin, REQUEST, 5.0, SETTINGS)
    next(stream)
    stream.close()
    assert closed.wait(5)
    closed.clear()

    async def main() -> None:
        stream = adapter(plugin).astream(plugin, REQUEST, 5.0, SETTINGS)
        await anext(stream)
        await stream.aclose()

    asyncio.run(main())
    assert closed.wait(5)


class Native(Minimal):
    """A provider with every hook of its own."""

    def __init__(self) -> None:
        super().__init__(holds_timeouts=True)
        self.closed: list[str] = []

    @hookimpl
    async def kickai_ainvoke_provider(self) -> Reply:
        return evolve(PONG, text="async pong")

    @hookimpl
    async def kickai_astream_provider(self) -> AsyncIterator[ReplyChunk]:
        yield ReplyChunk(text="async ")
        yield ReplyChunk(text="stream", finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_close_provider(self) -> None:
        self.closed.append("sync")

    @hookimpl
    async def kickai_aclose_provider(self) -> None:
        self.closed.append("async")


def test_native_hooks_are_preferred() -> None:
    """What a plugin implements itself is what is called."""
    plugin = Native()
    whole = adapter(plugin)
    assert asyncio.run(whole.ainvoke(plugin, REQUEST, 1.0)).text == "async pong"
    assert asyncio.run(texts(whole.astream(plugin, REQUEST, 1.0, SETTINGS))) == ["async ", "stream"]
    whole.close(plugin)
    asyncio.run(whole.aclose(plugin))
    assert plugin.closed == ["sync", "async"]
    assert plugin.threads == []


def test_closing_asynchronously_falls_back_to_the_sync_hook() -> None:
    """A plugin without ``aclose`` is closed in a thread, and one without any hook needs no closing."""

    class Closing(Minimal):
        closed: str = ""

        @hookimpl
        def kickai_close_provider(self) -> None:
            self.closed = threading.current_thread().name

    plugin = Closing()
    asyncio.run(adapter(plugin).aclose(plugin))
    assert plugin.closed == "kickai-call"
    bare = Minimal()
    assert asyncio.run(adapter(bare).aclose(bare)) is None


def test_an_implementation_gets_the_arguments_that_it_names() -> None:
    """All of them, some, in another order, or none: by their names, as from pluggy, with a wrapper round it or not."""

    class Everything:
        @hookimpl
        def kickai_invoke_provider(self, timeout_s: float, request: ChatRequest, provider: object) -> Reply:
            return said(provider, request.messages[0].content, timeout_s)

    class Something:
        @hookimpl
        def kickai_invoke_provider(self, timeout_s: float, provider: object) -> Reply:
            return said(provider, timeout_s)

    class Nothing:
        @hookimpl
        def kickai_invoke_provider(self) -> Reply:
            return said("nothing")

    class ByPosition:
        @hookimpl
        def kickai_invoke_provider(self, provider: object, request: ChatRequest, timeout_s: float, /) -> Reply:
            return said(provider, timeout_s)

    class Wrapper:
        @hookimpl(wrapper=True)
        def kickai_invoke_provider(self) -> Iterator[None]:
            return (yield)

    def said(*words: object) -> Reply:
        return Reply(text=" ".join(map(str, words)), finish_reason=FinishReason.STOP)

    for plugin, text in (
        (Everything(), "p hi 2.0"),
        (Something(), "p 2.0"),
        (ByPosition(), "p 2.0"),
        (Nothing(), "nothing"),
    ):
        for wrappers in ({}, {"wrapper": Wrapper()}):
            info = ProviderInfo(name="x", summary="", holds_timeouts=True)
            assert Adapter(plugin, info, wrappers).invoke("p", REQUEST, 2.0).text == text


def test_wrappers_wrap_every_way_of_calling() -> None:
    """A wrapper sees the reply of a sync call, the awaitable of an async one, and the iterators of streams."""
    seen: list[str] = []

    class Wrapper:
        @hookimpl(wrapper=True)
        def kickai_invoke_provider(self, request: ChatRequest) -> Any:
            seen.append(f"invoke {request.messages[0].content}")
            return evolve((yield), text="wrapped")

        @hookimpl(wrapper=True)
        def kickai_ainvoke_provider(self) -> Any:
            awaitable = yield

            async def measured() -> Reply:
                reply = await awaitable
                seen.append("ainvoke")
                return evolve(reply, text="wrapped")

            return measured()

        @hookimpl(wrapper=True)
        def kickai_stream_provider(self) -> Any:
            return (evolve(chunk, text=chunk.text.upper()) for chunk in (yield))

    plugin = Native()
    whole = adapter(plugin, Wrapper())
    assert whole.invoke(plugin, REQUEST, 1.0).text == "wrapped"
    assert asyncio.run(whole.ainvoke(plugin, REQUEST, 1.0)).text == "wrapped"
    assert seen == ["invoke hi", "ainvoke"]
    streaming = Streaming(lambda: iter([ReplyChunk(text="pong", finish_reason=FinishReason.STOP)]))
    chunks = adapter(streaming, Wrapper()).stream(streaming, REQUEST, 1.0, SETTINGS)
    assert [chunk.text for chunk in chunks] == ["PONG"]


def test_validation_returns_all_problems_and_never_raises() -> None:
    """No hook means no problem; an exception and an invalid result are one problem each."""

    class Validating(Minimal):
        found: Callable[[], Any] = staticmethod(lambda: [Problem(path="key", message="missing")])

        @hookimpl
        def kickai_validate_provider(self) -> Any:
            return self.found()

    plugin = Validating()
    assert adapter(Minimal()).validate(SETTINGS) == ()
    assert [str(problem) for problem in adapter(plugin).validate(SETTINGS)] == ["key: missing"]
    plugin.found = raises(OSError("disk"))
    assert "its validation raised OSError" in str(adapter(plugin).validate(SETTINGS)[0])
    plugin.found = lambda: ["no key"]
    assert "values that are not Problems" in str(adapter(plugin).validate(SETTINGS)[0])


def test_a_provider_that_cannot_be_created_is_a_typed_error() -> None:
    """An exception and a missing provider become errors of the provider."""

    class Uncreatable(Minimal):
        made: Callable[[], Any] = staticmethod(lambda: None)

        @hookimpl
        def kickai_create_provider(self) -> Any:
            return self.made()

    plugin = Uncreatable()
    with pytest.raises(ProviderUnavailableError, match="kickai_create_provider returned None"):
        adapter(plugin).create(SETTINGS)
    plugin.made = raises(ValueError("bad"))
    with pytest.raises(ProviderUnavailableError, match="could not be created: ValueError"):
        adapter(plugin).create(SETTINGS)


def test_preparing_reports_progress_and_needs_no_hook() -> None:
    """A plugin that prepares something reports its progress; its faults are typed errors."""

    class Preparing(Minimal):
        steps: Callable[[], Any] = staticmethod(lambda: iter([Progress(status="pulling", completed=1, total=4)]))

        @hookimpl
        def kickai_prepare_provider(self, model: str | None) -> Any:
            assert model == "m"
            return self.steps()

    plugin = Preparing()
    assert [str(step) for step in adapter(plugin).prepare(SETTINGS, "m")] == ["25%"]
    assert list(adapter(Minimal()).prepare(SETTINGS, None)) == []
    plugin.steps = raises(ModelNotFoundError("nowhere"))
    with pytest.raises(ModelNotFoundError):
        list(adapter(plugin).prepare(SETTINGS, "m"))
    plugin.steps = raises(KeyError("layers"))
    with pytest.raises(ProviderUnavailableError, match="could not be prepared: KeyError"):
        list(adapter(plugin).prepare(SETTINGS, "m"))
