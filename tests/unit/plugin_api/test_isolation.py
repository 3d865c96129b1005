"""An exception of a plugin, whatever its class, affects only that plugin's targets, in every mode."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from kickai_providers_core import (
    FinishReason,
    KickaiError,
    KickaiSettings,
    Problem,
    Progress,
    ProviderError,
    ProviderInfo,
    ProviderSettings,
    Reply,
    ReplyChunk,
    Resolver,
    Settings,
    UnusableProviderError,
    hookimpl,
)
from kickai_providers_core.plugin_api.discovery import discover
from kickai_providers_core.values.events import BreakerChanged, ProviderCloseFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Panic(BaseException):
    """An exception that no ``except Exception`` catches, and that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__


class MuteError(Exception):
    """An exception that cannot be shown."""

    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class OddError(ProviderError):
    """An error that can be made in one way only, and not copied."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")

    def copy(self, *, frames: bool = True) -> Any:
        raise ValueError


RAISED: tuple[Callable[[], BaseException], ...] = (
    SystemExit,
    GeneratorExit,
    asyncio.CancelledError,
    Panic,
    MuteError,
    StopIteration,
    StopAsyncIteration,
    lambda: OddError(1, 2),
    lambda: BaseExceptionGroup("several", [SystemExit(1), Panic()]),
)
NAMES = (
    "SystemExit",
    "GeneratorExit",
    "CancelledError",
    "Panic",
    "MuteError",
    "StopIteration",
    "StopAsyncIteration",
    "OddError",
    "BaseExceptionGroup",
)
MODES = ("invoke", "ainvoke", "stream", "astream")


class Good:
    """A provider that answers in every mode."""

    def __init__(self, name: str = "good") -> None:
        self.name = name

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(name=self.name, summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        return Reply(text="good", finish_reason=FinishReason.STOP)


class Bad(Good):
    """A provider of which one hook raises; without native async hooks."""

    def __init__(self, hook: str, make: Callable[[], BaseException]) -> None:
        super().__init__("bad")
        self.hook, self.make = hook, make

    def fail(self, hook: str) -> None:
        if hook == self.hook:
            raise self.make()

    @hookimpl
    def kickai_validate_provider(self) -> list[Problem]:
        self.fail("validate")
        return []

    @hookimpl
    def kickai_provider_capabilities(self) -> None:
        self.fail("capabilities")

    @hookimpl
    def kickai_create_provider(self) -> object:
        self.fail("create")
        return self

    @hookimpl
    def kickai_prepare_provider(self) -> Iterator[Progress]:
        self.fail("prepare")
        yield Progress(status="half")
        self.fail("preparing")

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        self.fail("call")
        return Reply(text="bad", finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_close_provider(self) -> None:
        self.fail("close")


class Native(Bad):
    """The same, with hooks for all four modes: each raises when it is called, or when its result is read."""

    @hookimpl
    def kickai_ainvoke_provider(self) -> Any:
        self.fail("call")

        async def answer() -> Reply:
            await asyncio.sleep(0)
            self.fail("read")
            return Reply(text="bad", finish_reason=FinishReason.STOP)

        return answer()

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        self.fail("call")
        self.fail("read")
        return Reply(text="bad", finish_reason=FinishReason.STOP)

    @hookimpl
    def kickai_stream_provider(self) -> Iterator[ReplyChunk]:
        self.fail("call")

        def chunks() -> Iterator[ReplyChunk]:
            self.fail("read")
            yield ReplyChunk(text="bad", finish_reason=FinishReason.STOP)

        return chunks()

    @hookimpl
    def kickai_astream_provider(self) -> AsyncIterator[ReplyChunk]:
        self.fail("call")

        async def chunks() -> AsyncIterator[ReplyChunk]:
            await asyncio.sleep(0)
            self.fail("read")
            yield ReplyChunk(text="bad", finish_reason=FinishReason.STOP)

        return chunks()

    @hookimpl
    def kickai_aclose_provider(self) -> Any:
        self.fail("aclose")

        async def close() -> None:
            await asyncio.sleep(0)
            self.fail("aclosing")

        return close()


def resolver(*plugins: object, observers: Any = ()) -> Resolver:
    """Return a resolver over these plugins and a good provider."""
    given = {f"plugin {at}": plugin for at, plugin in enumerate(plugins)}
    settings = Settings(providers={"bad": ProviderSettings(retries=0)} if plugins else {})
    return Resolver(settings, discover((), given={**given, "good": Good()}), observers=observers)


def ask(made: Resolver, mode: str, *targets: str) -> Any:
    """Return the reply of a chain in one of the four modes; each on a loop of its own."""
    chain = made.chain(*(targets or ("bad", "good")))
    if mode == "invoke":
        return chain.invoke("hi")
    if mode == "ainvoke":
        return asyncio.run(chain.ainvoke("hi"))
    if mode == "stream":
        stream = chain.stream("hi")
        list(stream)
        return stream.reply

    async def read() -> Any:
        chunks = chain.astream("hi")
        async for _ in chunks:
            pass
        return chunks.reply

    return asyncio.run(read())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("make", RAISED, ids=NAMES)
@pytest.mark.parametrize(
    ("kind", "hook"),
    [
        *((Bad, hook) for hook in ("validate", "create", "call")),
        pytest.param(Bad, "read", marks=pytest.mark.slow),
        pytest.param(Native, "validate", marks=pytest.mark.slow),
        *((Native, hook) for hook in ("create", "call", "read")),
    ],
)
def test_whatever_a_hook_raises_is_one_typed_error_and_the_next_target_answers(
    mode: str, make: Callable[[], BaseException], hook: str, kind: type[Bad]
) -> None:
    """One cause, or one reason for a target that is skipped; the reply is the next target's."""
    with resolver(kind(hook, make)) as made:
        reply = ask(made, mode)
    if hook == "read" and kind is Bad:
        assert reply.text == "bad"  # it has no such hook
        return
    assert reply.text == "good"
    failed = [attempt for attempt in reply.attempts if attempt.error is not None]
    assert len(failed) + len(reply.skipped) == 1
    assert all(isinstance(attempt.error, ProviderError) for attempt in failed)


@pytest.mark.parametrize("make", RAISED, ids=NAMES)
def test_a_capabilities_hook_that_raises_is_ignored(
    make: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """The provider is called as if it had no such hook, and one warning names it."""
    with resolver(Bad("capabilities", make)) as made:
        assert ask(made, "invoke").text == "bad"
    assert caplog.text.count("kickai_provider_capabilities") == 1


@pytest.mark.parametrize("hook", ["prepare", "preparing"])
@pytest.mark.parametrize("make", RAISED, ids=NAMES)
def test_whatever_preparing_raises_is_a_typed_error(make: Callable[[], BaseException], hook: str) -> None:
    """The hook may raise at once, or half-way."""
    with resolver(Bad(hook, make)) as made, pytest.raises(ProviderError):
        list(made.chain("bad").prepare())


@pytest.mark.parametrize("make", RAISED, ids=NAMES)
@pytest.mark.parametrize(
    ("kind", "hook"), [(Bad, "close"), (Native, "close"), (Native, "aclose"), (Native, "aclosing")]
)
@pytest.mark.parametrize("way", ["close", "aclose"])
def test_whatever_closing_raises_is_an_event_and_stops_nothing(
    make: Callable[[], BaseException], kind: type[Bad], hook: str, way: str
) -> None:
    """The class is named, and the other providers are closed."""
    events: list[Any] = []
    made = resolver(kind(hook, make), observers=[events.append])
    ask(made, "invoke")
    if way == "close":
        made.close()
    else:
        asyncio.run(made.aclose())
    failed = [event for event in events if isinstance(event, ProviderCloseFailed)]
    is_used = hook == "close" if way == "close" or kind is Bad else hook != "close"
    assert len(failed) == is_used
    assert all(not name.startswith("PluginExit") for name in [str(event) for event in failed])


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
@pytest.mark.parametrize("kind", [Bad, Native])
def test_the_callers_cancellation_passes_through(mode: str, kind: type[Bad]) -> None:  # noqa: C901  hooks of two kinds
    """A plugin that hangs does not turn the caller's cancellation into an error of the provider."""

    class Hanging(kind):  # type: ignore[misc, valid-type]
        @hookimpl
        def kickai_invoke_provider(self) -> Reply:
            time.sleep(1)
            return Reply(text="late", finish_reason=FinishReason.STOP)

        if kind is Native:

            @hookimpl
            async def kickai_ainvoke_provider(self) -> Reply:
                await asyncio.sleep(60)
                return Reply(text="late", finish_reason=FinishReason.STOP)

            @hookimpl
            async def kickai_astream_provider(self) -> AsyncIterator[ReplyChunk]:
                await asyncio.sleep(60)
                yield ReplyChunk(text="late", finish_reason=FinishReason.STOP)

            @hookimpl
            def kickai_stream_provider(self) -> Iterator[ReplyChunk]:
                yield ReplyChunk(text="late", finish_reason=FinishReason.STOP)

    async def main(made: Resolver) -> str:
        chain = made.chain("bad", "good")

        async def read() -> None:
            if mode == "ainvoke":
                await chain.ainvoke("hi")
            else:
                async for _ in chain.astream("hi"):
                    pass

        task = asyncio.create_task(read())
        await asyncio.sleep(0.05)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return "cancelled"
        return "answered"

    with resolver(Hanging("nothing", SystemExit)) as made:
        assert asyncio.run(main(made)) == "cancelled"


WRAPPED = ("raises before", "raises after", "yields twice", "returns None", "does not yield")
HOOKS = {
    "invoke": "kickai_invoke_provider",
    "ainvoke": "kickai_ainvoke_provider",
    "stream": "kickai_stream_provider",
    "astream": "kickai_astream_provider",
}


def wrapper(hook: str, fault: str, make: Callable[[], BaseException], *, old: bool) -> object:
    """Return a plugin that wraps a hook and does one thing wrong."""

    def wrap() -> Any:
        if fault == "does not yield":
            return None
        if fault == "raises before":
            raise make()
        result = yield
        if fault == "raises after":
            raise make()
        if fault == "yields twice":
            yield
        if old and fault == "returns None":
            result.force_result(None)
        return None

    wrap.__name__ = hook
    mark = hookimpl(hookwrapper=True) if old else hookimpl(wrapper=True)
    return type("Wrapper", (), {hook: staticmethod(mark(wrap))})()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("fault", "make"),
    [(fault, KeyError) for fault in WRAPPED]
    + [(fault, make) for fault in WRAPPED[:2] for make in (Panic, GeneratorExit, asyncio.CancelledError)],
)
@pytest.mark.parametrize("old", [False, True])
def test_a_wrapper_that_fails_is_named_and_no_breaker_counts_it(
    mode: str, fault: str, old: bool, make: Callable[[], BaseException]
) -> None:
    """In each mode, new style and old, whatever it raises."""
    events: list[Any] = []
    native = Native("nothing", SystemExit)
    with resolver(native, wrapper(HOOKS[mode], fault, make, old=old), observers=[events.append]) as made:
        for _ in range(5):
            with pytest.raises(Exception, match="the wrapper plugin 1 of") as caught:
                ask(made, mode, "bad")
            causes = [attempt.error for attempt in caught.value.attempts]  # type: ignore[attr-defined]
            assert [type(cause) for cause in causes] == [UnusableProviderError]
    assert not [event for event in events if isinstance(event, BreakerChanged)]


@pytest.mark.parametrize("fault", WRAPPED)
@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("hook", ["kickai_validate_provider", "kickai_create_provider"])
def test_a_wrapper_of_another_hook_that_fails_is_named(hook: str, fault: str, old: bool) -> None:
    """The wrappers are those of validation and creation."""
    with resolver(Bad("nothing", SystemExit), wrapper(hook, fault, KeyError, old=old)) as made:
        reply_or_error: Any
        try:
            reply_or_error = ask(made, "invoke")
        except KickaiError as exc:
            reply_or_error = exc
        assert f"the wrapper plugin 1 of {hook}" in reply_or_error.explain()


class Later:
    """A plugin whose wrapper of an async hook fails when the result is read."""

    def __init__(self, make: Callable[[], BaseException]) -> None:
        self.make = make

    @hookimpl(wrapper=True)
    def kickai_ainvoke_provider(self) -> Any:
        awaitable = yield

        async def later() -> Any:
            await awaitable
            raise self.make()

        return later()

    @hookimpl(wrapper=True)
    def kickai_stream_provider(self) -> Any:
        chunks = yield

        def later() -> Any:
            next(chunks)
            raise self.make()
            yield

        return later()

    @hookimpl(wrapper=True)
    def kickai_astream_provider(self) -> Any:
        chunks = yield

        async def later() -> Any:
            await anext(chunks)
            raise self.make()
            yield

        return later()


@pytest.mark.parametrize("mode", ["ainvoke", "stream", "astream"])
@pytest.mark.parametrize("make", [KeyError, Panic, SystemExit, GeneratorExit, asyncio.CancelledError])
def test_a_wrapper_that_fails_while_its_result_is_read_is_named(mode: str, make: Callable[[], BaseException]) -> None:
    """What it raises from its own coroutine or generator is not the provider's."""
    with (
        resolver(Native("nothing", SystemExit), Later(make)) as made,
        pytest.raises(Exception, match="the wrapper plugin 1 of"),
    ):
        ask(made, mode, "bad")


@pytest.mark.parametrize("make", RAISED, ids=NAMES)
@pytest.mark.parametrize("wraps", [False, True])
def test_whatever_ranking_raises_leaves_the_order(
    make: Callable[[], BaseException], *, wraps: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """One warning names the plugin, however many requests follow."""

    class Ranker:
        if wraps:

            @hookimpl(wrapper=True)
            def kickai_rank_targets(self) -> Any:
                yield
                raise make()

        else:

            @hookimpl
            def kickai_rank_targets(self) -> Any:
                raise make()

    settings = Settings(kickai=KickaiSettings(primary="good", fallback=()))
    with Resolver(settings, discover((), given={"ranker": Ranker(), "good": Good()})) as made:
        for _ in range(3):
            assert made.for_role().invoke("hi").text == "good"
    assert caplog.text.count("in ranker") == 1


@define
class Unhashable:
    """An observer that cannot be hashed, and that raises."""

    make: Any

    def __call__(self, event: object) -> None:
        raise self.make()


@pytest.mark.parametrize("make", RAISED, ids=NAMES)
def test_whatever_an_observer_raises_is_reported_once(
    make: Callable[[], BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """Plugins' observers and the application's own, also one without a hash; the others are called."""

    class Watcher:
        @hookimpl
        def kickai_observe(self) -> None:
            raise make()

    seen: list[object] = []
    with resolver(Watcher(), observers=[Unhashable(make), seen.append]) as made:
        for mode in MODES:
            assert ask(made, mode, "good").text == "good"
    assert caplog.text.count("the observer Unhashable") == 1
    assert caplog.text.count("the observer plugin 0") == 1
    assert len(seen) >= 4 * 4


def test_an_async_observer_is_reported_once_and_never_run(caplog: pytest.LogCaptureFixture) -> None:
    """It leaves no coroutine that was never awaited."""

    async def watch(event: object) -> None:
        raise AssertionError(event)

    with resolver(observers=[watch]) as made:
        assert ask(made, "invoke", "good").text == "good"
    assert caplog.text.count("is an async function, which is never run") == 1


@pytest.mark.parametrize("mode", MODES)
def test_what_a_signal_handler_raises_passes_through(mode: str) -> None:
    """A signal ends the process during a call, although a plugin's own `SystemExit` would not."""

    class Signalled(Native):
        @hookimpl
        def kickai_provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="bad", summary="", holds_timeouts=True)

        def fail(self, hook: str) -> None:
            if hook == "read":
                signal.raise_signal(signal.SIGUSR1)

    def leave(*_: object) -> None:
        raise SystemExit(7)

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGUSR1, leave)
    try:
        with resolver(Signalled("nothing", SystemExit)) as made, pytest.raises(SystemExit) as caught:
            ask(made, mode)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert caught.value.code == 7


class Slow:
    """A plugin whose description hangs."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        time.sleep(5)
        raise AssertionError


def test_a_description_that_hangs_is_bounded() -> None:
    """The plugin is broken, and the next one works."""
    found = discover((), given={"slow": Slow(), "good": Good()}, timeout_s=0.1)
    assert "did not return within 0.1 s" in str(found.plugins[0].error)
    with Resolver(Settings(), found) as made:
        assert ask(made, "invoke", "good").text == "good"
