"""Plugin calls that do not stop when cancelled, and the bounds of a stream's phases, in all four modes."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define

from kickai_providers_core import (
    FinishReason,
    ProviderInfo,
    ProviderSettings,
    ProviderTimeoutError,
    ProviderUnavailableError,
    Reply,
    ReplyChunk,
    Resolver,
    SkipReason,
    hookimpl,
)
from kickai_providers_core.concurrency.abandoned_calls import AbandonedCalls
from kickai_providers_core.plugin_api.adapter import Adapter
from kickai_providers_core.plugin_api.cancellation import CallRunner
from kickai_providers_core.plugin_api.mode_calls import MAX_AHEAD
from kickai_providers_core.values.requests import ChatRequest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

REQUEST = ChatRequest.of("hi")
YES = Reply(text="yes", finish_reason=FinishReason.STOP)
END = ReplyChunk(finish_reason=FinishReason.STOP)


@define
class Clock:
    """A clock that a test advances."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def _as_hook(function: Any) -> Any:
    return staticmethod(hookimpl(lambda: function()))  # noqa: PLW0108  a bound method cannot be marked


def make_adapter(*, holds_timeouts: bool = False, clock: Any = time.monotonic, **hooks: Any) -> Adapter:
    """Return the adapter of a plugin with these hooks."""
    plugin = type("Made", (), {f"kickai_{name}_provider": _as_hook(hook) for name, hook in hooks.items()})
    native = frozenset(hooks) & {"invoke", "ainvoke", "stream", "astream"}
    info = ProviderInfo(name="made", summary="", holds_timeouts=holds_timeouts, native=native)
    return Adapter(plugin(), info, clock=clock)


class Stubborn:
    """A coroutine that goes on working when it is cancelled, until it may end."""

    def __init__(self) -> None:
        self.may_end = False
        self.cancelled = 0

    async def work(self) -> None:
        while not self.may_end:
            try:
                await asyncio.sleep(0.01)
            except asyncio.CancelledError:
                self.cancelled += 1

    async def ainvoke(self) -> Reply:
        await self.work()
        return YES

    async def astream(self) -> AsyncIterator[ReplyChunk]:
        await self.work()
        yield END


async def until(condition: Any) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  nobody there knows of this loop
            await asyncio.sleep(0.005)


async def call(adapter: Adapter, mode: str) -> object:
    """Make a call in a mode that has a tenth of a second to answer."""
    settings = ProviderSettings(first_token_timeout_s=0.1)
    match mode:
        case "invoke":
            return await asyncio.to_thread(adapter.invoke, None, REQUEST, 0.1)
        case "ainvoke":
            return await adapter.ainvoke(None, REQUEST, 0.1)
        case "stream":
            return await asyncio.to_thread(list, adapter.stream(None, REQUEST, 30.0, settings))
    return [chunk async for chunk in adapter.astream(None, REQUEST, 30.0, settings)]


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_an_async_call_that_cannot_be_cancelled_is_abandoned(mode: str) -> None:
    """Promise 3: its caller continues after a short wait, and the call counts as abandoned until it ends."""
    stubborn = Stubborn()
    adapter = make_adapter(invoke=lambda: YES, **{mode: getattr(stubborn, mode)})
    began = time.monotonic()
    with pytest.raises(ProviderTimeoutError):
        await call(adapter, mode)
    assert time.monotonic() - began < 5.0
    assert (stubborn.cancelled, adapter.abandoned.count) == (1, 1)
    stubborn.may_end = True
    await until(lambda: adapter.abandoned.count == 0)


@pytest.mark.parametrize("mode", ["ainvoke", "astream"])
async def test_cancelling_a_request_does_not_wait_for_a_stubborn_call(mode: str) -> None:
    """The caller's cancellation is obeyed in a moment."""
    stubborn = Stubborn()
    adapter = make_adapter(invoke=lambda: YES, **{mode: getattr(stubborn, mode)})

    async def ask() -> None:
        if mode == "ainvoke":
            await adapter.ainvoke(None, REQUEST, 30.0)
        else:
            async for _ in adapter.astream(None, REQUEST, 30.0, ProviderSettings()):
                pass

    task = asyncio.create_task(ask())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert adapter.abandoned.count == 1
    stubborn.may_end = True
    await until(lambda: adapter.abandoned.count == 0)


async def test_a_call_that_cleans_up_quickly_is_waited_for() -> None:
    """It is not abandoned, and its resources are free when its caller continues."""
    freed = []

    async def ainvoke() -> Reply:
        try:
            await asyncio.sleep(30)
        finally:
            await asyncio.sleep(0.01)
            freed.append(True)
        return YES

    adapter = make_adapter(invoke=lambda: YES, ainvoke=ainvoke)
    with pytest.raises(ProviderTimeoutError):
        await adapter.ainvoke(None, REQUEST, 0.05)
    assert (freed, adapter.abandoned.count) == ([True], 0)


async def test_a_call_that_cancels_itself_is_a_failure_of_the_plugin() -> None:
    """The caller is not cancelled."""

    async def ainvoke() -> Reply:
        raise asyncio.CancelledError

    with pytest.raises(ProviderUnavailableError, match="CancelledError"):
        await make_adapter(invoke=lambda: YES, ainvoke=ainvoke).ainvoke(None, REQUEST, 5.0)


async def test_a_blocking_call_that_raises_a_cancellation_is_a_failure_of_the_plugin() -> None:
    """The same for a plugin that is called in a thread."""

    def invoke() -> Reply:
        raise asyncio.CancelledError

    with pytest.raises(ProviderUnavailableError, match="CancelledError"):
        await make_adapter(invoke=invoke).ainvoke(None, REQUEST, 5.0)


@pytest.mark.parametrize("begun", [True, False])
async def test_a_call_whose_task_is_cancelled_from_outside_ends_with_an_error(*, begun: bool) -> None:
    """When all other tasks of the loop are cancelled, the caller gets an error and does not hang."""

    async def ainvoke() -> Reply:
        await asyncio.sleep(30)
        return YES

    caller = asyncio.create_task(make_adapter(invoke=lambda: YES, ainvoke=ainvoke).ainvoke(None, REQUEST, 0.5))
    for _ in range(2 if begun else 1):
        await asyncio.sleep(0)
    (own,) = asyncio.all_tasks() - {caller, asyncio.current_task()}
    own.cancel()
    with pytest.raises((ProviderTimeoutError, ProviderUnavailableError)):
        await asyncio.wait_for(caller, 10)


@pytest.mark.parametrize("suspends", [True, False])
@pytest.mark.parametrize("factory", [True, False])
async def test_a_call_runs_in_one_task_of_its_own_from_its_first_step_on(*, suspends: bool, factory: bool) -> None:
    """So that limits of time and groups of tasks that a vendor's client opens there meet the task that they stop."""
    tasks: list[Any] = []

    async def ainvoke() -> Reply:
        tasks.append(asyncio.current_task())
        if suspends:
            await asyncio.sleep(0)
            tasks.append(asyncio.current_task())
        return YES

    if factory:
        asyncio.get_running_loop().set_task_factory(lambda loop, coro, **more: asyncio.Task(coro, loop=loop, **more))
    await make_adapter(invoke=lambda: YES, ainvoke=ainvoke).ainvoke(None, REQUEST, 5.0)
    assert len(set(tasks)) == 1
    assert asyncio.current_task() not in tasks


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_a_thread_that_does_not_return_counts_as_abandoned(mode: str) -> None:
    """From when its caller leaves until its call returns."""
    may_end = threading.Event()

    def invoke() -> Reply:
        may_end.wait(30)
        return YES

    def stream() -> Iterator[ReplyChunk]:
        may_end.wait(30)
        yield END

    adapter = make_adapter(invoke=invoke, stream=stream)
    with pytest.raises(ProviderTimeoutError):
        await call(adapter, mode)
    assert adapter.abandoned.count == 1
    may_end.set()
    await until(lambda: adapter.abandoned.count == 0)


async def test_a_plugin_with_too_many_abandoned_calls_is_not_called() -> None:
    """All its instances are skipped with that reason, until enough of its calls have come back."""
    may_end = threading.Event()

    class Hanging:
        @hookimpl
        def kickai_provider_info(self) -> ProviderInfo:
            return ProviderInfo(name="hanging", summary="")

        @hookimpl
        def kickai_create_provider(self) -> object:
            return self

        @hookimpl
        def kickai_invoke_provider(self) -> Reply:
            may_end.wait(30)
            return YES

    settings = {
        "providers": {"hanging": {"timeout_s": 0.5, "retries": 0}, "other": {"kind": "hanging"}},
        "breaker": {"max_errors": 100},
    }
    with Resolver.from_settings(settings, plugins={"hanging": Hanging()}, env={}) as resolver:
        chain = resolver.chain("hanging")
        for _ in range(8):
            with pytest.raises(ProviderTimeoutError):
                raise (await failure(chain)).exceptions[0]
        for name in ("hanging", "other"):
            skip = (await failure(resolver.chain(name))).skipped[0]
            assert skip.reason is SkipReason.RESTING
            assert skip.detail == "8 abandoned calls of its plugin are still running"
        may_end.set()
        seam_ = resolver.registry.find("other").adapter
        await until(lambda: not seam_.abandoned.count)
        assert (await resolver.chain("other").ainvoke("hi")).text == "yes"


async def failure(chain: Any) -> Any:
    """Return what a request fails with."""
    try:
        await chain.ainvoke("hi")
    except Exception as exc:  # noqa: BLE001  the test looks at it
        return exc
    raise AssertionError


async def test_an_async_stream_that_never_suspends_is_stopped_and_lets_others_run() -> None:
    """Promise 3: the deadline is checked after each chunk, and other tasks run at least every 32 chunks."""
    tickets = 0

    async def astream() -> AsyncIterator[ReplyChunk]:
        while True:
            yield ReplyChunk(text="x")

    async def count() -> None:
        nonlocal tickets
        while True:
            tickets += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(count())
    chunks = 0
    began = time.monotonic()

    async def read_all() -> None:
        nonlocal chunks
        async for _ in make_adapter(invoke=lambda: YES, astream=astream).astream(
            None, REQUEST, 0.2, ProviderSettings()
        ):
            chunks += 1

    with pytest.raises(ProviderTimeoutError) as caught:
        await read_all()
    assert caught.value.phase == "total"
    assert time.monotonic() - began < 10.0
    assert tickets >= chunks // MAX_AHEAD
    other.cancel()


async def test_chunks_that_arrive_together_are_passed_on_together() -> None:
    """The plugin's stream is read ahead as far as chunks are there, and at most 32; the event loop need not turn."""
    read = 0

    async def astream() -> AsyncIterator[ReplyChunk]:
        nonlocal read
        while True:
            read += 1
            yield ReplyChunk(text="x")

    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    chunks = make_adapter(invoke=lambda: YES, astream=astream).astream(None, REQUEST, 60.0, ProviderSettings())
    await anext(chunks)
    assert read == MAX_AHEAD
    other = asyncio.create_task(count())
    for _ in range(MAX_AHEAD - 1):
        await anext(chunks)
    assert turns == 0
    await anext(chunks)
    assert turns > 0
    assert read <= 2 * MAX_AHEAD
    other.cancel()
    await chunks.aclose()


async def test_chunks_before_an_error_are_passed_on() -> None:
    """An error that is read ahead waits for the chunks before it."""

    async def astream() -> AsyncIterator[ReplyChunk]:
        for word in ("a", "b", "c"):
            yield ReplyChunk(text=word)
        raise ProviderUnavailableError("the connection was cut")

    chunks = make_adapter(invoke=lambda: YES, astream=astream).astream(None, REQUEST, 60.0, ProviderSettings())
    texts: list[str] = []

    async def read_all() -> None:
        async for chunk in chunks:
            await asyncio.sleep(0)
            texts.append(chunk.text)

    with pytest.raises(ProviderUnavailableError, match="was cut"):
        await read_all()
    assert texts == ["a", "b", "c"]


async def test_a_later_wait_may_be_shorter() -> None:
    """One timer serves all waits of a stream; it ends early enough for each."""
    ends = iter((60.0, 0.05))
    iterator = CallRunner(AbandonedCalls()).iterate(open_one_and_wait, lambda: next(ends), int, max_ahead=3)
    assert await anext(iterator) == 1
    with pytest.raises(TimeoutError):
        await anext(iterator)


async def test_a_later_wait_may_be_longer() -> None:
    """The timer of an earlier wait does not end it."""
    ends = iter((0.1, 60.0))
    iterator = CallRunner(AbandonedCalls()).iterate(open_one_and_wait, lambda: next(ends), int, max_ahead=3)
    assert await anext(iterator) == 1
    step = asyncio.ensure_future(anext(iterator))
    done, _ = await asyncio.wait((step,), timeout=0.3)  # three times as long as the first wait may take
    assert not done
    step.cancel()
    await asyncio.wait((step,))


async def open_one_and_wait() -> AsyncIterator[int]:
    """Return an iterator of one item that never ends."""

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    return items()


def read(
    adapter: Adapter, mode: str, settings: ProviderSettings, timeout_s: float, between: Any = lambda: None
) -> list[str]:
    """Return the texts of a stream, doing something after each chunk."""
    texts: list[str] = []
    if mode == "astream":

        async def main() -> None:
            async for chunk in adapter.astream(None, REQUEST, timeout_s, settings):
                texts.append(chunk.text)
                between()

        asyncio.run(main())
        return texts
    for chunk in adapter.stream(None, REQUEST, timeout_s, settings):
        texts.append(chunk.text)
        between()
    return texts


def kinds(clock: Clock, waits_s: list[float]) -> dict[str, Adapter]:
    """Return adapters of a stream whose chunks come after these times, by mode."""

    def stream() -> Iterator[ReplyChunk]:
        for wait_s in waits_s:
            clock.now += wait_s
            yield ReplyChunk(text="x")
        yield END

    async def astream() -> AsyncIterator[ReplyChunk]:
        for chunk in stream():
            yield chunk

    return {
        "direct": make_adapter(invoke=lambda: YES, stream=stream, holds_timeouts=True, clock=clock),
        "async": make_adapter(invoke=lambda: YES, astream=astream, clock=clock),
    }


BOUNDS = ProviderSettings(timeout_s=1.0, first_token_timeout_s=50.0, idle_timeout_s=7.0)


@pytest.mark.parametrize(("kind", "mode"), [("direct", "stream"), ("async", "astream")])
@pytest.mark.parametrize(
    ("waits_s", "phase"),
    [([49.0, 1.0], ""), ([51.0], "first_token"), ([1.0] * 99, ""), ([1.0] * 101, "total"), ([49.0, 6.0, 6.0], "")],
)
def test_each_phase_of_a_stream_has_its_own_bound(kind: str, mode: str, waits_s: list[float], phase: str) -> None:
    """Promise 7: the first chunk has its own, the deadline bounds the whole; the time for whole answers does not."""
    adapter = kinds(Clock(), waits_s)[kind]
    if not phase:
        assert "".join(read(adapter, mode, BOUNDS, 100.0)) == "x" * len(waits_s)
        return
    with pytest.raises(ProviderTimeoutError) as caught:
        read(adapter, mode, BOUNDS, 100.0)
    assert caught.value.phase == phase


@pytest.mark.parametrize("mode", ["stream", "astream"])
@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("silent_after", "first_s", "idle_s", "phase"), [(0, 0.1, 30.0, "first_token"), (1, 30.0, 0.1, "idle")]
)
def test_silence_is_bounded_by_its_own_phase(
    mode: str, silent_after: int, first_s: float, idle_s: float, phase: str, *, native: bool
) -> None:
    """This holds on the event loop and in a thread, and the two bounds are independent."""
    may_end = threading.Event()

    def stream() -> Iterator[ReplyChunk]:
        yield from [ReplyChunk(text="x")] * silent_after
        may_end.wait(30)
        yield END

    async def astream() -> AsyncIterator[ReplyChunk]:
        for _ in range(silent_after):
            yield ReplyChunk(text="x")
        await asyncio.sleep(30)
        yield END

    hooks = {"astream": astream} if native and mode == "astream" else {"stream": stream}
    settings = ProviderSettings(timeout_s=0.01, first_token_timeout_s=first_s, idle_timeout_s=idle_s)
    try:
        with pytest.raises(ProviderTimeoutError) as caught:
            read(make_adapter(invoke=lambda: YES, **hooks), mode, settings, 20.0)
    finally:
        may_end.set()
    assert caught.value.phase == phase


@pytest.mark.parametrize(("kind", "mode"), [("direct", "stream"), ("async", "astream")])
def test_the_time_that_a_reader_takes_is_not_idleness(kind: str, mode: str) -> None:
    """Only the deadline counts it."""
    clock = Clock()

    def rest() -> None:
        clock.now += 20.0

    adapter = kinds(clock, [1.0, 1.0])[kind]
    assert read(adapter, mode, BOUNDS, 100.0, rest) == ["x", "x", ""]
    with pytest.raises(ProviderTimeoutError) as caught:
        read(adapter, mode, BOUNDS, 30.0, rest)
    assert caught.value.phase == "total"


@pytest.mark.parametrize("mode", ["stream", "astream"])
def test_a_whole_answer_handed_out_as_a_stream_is_bounded_as_a_whole_answer(mode: str) -> None:
    """A plugin that cannot stream has the time of any whole answer."""
    may_end = threading.Event()
    settings = ProviderSettings(timeout_s=0.1, first_token_timeout_s=30.0)
    try:
        with pytest.raises(ProviderTimeoutError) as caught:
            read(make_adapter(invoke=lambda: may_end.wait(30) and YES), mode, settings, 30.0)
    finally:
        may_end.set()
    assert caught.value.phase == "total"
