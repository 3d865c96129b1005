"""Chains and their resolver, end to end over scripted providers, in all four ways of calling."""

from __future__ import annotations

import asyncio
import gc
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from kickai_providers_core import (
    AuthenticationError,
    BreakerSettings,
    Capability,
    Chain,
    ChainExhaustedError,
    ChatRequest,
    Clockwork,
    FinishReason,
    InvalidReplyError,
    KickaiSettings,
    Message,
    ModelInfo,
    Problem,
    Progress,
    ProviderError,
    ProviderInfo,
    ProviderSettings,
    ProviderUnavailableError,
    QuotaExhaustedError,
    RateLimitedError,
    RejectedRequestError,
    Reply,
    ReplyChunk,
    Resolver,
    Role,
    Settings,
    SkipReason,
    Target,
    UnknownProviderError,
    Usage,
    hookimpl,
)
from kickai_providers_core.values.breaker_state import BreakerState
from kickai_providers_core.values.events import AttemptEnded, ProviderCloseFailed, RequestEnded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Scripted:
    """A provider whose models each answer by a function of the request; a stream says the answer word by word."""

    def __init__(self, name: str = "scripted", **answers: Callable[[ChatRequest], Any]) -> None:
        self.name = name
        self.answers = answers
        self.requests: list[ChatRequest] = []
        self.created = self.closed = 0
        self.open_streams = 0
        self.problems: tuple[Problem, ...] = ()

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        return ProviderInfo(
            name=self.name,
            summary="",
            aliases=(f"{self.name}-too",),
            holds_timeouts=True,
            capabilities=frozenset({Capability.TOOLS}),
            models={"small": ModelInfo(context_window=10, capabilities=frozenset())},
        )

    @hookimpl
    def kickai_validate_provider(self) -> tuple[Problem, ...]:
        return self.problems

    @hookimpl
    def kickai_create_provider(self) -> object:
        self.created += 1
        return self

    @hookimpl
    def kickai_close_provider(self) -> None:
        self.closed += 1

    def answer(self, request: ChatRequest) -> Any:
        """Return the words of the answer, or raise."""
        self.requests.append(request)
        say = self.answers.get(request.model or "", lambda _request: ["po", "ng"])
        return say(request)

    @hookimpl
    def kickai_invoke_provider(self, request: ChatRequest) -> Reply:
        usage = Usage(input_tokens=1, output_tokens=2)
        return Reply(text="".join(self.answer(request)), finish_reason=FinishReason.STOP, usage=usage)

    @hookimpl
    async def kickai_ainvoke_provider(self, request: ChatRequest) -> Reply:
        await asyncio.sleep(0)
        return self.kickai_invoke_provider(request)

    @hookimpl
    def kickai_stream_provider(self, request: ChatRequest) -> Iterator[ReplyChunk]:
        self.open_streams += 1
        try:
            yield ReplyChunk(model="served")
            for word in self.answer(request):
                if isinstance(word, Exception):
                    raise word
                yield ReplyChunk(text=word)
            yield ReplyChunk(finish_reason=FinishReason.STOP, usage=Usage(input_tokens=1, output_tokens=2))
        finally:
            self.open_streams -= 1

    @hookimpl
    async def kickai_astream_provider(self, request: ChatRequest) -> AsyncIterator[ReplyChunk]:
        for chunk in self.kickai_stream_provider(request):
            await asyncio.sleep(0)
            yield chunk


@frozen
class Time:
    """A virtual clock; a sleep advances it."""

    now: list[float]

    def clockwork(self) -> Clockwork:
        """Return it in the form that a resolver takes."""

        async def asleep(seconds: float) -> None:
            self.now[0] += seconds

        def sleep(seconds: float) -> None:
            self.now[0] += seconds

        return Clockwork(clock=lambda: self.now[0], sleep=sleep, asleep=asleep)


def make_resolver(*plugins: Scripted, events: list[Any] | None = None, **settings: Any) -> Resolver:
    """Return a resolver of scripted providers on a virtual clock."""
    settings.setdefault("kickai", KickaiSettings(plugins=()))
    return Resolver.from_settings(
        Settings(**settings),
        plugins={plugin.name: plugin for plugin in plugins},
        observers=[] if events is None else [events.append],
        time=Time([0.0]).clockwork(),
    )


def fails(error: Callable[[], Exception]) -> Callable[[ChatRequest], Any]:
    """Return an answer that raises."""

    def say(_request: ChatRequest) -> Any:
        raise error()

    return say


def down() -> ProviderUnavailableError:
    """Return the error of a service that answers 503."""
    return ProviderUnavailableError("down", status_code=503)


def invoke(chain: Chain, prompt: Any = "hi") -> Reply:
    """Call the chain in the simplest way."""
    return chain.invoke(prompt)


def ainvoke(chain: Chain, prompt: Any = "hi") -> Reply:
    """Ask on an event loop."""
    return asyncio.run(chain.ainvoke(prompt))


def stream(chain: Chain, prompt: Any = "hi") -> Reply:
    """Ask for a stream, and return its whole."""
    with chain.stream(prompt) as chunks:
        text = "".join(chunk.text for chunk in chunks)
    assert chunks.reply is not None
    assert chunks.reply.text == text
    return chunks.reply


def astream(chain: Chain, prompt: Any = "hi") -> Reply:
    """Ask for an async stream, and return its whole."""

    async def main() -> Reply:
        async with chain.astream(prompt) as chunks:
            text = "".join([chunk.text async for chunk in chunks])
        assert chunks.reply is not None
        assert chunks.reply.text == text
        return chunks.reply

    return asyncio.run(main())


ways = pytest.mark.parametrize("ask", [invoke, ainvoke, stream, astream])


@ways
def test_the_chain_falls_back_and_the_reply_has_both_attempts(ask: Callable[..., Reply]) -> None:
    """In every way of calling, the next target is called after a failure."""
    plugin = Scripted(bad=fails(lambda: AuthenticationError("no")), worse=fails(down))
    other = Scripted("other")
    with make_resolver(plugin, other) as resolver:
        reply = ask(resolver.chain("scripted:bad", "other:fine"))
    assert (reply.text, reply.provider, reply.fell_back) == ("pong", "other", True)
    assert [str(attempt) for attempt in reply.attempts] == [
        "scripted:bad: AuthenticationError: no",
        "other:fine answered in 0.0 s",
    ]
    assert reply.usage == Usage(input_tokens=1, output_tokens=2)


@ways
def test_a_chain_without_an_answer_raises_one_cause_per_attempt(ask: Callable[..., Reply]) -> None:
    """In every way of calling, the error is a group of the attempts' errors."""
    plugin = Scripted(bad=fails(lambda: AuthenticationError("no")))
    other = Scripted("other", worse=fails(lambda: QuotaExhaustedError("used up")))
    with make_resolver(plugin, other) as resolver, pytest.raises(ChainExhaustedError) as raised:
        ask(resolver.chain("scripted:bad", "other:worse"))
    assert [type(cause) for cause in raised.value.exceptions] == [AuthenticationError, QuotaExhaustedError]


@ways
def test_waits_use_the_clock_that_was_passed_in(ask: Callable[..., Reply]) -> None:
    """A rate limit is waited for on the virtual clock, in no real time."""
    replies = iter([RateLimitedError("slow down", retry_after_s=20.0)])

    def say(_request: ChatRequest) -> Any:
        for error in replies:
            raise error
        return ["pong"]

    with make_resolver(Scripted(busy=say)) as resolver:
        reply = ask(resolver.chain("scripted:busy"))
    assert reply.latency_s == pytest.approx(20.0)


@ways
def test_other_exceptions_pass_through_unchanged(ask: Callable[..., Reply]) -> None:
    """A KeyboardInterrupt stops the request at once, and the probe that it held is released."""
    plugin = Scripted(bad=fails(down), stop=fails(KeyboardInterrupt))
    settings = {"breaker": BreakerSettings(max_errors=1), "providers": {"scripted": ProviderSettings(retries=0)}}
    with make_resolver(plugin, **settings) as resolver:
        chain = resolver.chain("scripted:bad")
        with pytest.raises(ChainExhaustedError):
            ask(chain)
        plugin.answers["bad"] = fails(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            ask(chain)
        health = chain._candidates[0].health.target
        assert health.breaker.state is BreakerState.OPEN
        plugin.answers["bad"] = lambda _request: ["back"]
        assert ask(chain).text == "back"


def test_a_cancelled_task_cancels_its_attempt() -> None:
    """Cancellation reaches the provider, and the request counts as cancelled."""
    events: list[Any] = []
    started = asyncio.Event()

    class Hanging(Scripted):
        @hookimpl
        async def kickai_ainvoke_provider(self) -> Reply:
            started.set()
            await asyncio.Event().wait()
            raise AssertionError

    async def main() -> None:
        async with make_resolver(Hanging("hanging"), events=events) as resolver:
            task = asyncio.create_task(resolver.chain("hanging").ainvoke("hi"))
            await started.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert [event.outcome for event in events if isinstance(event, RequestEnded)] == ["cancelled"]


def pieces(*words: Any) -> Callable[[ChatRequest], Any]:
    """Return an answer of words, in which an exception breaks off."""
    return lambda _request: list(words)


def collect(chain: Chain, mode: Any, *, sync: bool) -> tuple[list[Any], Reply | None, Exception | None]:
    """Return what a stream handed out, its whole, and how it ended."""
    seen: list[Any] = []

    def keep(chunk: ReplyChunk) -> None:
        seen.append("restart" if chunk.restart else chunk.text or chunk.finish_reason)

    async def main() -> Reply | None:
        chunks = chain.astream("hi", mode=mode)
        async for chunk in chunks:
            keep(chunk)
        return chunks.reply

    try:
        if not sync:
            return seen, asyncio.run(main()), None
        chunks = chain.stream("hi", mode=mode)
        for chunk in chunks:
            keep(chunk)
    except Exception as exc:  # noqa: BLE001
        return seen, None, exc
    return seen, chunks.reply, None


both = pytest.mark.parametrize("sync", [True, False])


@both
def test_a_live_stream_falls_back_before_its_first_chunk(*, sync: bool) -> None:
    """Promise 7: an error before any text leads to a fallback that the caller does not see."""
    with make_resolver(Scripted(bad=pieces(AuthenticationError("no"))), Scripted("other")) as resolver:
        seen, reply, error = collect(resolver.chain("scripted:bad", "other"), "live", sync=sync)
    assert (seen, error) == (["po", "ng", FinishReason.STOP], None)
    assert reply is not None
    assert (reply.text, reply.model) == ("pong", "served")


@both
def test_a_live_stream_that_breaks_off_raises_with_the_text_so_far(*, sync: bool) -> None:
    """Promise 7: after the first chunk no other target is called; the error carries the text so far."""
    plugin, other = Scripted(bad=pieces("po", down())), Scripted("other")
    with make_resolver(plugin, other) as resolver:
        seen, _, error = collect(resolver.chain("scripted:bad", "other"), "live", sync=sync)
    assert seen == ["po"]
    assert isinstance(error, ProviderUnavailableError)
    assert error.partial_text == "po"
    assert error.__traceback__ is not None
    assert [attempt.target for attempt in error.attempts] == ["scripted:bad"]
    assert other.requests == []
    assert "po" not in str(error)


SECRET_PIECE = "what the model said"


@both
@pytest.mark.parametrize("mode", ["live", "restart", "buffered"])
@pytest.mark.parametrize("kind", [ProviderUnavailableError, RejectedRequestError, AuthenticationError])
def test_no_event_carries_the_text_of_a_stream(kind: type[ProviderError], mode: str, *, sync: bool) -> None:
    """The text so far is on the caller's error, and on nothing that an observer gets, pickled or not."""
    pickled: list[bytes] = []
    events: list[Any] = []
    plugin = Scripted(bad=pieces(SECRET_PIECE, kind("no")))
    resolver = Resolver.from_settings(
        Settings(kickai=KickaiSettings(plugins=()), providers={"scripted": ProviderSettings(retries=0)}),
        plugins={"scripted": plugin},
        observers=[events.append, lambda event: pickled.append(pickle.dumps(event))],
    )
    with resolver:
        seen, _, raised = collect(resolver.chain("scripted:bad"), mode, sync=sync)
    assert seen == ([] if mode == "buffered" else [SECRET_PIECE])
    assert raised is not None
    ended = [event.attempt.error for event in events if isinstance(event, AttemptEnded)]
    assert ended
    assert [error.partial_text for error in ended] == [""] * len(ended)
    assert not [dump for dump in (*pickled, pickle.dumps(events)) if SECRET_PIECE.encode() in dump]
    assert [attempt.error.partial_text for attempt in raised.attempts] == [""] * len(ended)
    if isinstance(raised, ProviderError):
        assert raised.partial_text == SECRET_PIECE


@both
def test_a_stream_that_is_never_read_does_nothing(*, sync: bool) -> None:
    """It sends nothing, emits no event and starts no deadline, closed or not; invalid arguments are still raised."""
    events: list[Any] = []
    now = [0.0]
    plugin = Scripted(bad=pieces("po", down()))
    resolver = Resolver.from_settings(
        Settings(kickai=KickaiSettings(plugins=())),
        plugins={"scripted": plugin},
        observers=[events.append],
        time=Clockwork(clock=lambda: now[0], sleep=lambda _s: None, asleep=asyncio.sleep),
    )
    with resolver:
        chain = resolver.chain("scripted", deadline_s=5.0)
        with pytest.raises(ValueError, match="deadline_s"):
            (chain.stream if sync else chain.astream)("hi", deadline_s=0)
        with pytest.raises((TypeError, ValueError)):
            (chain.stream if sync else chain.astream)([7])
        if sync:
            unread, late = chain.stream("hi"), chain.stream("hi")
            unread.close()
            assert list(unread) == []
            assert (events, plugin.requests) == ([], [])
            now[0] = 60.0
            assert "".join(chunk.text for chunk in late) == "pong"
        else:

            async def main() -> None:
                unread, late = chain.astream("hi"), chain.astream("hi")
                await unread.aclose()
                assert [chunk async for chunk in unread] == []
                assert (events, plugin.requests) == ([], [])
                now[0] = 60.0
                assert "".join([chunk.text async for chunk in late]) == "pong"

            asyncio.run(main())
    assert len({event.request for event in events}) == 1


@both
def test_a_restarting_stream_continues_after_a_restart_chunk(*, sync: bool) -> None:
    """Promise 7: after a mid-stream failure, a chunk says to discard the earlier text."""
    plugin = Scripted(bad=pieces("wrong", AuthenticationError("no")))
    with make_resolver(plugin, Scripted("other")) as resolver:
        seen, reply, _ = collect(resolver.chain("scripted:bad", "other"), "restart", sync=sync)
    assert seen == ["wrong", "restart", "po", "ng", FinishReason.STOP]
    assert reply is not None
    assert reply.text == "pong"


@both
def test_a_restarting_stream_without_another_target_raises(*, sync: bool) -> None:
    """No restart is announced when nothing follows."""
    with make_resolver(Scripted(bad=pieces("wrong", AuthenticationError("no")))) as resolver:
        seen, _, error = collect(resolver.chain("scripted:bad"), "restart", sync=sync)
    assert seen == ["wrong"]
    assert isinstance(error, ChainExhaustedError)


@both
def test_a_buffered_stream_hands_out_nothing_before_the_whole(*, sync: bool) -> None:
    """Promise 7: a failure is never visible, since only a whole answer is handed out."""
    plugin = Scripted(bad=pieces("wrong", AuthenticationError("no")))
    with make_resolver(plugin, Scripted("other")) as resolver:
        seen, reply, _ = collect(resolver.chain("scripted:bad", "other"), "buffered", sync=sync)
    assert seen == ["po", "ng", FinishReason.STOP]
    assert reply is not None


@both
def test_a_cut_stream_never_passes_for_a_whole_one(*, sync: bool) -> None:
    """Promise 7: a stream that ends without a finish reason is an error, however long its text."""

    class Cut(Scripted):
        @hookimpl
        def kickai_stream_provider(self) -> Iterator[ReplyChunk]:
            yield ReplyChunk(text="half a")

        @hookimpl
        async def kickai_astream_provider(self) -> AsyncIterator[ReplyChunk]:
            yield ReplyChunk(text="half a")

    with make_resolver(Cut("cut")) as resolver:
        seen, reply, error = collect(resolver.chain("cut"), "live", sync=sync)
    assert (seen, reply) == (["half a"], None)
    assert isinstance(error, InvalidReplyError)
    assert error.partial_text == "half a"


def test_leaving_a_stream_closes_the_providers_stream() -> None:
    """Promise 7: closed, left with ``with``, or dropped: the provider's stream ends, sync and async."""
    events: list[Any] = []
    plugin = Scripted()
    with make_resolver(plugin, events=events) as resolver:
        chain = resolver.chain("scripted")
        with chain.stream("hi") as chunks:
            next(chunks)
            assert plugin.open_streams == 1
        assert plugin.open_streams == 0
        gc.disable()  # who drops a stream does not wait for the collector
        try:
            dropped = chain.stream("hi")
            next(dropped)
            del dropped
            assert plugin.open_streams == 0

            async def main() -> None:
                async with chain.astream("hi") as chunks:
                    await anext(chunks)
                    assert plugin.open_streams == 1
                await anext(chain.astream("hi"))
                for _ in range(100):
                    await asyncio.sleep(0.001)
                    if not plugin.open_streams:
                        return

            asyncio.run(main())
            assert plugin.open_streams == 0
        finally:
            gc.enable()
    assert [event.outcome for event in events if isinstance(event, RequestEnded)] == ["cancelled"] * 4


def test_a_stream_that_is_never_read_sends_nothing() -> None:
    """The request starts when the first chunk is read."""
    plugin = Scripted()
    with make_resolver(plugin) as resolver:
        resolver.chain("scripted").stream("hi").close()
    assert plugin.requests == []


def test_a_prompt_is_text_messages_mappings_or_a_request() -> None:
    """The provider gets the same request for each form."""
    plugin = Scripted()
    mapping = {"role": "user", "content": "hi"}
    with make_resolver(plugin) as resolver:
        chain = resolver.chain("scripted:m", temperature=0.5, max_tokens=7)
        for prompt in ("hi", [mapping], [Message(role="user", content="hi")], ChatRequest.of("hi")):
            chain(prompt)
    assert len({request.messages for request in plugin.requests}) == 1
    first = plugin.requests[0]
    assert (first.model, first.temperature, first.max_tokens) == ("m", 0.5, 7)


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [
        ([], "at least one message"),
        (7, "got int"),
        ({"role": "user"}, "got dict"),
        ([7], r"messages\[0\] must be .*, got int"),
        ([{"content": "hi"}], "role and content"),
        ([{"role": "user", "text": "hi"}], r"the keys of messages\[0\] must be among .*, got 'text'"),
        ([{"role": "boss", "content": "hi"}], "got 'boss'"),
        ([{"role": "user", "content": 7}], r"messages\[0\]\.content must be .*, got int"),
    ],
)
def test_a_malformed_prompt_is_refused_before_anything_is_sent(prompt: Any, sentence: str) -> None:
    """The error says what a prompt is."""
    plugin = Scripted()
    with make_resolver(plugin) as resolver, pytest.raises((TypeError, ValueError), match=sentence):
        resolver.chain("scripted").invoke(prompt)
    assert plugin.requests == []


def test_the_requests_own_settings_override_the_chains() -> None:
    """This includes the model, for a target that names none."""
    plugin = Scripted()
    with make_resolver(plugin) as resolver:
        request = ChatRequest(messages=(Message(role="user", content="hi"),), temperature=0.0, max_tokens=1, model="x")
        resolver.chain("scripted:x", temperature=0.5, max_tokens=7)(request)
        resolver.chain("scripted")(request)
    assert [(r.model, r.temperature, r.max_tokens) for r in plugin.requests] == [("x", 0.0, 1), ("x", 0.0, 1)]


@pytest.mark.parametrize("deadline_s", [0, -1.0, float("nan")])
def test_a_deadline_that_is_none_is_refused(deadline_s: float) -> None:
    """A deadline is a positive number of seconds, wherever it is given."""
    with make_resolver(Scripted()) as resolver:
        with pytest.raises(ValueError, match=r"deadline_s must be (greater than 0|a finite number), got"):
            resolver.chain("scripted", deadline_s=deadline_s)
        with pytest.raises(ValueError, match=r"deadline_s must be (greater than 0|a finite number), got"):
            resolver.chain("scripted").invoke("hi", deadline_s=deadline_s)


def test_an_unknown_stream_mode_is_refused() -> None:
    """The error names the three there are."""
    with make_resolver(Scripted()) as resolver, pytest.raises(ValueError, match="'live', 'restart' or 'buffered'"):
        resolver.chain("scripted").stream("hi", mode="fast")


def test_a_provider_is_created_once_on_first_use_and_closed_with_the_resolver() -> None:
    """Threads share one provider, an unused provider is never created, and closing twice does nothing."""
    plugin = Scripted()
    resolver = make_resolver(plugin)
    chain = resolver.chain("scripted")
    assert plugin.created == 0
    threads = [threading.Thread(target=chain.invoke, args=("hi",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    resolver.close()
    resolver.close()
    assert (plugin.created, plugin.closed) == (1, 1)
    with pytest.raises(RuntimeError, match="is closed"):
        chain.invoke("hi")


def test_one_provider_that_cannot_be_closed_stops_nothing() -> None:
    """The others are closed, and an event reports the failure, sync and async."""

    class Stuck(Scripted):
        @hookimpl
        def kickai_close_provider(self) -> None:
            raise OSError

    events: list[Any] = []
    for is_async in (False, True):
        stuck, other = Stuck("a-stuck"), Scripted()
        resolver = make_resolver(stuck, other, events=events)
        resolver.chain("a-stuck")("hi")
        resolver.chain("scripted")("hi")
        if is_async:
            asyncio.run(resolver.aclose())
        else:
            resolver.close()
        assert other.closed == 1
    sentence = [(event.provider, event.error) for event in events if isinstance(event, ProviderCloseFailed)]
    assert sentence == [("a-stuck", "OSError")] * 2


def test_a_provider_that_is_not_configured_is_skipped() -> None:
    """The reply names what is missing; a warning does not prevent an answer."""
    plugin = Scripted()
    plugin.problems = (Problem(path="key", message="no key", missing="THE_KEY"),)
    careless = Scripted("careless")
    careless.problems = (Problem(path="host", message="plain HTTP", severity="warning"),)
    with make_resolver(plugin, careless) as resolver:
        reply = resolver.chain("scripted", "careless")("hi")
    assert [str(skip) for skip in reply.skipped] == ["scripted: not configured (THE_KEY)"]
    assert reply.provider == "careless"


def test_capabilities_are_known_per_model() -> None:
    """A model's own capabilities and window replace its provider's."""
    with make_resolver(Scripted()) as resolver:
        small, other = resolver.chain("scripted:small", "scripted:other")._candidates
    assert (small.context_window, small.capabilities) == (10, frozenset())
    assert (other.context_window, other.capabilities) == (None, frozenset({Capability.TOOLS}))


def test_an_alias_leads_to_the_instance() -> None:
    """A plugin's alias means the instance that is named after the plugin."""
    with make_resolver(Scripted()) as resolver:
        assert resolver.chain("scripted-too:m").targets == ("scripted:m",)


def test_several_instances_of_one_plugin_coexist() -> None:
    """Each has its own provider, settings and health."""
    plugin = Scripted()
    providers = {"eu": ProviderSettings(kind="scripted", model="a"), "us": ProviderSettings(kind="scripted", model="b")}
    with make_resolver(plugin, providers=providers) as resolver:
        assert resolver.chain("eu", "us").targets == ("eu:a", "us:b")
        resolver.chain("eu")("hi")
        resolver.chain("us")("hi")
    assert plugin.created == 2


def test_a_role_becomes_a_chain_with_its_settings() -> None:
    """The role's targets, temperature and token limit are the chain's."""
    role = Role(name="coach", group="", temperature=0.25, max_tokens=9, chain=(Target("scripted", "m"),))
    plugin = Scripted()
    with make_resolver(plugin, roles={"coach": role}) as resolver:
        chain = resolver.for_role("coach")
        chain("hi")
    assert chain.targets == ("scripted:m",)
    assert (plugin.requests[0].temperature, plugin.requests[0].max_tokens) == (0.25, 9)


def test_a_default_target_that_is_not_installed_is_skipped() -> None:
    """An application that installs one provider does not have to remove the others from the default chain."""
    with make_resolver(Scripted("local")) as resolver:
        reply = resolver.for_role("player_coordinator")("hi")
    assert reply.provider == "local"
    assert "huggingface" in reply.skipped[0].target
    assert reply.skipped[0].detail == "install kickai-hf"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("huggingface", "install kickai-hf"),
        ("scriptd", "did you mean 'scripted'"),
        ("nobody", "installed: scripted"),
    ],
)
def test_an_unknown_provider_says_what_to_install(target: str, sentence: str) -> None:
    """A target that was written explicitly must exist."""
    with make_resolver(Scripted()) as resolver, pytest.raises(UnknownProviderError, match=sentence) as raised:
        resolver.chain(target)
    assert raised.value.known == ("scripted",)


def test_a_chosen_target_that_is_not_installed_is_an_error() -> None:
    """A primary that was chosen explicitly must exist."""
    with (
        make_resolver(Scripted(), kickai=KickaiSettings(plugins=(), primary="nobody")) as resolver,
        pytest.raises(UnknownProviderError),
    ):
        resolver.for_role("player_coordinator")


@pytest.mark.parametrize("targets", [(), ("",), (":m",), ("a:",)])
def test_a_malformed_chain_is_refused(targets: tuple[str, ...]) -> None:
    """A chain has targets, and a target has an instance."""
    with make_resolver(Scripted()) as resolver, pytest.raises(ValueError, match=r"target"):
        resolver.chain(*targets)


def test_a_role_without_a_target_is_refused() -> None:
    """Settings from a file cannot say that; settings in code can."""
    settings = Settings(kickai=KickaiSettings(plugins=()), roles={"scout": Role(name="scout", chain=())})
    with Resolver.from_settings(settings) as resolver, pytest.raises(ValueError, match="at least one target"):
        resolver.for_role("scout")


def test_an_observer_that_raises_does_not_affect_the_request() -> None:
    """The request is answered, and the other observers are called."""
    events: list[Any] = []

    def broken(_event: Any) -> None:
        raise ZeroDivisionError

    resolver = Resolver.from_settings(
        Settings(kickai=KickaiSettings(plugins=())),
        plugins={"scripted": Scripted()},
        observers=[broken, events.append],
    )
    with resolver:
        assert resolver.chain("scripted")("hi").text == "pong"
    assert len(events) == 4


def test_a_target_of_a_broken_plugin_raises_the_plugins_problem() -> None:
    """The error says what is wrong with the plugin, not that it is missing."""
    resolver = Resolver.from_settings(Settings(kickai=KickaiSettings(plugins=())), plugins={"broken": object()})
    with resolver, pytest.raises(UnknownProviderError, match="plugin broken: it implements no hooks"):
        resolver.chain("broken")


@pytest.mark.parametrize(
    ("prompt", "max_tokens", "call_count"), [("x" * 54, 1, 1), ("x" * 54, 2, 0), ("x" * 66, None, 0)]
)
def test_a_chain_measures_its_requests(prompt: str, max_tokens: int | None, call_count: int) -> None:
    """The size of prompt and answer is compared with the plugin's window of ten tokens."""
    plugin = Scripted()
    with make_resolver(plugin) as resolver:
        chain = resolver.chain("scripted:small", max_tokens=max_tokens)
        if call_count:
            assert chain.invoke(prompt).text == "pong"
        else:
            with pytest.raises(ChainExhaustedError) as raised:
                chain.invoke(prompt)
            assert [skip.reason for skip in raised.value.skipped] == [SkipReason.WINDOW_TOO_SMALL]
    assert len(plugin.requests) == call_count


def test_the_requests_token_limit_overrides_the_chains() -> None:
    """What the request says about the length of the answer counts."""
    with make_resolver(Scripted()) as resolver:
        chain = resolver.chain("scripted:small", max_tokens=500)
        request = ChatRequest(messages=(Message(role="user", content="hi"),), max_tokens=5)
        assert chain.invoke(request).text == "pong"


def test_preparing_makes_the_first_usable_target_ready() -> None:
    """The caller gets progress reports, and unusable targets are skipped."""

    class Preparing(Scripted):
        @hookimpl
        def kickai_prepare_provider(self, model: str | None) -> Iterator[Progress]:
            yield Progress(status=f"pulling {model}")

    idle = Preparing("idle")
    idle.problems = (Problem(path="key", message="no key", missing="THE_KEY"),)
    with make_resolver(idle, Preparing("ready"), Scripted()) as resolver:
        assert [str(step) for step in resolver.chain("idle:a", "ready:b").prepare()] == ["pulling b"]
        assert list(resolver.chain("scripted", "ready:b").prepare()) == []


def test_a_changed_request_equals_a_constructed_one() -> None:
    """Missing fields are filled in, model and text are replaced, and the original does not change."""
    request = ChatRequest(messages=ChatRequest.of("hi").messages, seed=7, stop=("x",), temperature=0.9)
    whole = {"messages": request.messages, "seed": 7, "stop": ("x",), "temperature": 0.9}
    assert request.with_defaults(0.1, 5) == ChatRequest(**whole, max_tokens=5)
    assert request.with_defaults(0.1, 5).with_defaults(0.2, 6) == ChatRequest(**whole, max_tokens=5)
    assert request.with_defaults(0.1, None) is request
    assert request.for_model("m") == ChatRequest(**whole, model="m")
    assert request.with_prompt("ho") == ChatRequest(**(whole | {"messages": ChatRequest.of("ho").messages}))
    assert request == ChatRequest(**whole)


def test_a_chain_says_what_every_usable_target_can_serve() -> None:
    """Adapters for other libraries ask it before they build a request."""
    tables = {"a": {"kind": "scripted", "context_window": 9000}, "b": {"kind": "scripted", "context_window": 5000}}
    with Resolver.from_settings({"providers": tables}, env={}, plugins={"scripted": Scripted()}) as resolver:
        chain = resolver.chain("a:x", "b:y")
        assert (chain.context_window, chain.capabilities) == (5000, {Capability.TOOLS})
        assert resolver.chain("scripted:x").context_window is None
