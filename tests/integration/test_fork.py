"""A resolver that was used before the process forked: each process has its own connections, threads and locks."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from forks import begin_child, run_in_child
from integration.echo import EchoPlugin, Provider, serving

from kickai_providers_core import FinishReason, ProviderInfo, Reply, Resolver, hookimpl
from kickai_providers_core.concurrency import forking
from kickai_providers_core.values.events import RequestEnded, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import Chain

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
    # The provider of these tests leaves the connections of an event loop to the collector when the loop has ended.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

WAYS = ("invoke", "ainvoke", "stream", "astream")
HEDGING = {"off": {}, "on": {"hedging": {"after_s": 20.0}}}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Run the server for all tests of the module."""
    with serving() as port:
        yield port


@pytest.fixture
def plugin(port: int) -> EchoPlugin:
    """Return the plugin."""
    return EchoPlugin(port)


@pytest.fixture(params=["off", pytest.param("on", marks=pytest.mark.slow)])
def resolver(request: pytest.FixtureRequest, plugin: EchoPlugin) -> Iterator[Resolver]:
    """Return a resolver, with hedging and without."""
    with Resolver.from_settings(HEDGING[request.param], env={}, plugins={"echo": plugin}) as resolver:
        yield resolver


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Have the collector run while the warnings of these connections are ignored."""
    yield
    gc.collect()


def ask(chain: Chain, way: str, text: str) -> str:
    """Return the answer to a one-word question."""

    async def aask() -> str:
        if way == "ainvoke":
            return (await chain.ainvoke(text)).text
        return "".join([chunk.text async for chunk in chain.astream(text)])

    if way == "invoke":
        return chain.invoke(text).text
    if way == "stream":
        return "".join(chunk.text for chunk in chain.stream(text)).strip()
    return asyncio.run(aask()).strip()


def error_of(call: Callable[[], Any]) -> str:
    """Return what a call raises, as text."""
    try:
        call()
    except BaseException as exc:  # noqa: BLE001
        return f"{type(exc).__name__}: {exc}"
    return "nothing"


@pytest.mark.parametrize(
    ("before", "after"),
    [pytest.param(*pair, marks=[] if len({*pair}) == 1 else pytest.mark.slow) for pair in product(WAYS, WAYS)],
)
def test_each_process_gets_the_answers_to_its_own_questions(resolver: Resolver, before: str, after: str) -> None:
    """The parent and its children send requests at once after the fork, in every pair of modes."""
    chain = resolver.chain("echo", deadline_s=20)
    assert ask(chain, before, "warm-up") == "answer-to-warm-up"

    def asking(name: str) -> Callable[[], list[str]]:
        return lambda: [ask(chain, after, f"{name}{number}") for number in range(3)]

    children = [begin_child(asking(name)) for name in "AB"]
    assert asking("P")() == [f"answer-to-P{number}" for number in range(3)]
    for name, child in zip("AB", children, strict=True):
        assert child() == [f"answer-to-{name}{number}" for number in range(3)]


def test_a_child_never_uses_or_closes_what_is_its_parents(resolver: Resolver, plugin: EchoPlugin, port: int) -> None:
    """Closing the resolver in the child closes only the child's; a collection and a normal exit close nothing."""
    chain = resolver.chain("echo", deadline_s=20)
    ask(chain, "invoke", "warm-up")
    ask(chain, "ainvoke", "warm-up")

    def end_in_child() -> list[Any]:
        ask(chain, "invoke", "child")
        resolver.close()
        gc.collect()
        return [plugin.closed == [os.getpid()], error_of(lambda: chain.invoke("late"))]

    only_own, late = run_in_child(end_in_child)
    assert only_own
    assert "closed" in late
    assert ask(chain, "invoke", "still-there") == "answer-to-still-there"


@pytest.mark.parametrize("closes", [True, False])
def test_the_exit_of_a_child_does_not_use_the_parents_connection(port: int, *, closes: bool) -> None:
    """Finalizers that run when a forked worker exits do not reach the parent's provider object."""
    script = f"""
import os, sys
sys.path[:0] = [{str(Path(__file__).parents[1])!r}]
from integration.echo import EchoPlugin
from kickai_providers_core import Resolver
resolver = Resolver.from_settings({{}}, env={{}}, plugins={{"echo": EchoPlugin({port})}})
chain = resolver.chain("echo", deadline_s=20)
print(chain.invoke("one").text, flush=True)
pid = os.fork()
if pid == 0:
    if {closes}:
        resolver.close()
    del chain, resolver
    sys.exit(0)
os.waitpid(pid, 0)
print(chain.invoke("two").text, flush=True)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == ["answer-to-one", "answer-to-two"], ran.stderr
    assert "rror" not in ran.stderr


def test_a_half_read_stream_ends_in_the_child_and_goes_on_in_the_parent(resolver: Resolver) -> None:
    """In the child the next piece is an error that says why; closing and collecting the stream there does nothing."""
    chain = resolver.chain("echo", deadline_s=20)
    stream = chain.stream("one two three")
    assert next(stream).text == "answer-to-one "

    def go_on() -> list[str]:
        errors = [error_of(lambda: next(stream))]
        stream.close()
        errors.append(error_of(lambda: next(stream)))
        gc.collect()
        return [*errors, ask(chain, "invoke", "child")]

    first, second, answer = run_in_child(go_on)
    assert first.startswith("RuntimeError: this call began in process")
    assert second == first
    assert answer == "answer-to-child"
    assert "".join(chunk.text for chunk in stream) == "answer-to-two answer-to-three "
    assert stream.reply is not None


def test_a_stream_that_was_opened_but_not_read_works_in_the_child(resolver: Resolver) -> None:
    """It has not started, so the process that reads it first owns it."""
    stream = resolver.chain("echo", deadline_s=20).stream("one")
    assert run_in_child(lambda: [chunk.text.strip() for chunk in stream if chunk.text]) == ["answer-to-one"]
    assert [chunk.text.strip() for chunk in stream if chunk.text] == ["answer-to-one"]


async def test_an_asynchronous_stream_ends_in_the_child_and_goes_on_in_the_parent(resolver: Resolver) -> None:
    """The same for a stream of the loop on which the process forked."""
    chain = resolver.chain("echo", deadline_s=20)
    stream = chain.astream("one two")
    assert (await anext(stream)).text == "answer-to-one "

    def go_on() -> list[str]:
        errors = []
        try:
            stream.__anext__().send(None)
        except RuntimeError as exc:
            errors.append(str(exc))
        return errors

    # In the child the interpreter has no running loop any more, and says so first where that is so.
    (sentence,) = run_in_child(go_on)
    assert "this call began in process" in sentence or "event loop" in sentence
    assert "".join([chunk.text async for chunk in stream]) == "answer-to-two "


@pytest.mark.parametrize("hedging", HEDGING)
def test_a_call_under_way_on_the_loop_that_forks_ends_in_the_child(plugin: EchoPlugin, hedging: str) -> None:
    """A task that waits for an answer gets an error in the child, and its answer in the parent."""

    async def main() -> tuple[str, Any]:
        resolver = Resolver.from_settings(HEDGING[hedging], env={}, plugins={"echo": plugin})
        chain = resolver.chain("echo", deadline_s=20)
        await chain.ainvoke("warm-up")
        task = asyncio.get_running_loop().create_task(chain.ainvoke("late"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        reading, writing = os.pipe()
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            signal.alarm(20)
            try:
                await task
                os.write(writing, b"an answer")
            except BaseException as exc:  # noqa: BLE001
                os.write(writing, f"{type(exc).__name__}: {exc}".encode())
            os._exit(0)
        answer = (await task).text
        os.close(writing)
        os.waitpid(pid, 0)  # noqa: ASYNC222
        sentence = os.read(reading, 4096).decode()
        os.close(reading)
        await resolver.aclose()
        return answer, sentence

    answer, sentence = asyncio.run(main())
    assert answer == "answer-to-late"
    assert sentence.startswith("RuntimeError: this call began in process")


@pytest.mark.parametrize("left", [True, False])
@pytest.mark.parametrize("closes", [True, False])
def test_a_child_neither_resumes_nor_closes_the_parents_coroutine(*, left: bool, closes: bool) -> None:
    """This holds whether it is awaited or abandoned, and whether the child continues the loop or drops it."""

    def whole() -> list[list[str]]:
        steps: list[str] = []

        async def main() -> list[list[str]]:
            resolver = Resolver.from_settings({}, env={}, plugins={"lasting": Lasting(steps, left=left)})
            chain = resolver.chain("lasting", deadline_s=20)
            task = asyncio.get_running_loop().create_task(chain.ainvoke("hello"))
            await asyncio.sleep(0.05)
            if left:
                task.cancel()
                await asyncio.wait((task,))
            reading, writing = os.pipe()
            pid = os.fork()
            if pid == 0:
                signal.alarm(20)
                steps.clear()
                if not closes:
                    await asyncio.wait((task,), timeout=0.5)
                    await asyncio.sleep(0.5)
                raise _InChildError(writing)
            os.close(writing)
            sentence = [line for line in os.read(reading, 4096).decode().split(",") if line]
            os.waitpid(pid, 0)  # noqa: ASYNC222
            await asyncio.sleep(0.5)
            if not left:
                assert (await task).text == "yes"
            await resolver.aclose()
            return [sentence, steps]

        try:
            return asyncio.run(main())
        except _InChildError as exc:
            writing = exc.args[0]
        gc.collect()  # the loop has cancelled what was left on it
        os.write(writing, ",".join(steps).encode())
        os._exit(0)

    in_child, in_parent = run_in_child(whole)
    assert in_child == []
    assert in_parent[-1] == "end"


class _InChildError(Exception):
    """Ends the loop of a child in the ordinary way."""


class Lasting:
    """A plugin whose call takes a moment, and goes on although it is cancelled."""

    def __init__(self, steps: list[str], *, left: bool) -> None:
        self._steps = steps
        self._left = left

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe the provider."""
        return ProviderInfo(name="lasting", summary="")

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Create nothing."""
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        """Answer."""
        return Reply(text="yes", finish_reason=FinishReason.STOP)

    @hookimpl
    async def kickai_ainvoke_provider(self) -> Reply:
        """Answer after a moment."""
        try:
            await asyncio.sleep(30 if self._left else 0.3)
            self._steps.append("resumed")
        finally:
            self._steps.append("clean-up")
            await asyncio.sleep(0.4)
            self._steps.append("end")
        return self.kickai_invoke_provider()


def test_a_fork_from_within_a_blocking_call_ends_the_call_in_the_child(port: int) -> None:
    """Neither the child's answer nor its events are those of the request that the parent goes on with."""
    outcomes: list[str] = []
    pids: list[Any] = []

    def forking_observer(event: object) -> None:
        if type(event).__name__ == "AttemptStarted" and not pids:
            pids.append(os.fork())
        if isinstance(event, RequestEnded):
            outcomes.append(event.outcome)

    def whole() -> list[Any]:
        with Resolver.from_settings(
            {}, env={}, plugins={"echo": EchoPlugin(port)}, observers=[forking_observer]
        ) as resolver:
            chain = resolver.chain("echo", deadline_s=20)
            reading, writing = os.pipe()
            try:
                sentence = chain.invoke("hello").text
            except RuntimeError as exc:
                sentence = str(exc)
            if pids[0] == 0:
                os.write(writing, f"{sentence}|{outcomes}".encode())
                os._exit(0)
            os.waitpid(pids[0], 0)
            return [sentence, outcomes, os.read(reading, 4096).decode()]

    sentence, ended, in_child = run_in_child(whole)
    assert sentence == "answer-to-hello"
    assert ended == ["success"]
    assert in_child.startswith("this call began in process")
    assert in_child.endswith("|[]")


def test_a_signal_handler_that_forks_during_a_hedged_call_does_not_hang_the_child(plugin: EchoPlugin) -> None:
    """The child has no thread that could bring the answer, and gets an error that says so."""

    def whole() -> str:
        resolver = Resolver.from_settings(HEDGING["on"], env={}, plugins={"echo": plugin})
        chain = resolver.chain("echo", deadline_s=20)
        chain.invoke("warm-up")
        reading, writing = os.pipe()
        pids: list[int] = []
        signal.signal(signal.SIGUSR1, lambda *_: pids.append(os.fork()))
        main = threading.get_ident()
        threading.Timer(0.02, lambda: signal.pthread_kill(main, signal.SIGUSR1)).start()
        sentence = ""
        for _ in range(100):
            try:
                sentence = chain.invoke("hello").text
            except RuntimeError as exc:
                sentence = str(exc)
            if pids:
                break
        if pids[0] == 0:
            os.write(writing, sentence.encode())
            os._exit(0)
        os.waitpid(pids[0], 0)
        assert sentence == "answer-to-hello"
        return os.read(reading, 4096).decode()

    assert run_in_child(whole).startswith("this call began in process")


LOCKS = {
    "creation": lambda resolver: [instance._creation._lock for instance in resolver.registry],
    "single flight": lambda resolver: [instance._creation.pending_call._lock for instance in resolver.registry],
    "health": lambda resolver: [resolver._health._lock, *(c._lock for c in resolver._health.get_states().values())],
    "queue": lambda resolver: [instance.rate_limiter._lock for instance in resolver.registry if instance.rate_limiter],
    "retry budget": lambda resolver: [resolver._context.retry_budget._lock],
    "hedging": lambda resolver: [resolver._context.hedge_timer.budget._lock],
    "portal": lambda resolver: [resolver._context.portal._lock],
}


@pytest.mark.parametrize("held", LOCKS)
def test_a_lock_that_another_thread_holds_during_the_fork_does_not_hang_the_child(
    plugin: EchoPlugin, held: str
) -> None:
    """For each lock, the child's calls end as if no thread had held it."""
    settings = {
        "providers": {"echo": {"max_concurrency": 1}, "mock": {"models": {"bad": {"script": ["unavailable"] * 50}}}},
        "hedging": {"after_s": 20.0},
    }
    with Resolver.from_settings(settings, env={}, plugins={"echo": plugin}) as resolver:
        chain = resolver.chain("mock:bad", "echo", deadline_s=20)
        chain.invoke("warm-up")
        locks = LOCKS[held](resolver)
        assert locks
        taken, done = threading.Event(), threading.Event()

        def hold() -> None:
            for lock in locks:
                lock.acquire()
            taken.set()
            done.wait()
            for lock in locks:
                lock.release()

        holding = threading.Thread(target=hold)
        holding.start()
        taken.wait()
        child = begin_child(lambda: [ask(chain, way, "child").split()[-1] for way in ("invoke", "ainvoke")])
        done.set()
        holding.join()
        assert child() == ["answer-to-child", "answer-to-child"]


@pytest.mark.parametrize("outlasts", [True, False])
def test_a_fork_while_another_thread_creates_the_provider_does_not_hang_the_child(
    port: int, monkeypatch: pytest.MonkeyPatch, *, outlasts: bool
) -> None:
    """A creation that lasts longer than a fork waits goes on in the parent, and the child does one of its own."""
    begun, go_on = threading.Event(), threading.Event()
    if outlasts:
        monkeypatch.setattr(forking, "FORK_WAIT_S", 0.05)
    parent = os.getpid()

    def create(settings: Any) -> Provider:
        begun.set()
        if os.getpid() == parent:
            go_on.wait(20 if outlasts else 0.3)
        return Provider(port)

    plugin = EchoPlugin(port)
    plugin.kickai_create_provider = _as_hook(create)  # type: ignore[method-assign]
    with Resolver.from_settings({}, env={}, plugins={"echo": plugin}) as resolver:
        chain = resolver.chain("echo", deadline_s=20)
        first = threading.Thread(target=lambda: chain.invoke("first"))
        first.start()
        begun.wait()
        assert run_in_child(lambda: ask(chain, "invoke", "child")) == "answer-to-child"
        go_on.set()
        first.join()


def test_a_fork_waits_for_a_module_that_another_thread_imports(port: int, tmp_path: Path) -> None:
    """A module that is half imported when the process forks could never be imported in the child."""
    (tmp_path / "slow_vendor.py").write_text("import time\ntime.sleep(0.5)\nclient = 1\n", encoding="utf-8")
    script = f"""
import os, sys, threading, time
sys.path[:0] = [{str(Path(__file__).parents[1])!r}, {str(tmp_path)!r}]
from integration.echo import EchoPlugin, Provider
from kickai_providers_core import Resolver, hookimpl

class Importing(EchoPlugin):
    @hookimpl
    def kickai_create_provider(self, settings):
        import slow_vendor
        assert slow_vendor.client
        return Provider({port})

resolver = Resolver.from_settings({{}}, env={{}}, plugins={{"echo": Importing({port})}})
chain = resolver.chain("echo", deadline_s=20)
first = threading.Thread(target=lambda: chain.invoke("first"))
first.start()
while "slow_vendor" not in sys.modules:
    time.sleep(0.01)
pid = os.fork()
if pid == 0:
    print(chain.invoke("child").text, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
first.join()
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == ["answer-to-child"], ran.stderr


def test_a_child_has_what_calls_import_when_they_first_need_it() -> None:
    """The parent imports it before the fork, so that it cannot be half imported."""
    script = """
import os, sys
from kickai_providers_core import Resolver
from kickai_providers_core.resolver import IMPORTED_WHEN_USED

resolver = Resolver.from_settings({}, env={})
print(*[name for name in IMPORTED_WHEN_USED if name in sys.modules], "before", flush=True)
pid = os.fork()
if pid == 0:
    print(*[name for name in IMPORTED_WHEN_USED if name not in sys.modules], "missing", flush=True)
    os._exit(0)
os.waitpid(pid, 0)
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split("\n")[:2] == ["before", "missing"], ran.stderr


def _as_hook(function: Callable[..., Any]) -> Any:
    from kickai_providers_core import hookimpl

    return hookimpl(function)


def test_calls_of_other_threads_and_their_tickets_stay_in_the_parent(plugin: EchoPlugin) -> None:
    """A slot that a thread of the parent holds is free in the child."""
    settings = {"providers": {"echo": {"max_concurrency": 1}}}
    with Resolver.from_settings(settings, env={}, plugins={"echo": plugin}) as resolver:
        chain = resolver.chain("echo", deadline_s=20)
        chain.invoke("warm-up")
        stream = chain.stream("one two")
        next(stream)  # takes the only place
        assert run_in_child(lambda: ask(chain, "invoke", "child")) == "answer-to-child"
        assert "".join(chunk.text for chunk in stream) == "answer-to-two "
        assert ask(chain, "invoke", "after") == "answer-to-after"


def test_suspensions_and_open_breakers_stay_and_a_probe_under_way_does_not(port: int) -> None:
    """The child keeps the health of each target, and drops the parent's probe."""
    settings = {"providers": {"mock": {"models": {"limited": {"script": ["rate_limited"]}}, "retries": 0}}}
    with Resolver.from_settings(settings, env={}) as resolver:
        chain = resolver.chain("mock:limited", "mock:other", deadline_s=5)
        chain.invoke("warm-up")

        def skipped() -> list[str]:
            return [str(skip.reason) for skip in chain.invoke("child").skipped]

        assert run_in_child(skipped) == skipped() != []


def test_workers_draw_their_own_jitter_and_an_injected_generator_stays_as_it_is() -> None:
    """Three workers wait for three different times, unless a generator was passed in."""
    settings = {"providers": {"mock": {"models": {"a": {"script": ["unavailable", "unavailable", "ok"]}}}}}

    def waits(given: random.Random | None) -> list[list[float]]:
        sentence: list[float] = []
        resolver = Resolver.from_settings(
            settings,
            env={},
            random=given,
            observers=[lambda e: sentence.append(e.wait_s) if isinstance(e, Waiting) else None],
        )

        def work() -> list[float]:
            resolver.chain("mock:a").invoke("x")
            return sentence

        return [run_in_child(work) for _ in range(3)]

    own, injected = waits(None), waits(random.Random(7))
    assert len({tuple(each) for each in own}) == 3
    assert injected[0] == injected[1] == injected[2]


def test_a_child_of_a_child_has_its_own_connections_too(resolver: Resolver) -> None:
    """As daemons do that fork twice."""
    chain = resolver.chain("echo", deadline_s=20)
    ask(chain, "invoke", "warm-up")

    def fork_again() -> list[str]:
        first = ask(chain, "invoke", "child")
        grandchild = begin_child(lambda: [ask(chain, way, "grandchild") for way in WAYS])
        return [first, ask(chain, "invoke", "again"), *grandchild()]

    assert run_in_child(fork_again) == ["answer-to-child", "answer-to-again", *["answer-to-grandchild"] * 4]


def test_a_fork_from_another_thread_works_like_one_from_the_main_thread(resolver: Resolver) -> None:
    """The thread that forks is the main thread of the child."""
    chain = resolver.chain("echo", deadline_s=20)
    ask(chain, "invoke", "warm-up")
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(run_in_child(lambda: ask(chain, "invoke", "child"))))
    thread.start()
    thread.join()
    assert answers == ["answer-to-child"]


def test_the_log_of_a_child_works_although_another_thread_was_writing_to_it(plugin: EchoPlugin) -> None:
    """Loguru takes care of its own lock."""
    from loguru import logger

    written: list[str] = []
    logger.enable("kickai_providers_core")
    in_sink, go_on = threading.Event(), threading.Event()

    def sink(message: str) -> None:
        written.append(message)
        if "slow" in message:
            in_sink.set()
            go_on.wait(5)

    number = logger.add(sink, level="DEBUG")
    try:
        with Resolver.from_settings({}, env={}, plugins={"echo": plugin}) as resolver:
            chain = resolver.chain("echo", deadline_s=20)
            ask(chain, "invoke", "warm-up")
            writer = threading.Thread(target=lambda: logger.info("slow"))
            writer.start()
            in_sink.wait()
            threading.Timer(0.2, go_on.set).start()  # a fork waits until the line is written
            assert run_in_child(lambda: ask(chain, "invoke", "child")) == "answer-to-child"
            writer.join()
    finally:
        logger.remove(number)
        logger.disable("kickai_providers_core")


_CHAINS: dict[str, Chain] = {}


def answer_in_worker(text: str) -> str:
    """Ask with the chain that the worker inherited."""
    return ask(_CHAINS["chain"], "invoke", text)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("kind", ["pool", "executor"])
def test_worker_processes_of_the_standard_library_get_their_own_answers(resolver: Resolver, kind: str) -> None:
    """With the start method fork, a chain that the workers inherit works in each."""
    _CHAINS["chain"] = chain = resolver.chain("echo", deadline_s=20)
    ask(chain, "invoke", "warm-up")
    context = multiprocessing.get_context("fork")
    questions = [f"q{number}" for number in range(8)]
    try:
        if kind == "pool":
            with context.Pool(3) as pool:
                answers = pool.map(answer_in_worker, questions, chunksize=1)
                pool.close()
                pool.join()
        else:
            with ProcessPoolExecutor(3, mp_context=context) as executor:
                answers = list(executor.map(answer_in_worker, questions))
    finally:
        _CHAINS.clear()
    assert answers == [f"answer-to-{text}" for text in questions]


def test_a_chain_cannot_be_sent_to_a_spawned_process_and_says_so(resolver: Resolver) -> None:
    """Pickling it is refused in a sentence that says what to do instead."""
    import pickle

    with pytest.raises(TypeError, match="create a Resolver in the other process"):
        pickle.dumps(resolver.chain("echo"))
