"""Metrics of real processes in a store: threads, forks, deaths, the end of a process, and the command line."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from command_line import installed
from forks import run_in_child
from kickai_mock.plugin import plugin as mock
from kickai_mock.settings import MockSettings

from kickai_providers_core import FinishReason, KickaiSettings, ProviderInfo, Reply, Resolver, Settings, hookimpl
from kickai_providers_core.observability import store_thread
from kickai_providers_core.observability.feedback import REMEMBERED
from kickai_providers_core.stores.memory import MemoryStore
from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.counters import Feedback, read_feedback
from kickai_providers_core.values.errors import ArgumentValueError
from kickai_providers_core.values.events import RequestEnded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from kickai_providers_core.stores.api import Store
    from kickai_providers_core.values.events import Observer
    from kickai_providers_core.values.metrics import MetricsBatch

    Opener = Callable[[Path], SqliteStore]

LONG_S = 30.0
HAS_FORK = hasattr(os, "fork")


class Plain:
    """A provider that answers and gives its requests no ids."""

    @hookimpl
    def kickai_provider_info(self) -> ProviderInfo:
        """Describe it."""
        return ProviderInfo(name="plain", summary="answers", holds_timeouts=True)

    @hookimpl
    def kickai_create_provider(self) -> object:
        """Need no client."""
        return self

    @hookimpl
    def kickai_invoke_provider(self) -> Reply:
        """Answer."""
        return Reply(text="Ann", finish_reason=FinishReason.STOP)


def create(store: Store | None, primary: str = "mock", observers: Iterable[Observer] = ()) -> Resolver:
    """Return a resolver with a provider that always answers."""
    settings = Settings(
        kickai=KickaiSettings(primary=primary, fallback=(), plugins=()), providers={"mock": MockSettings()}
    )
    plugins = {"mock": mock, "plain": Plain()}
    return Resolver.from_settings(settings, plugins=plugins, store=store, observers=observers)


def count(store: Store, counter: str = "requests.success") -> int:
    """Return the sum of a counter over all cells."""
    return sum(cell.counters.get(counter, 0) for _, cell in store.metrics.read())


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Return a function that opens stores, and close these at the end."""
    with ExitStack() as stack:

        def open_(path: Path) -> SqliteStore:
            store = SqliteStore(path, timeout_s=LONG_S)
            stack.callback(store.close)
            return store

        yield open_


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let closing wait for the last batch for as long as a busy machine may need."""
    monkeypatch.setattr(store_thread, "FLUSH_S", LONG_S)


def wait_until(is_done: Callable[[], bool]) -> None:
    """Wait for a condition, far longer than it takes."""
    ends = time.monotonic() + LONG_S
    while not is_done():
        assert time.monotonic() < ends
        time.sleep(0.01)


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program in an interpreter of its own."""
    code = textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=LONG_S, check=False
    )


PROGRAM = """
    import os, sys, time
    from kickai_mock.plugin import plugin as mock
    from kickai_mock.settings import MockSettings
    from kickai_providers_core import KickaiSettings, Resolver, Settings
    from kickai_providers_core.observability import store_thread
    from kickai_providers_core.stores.sqlite import SqliteStore

    settings = Settings(
        kickai=KickaiSettings(primary="mock", fallback=(), plugins=()), providers={"mock": MockSettings()}
    )
    store_thread.FLUSH_S = 20.0  # a busy machine may take longer than 0.25 s
    store = SqliteStore(sys.argv[1], timeout_s=20.0)
    resolver = Resolver.from_settings(settings, plugins={"mock": mock}, store=store)
    chain = resolver.for_role("scout")
"""


@pytest.mark.usefixtures("patient")
def test_requests_of_threads_and_loops_arrive_once(tmp_path: Path, opened: Opener) -> None:
    """Sync, async and streamed requests of several threads are all in the store after closing."""
    store, replies = opened(tmp_path / "kickai.db"), []
    with create(store) as resolver:
        chain = resolver.for_role("scout")

        async def ask_async() -> None:
            for _ in range(10):
                await chain.ainvoke("hello")

        def ask() -> None:
            replies.extend(chain.invoke("hello") for _ in range(10))
            asyncio.run(ask_async())
            for _ in range(10):
                list(chain.stream("hello"))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wait_until(lambda: count(store) > 0)
    assert count(store) == count(store, "attempts.success") == 120
    assert count(store, "requests.streamed") == 40
    assert sum(sum(cell.latency.values()) for _, cell in store.metrics.read()) == 80
    assert sum(sum(cell.first_token.values()) for _, cell in store.metrics.read()) == 40
    assert count(store, "tokens.input.32000") == sum(reply.usage.input_tokens for reply in replies) * 3
    assert {(key.provider, key.role, key.arm) for key, _ in store.metrics.read()} == {("mock", "scout", "")}
    assert [writer.is_final for writer in store.metrics.read_writers()] == [True]


def test_without_a_store_there_is_no_thread() -> None:
    """A resolver without a store starts no thread, and has no status."""
    before = threading.active_count()
    with create(None) as resolver:
        resolver.for_role("scout").invoke("hello")
        assert threading.active_count() == before
        assert resolver.store_status() is None


@pytest.mark.usefixtures("patient")
def test_closing_on_an_event_loop_writes_too() -> None:
    """``async with`` ends like ``with``."""
    store = MemoryStore()

    async def main() -> None:
        async with create(store) as resolver:
            await resolver.for_role(None).ainvoke("hello")

    asyncio.run(main())
    assert count(store) == 1


class BlockedStore(MemoryStore):
    """A store that blocks until the test ends."""

    def __init__(self) -> None:
        super().__init__()
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.callers: list[threading.Thread] = []
        self._add, self.metrics.add = self.metrics.add, self.add  # type: ignore[method-assign]

    def add(self, batch: MetricsBatch) -> None:
        """Block."""
        self.callers.append(threading.current_thread())
        self.entered.set()
        self.go_on.wait()
        self._add(batch)


def test_no_request_waits_for_a_store_that_blocks_for_ever() -> None:
    """Requests are answered and the resolver closes while one call is in the store, on a thread of its own."""
    store = BlockedStore()
    resolver = create(store)
    try:
        chain = resolver.for_role("scout")
        chain.invoke("hello")
        assert store.entered.wait(LONG_S)
        for _ in range(100):
            assert chain.invoke("hello").provider == "mock"
        status = resolver.store_status()
        assert status is not None
        assert status.behind_s > 0
        resolver.close()
        (caller,) = store.callers
        assert caller.is_alive(), "the store has not returned, and everything else has"
        assert caller.name == "kickai-store"
    finally:
        store.go_on.set()
        for caller in store.callers:
            caller.join(LONG_S)
    wait_until(lambda: count(store) == 101)


def test_a_dropped_resolver_ends_its_thread() -> None:
    """Without ``close``, the thread ends when the resolver is collected, and has written everything."""
    store = MemoryStore()
    resolver = create(store)
    collected = weakref.ref(resolver)
    resolver.for_role(None).invoke("hello")
    assert any(thread.name == "kickai-store" for thread in threading.enumerate())
    del resolver
    gc.collect()
    assert collected() is None
    wait_until(lambda: not any(thread.name == "kickai-store" for thread in threading.enumerate()))
    assert count(store) == 1


def test_the_end_of_a_process_writes_what_is_left(tmp_path: Path, opened: Opener) -> None:
    """A program that never closes its resolver loses nothing."""
    path = tmp_path / "kickai.db"
    done = run(PROGRAM + "    chain.invoke('hello')\n    print(chain.invoke('hello').text)", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    store = opened(path)
    assert count(store) == 2
    assert [writer.is_final for writer in store.metrics.read_writers()] == [True]


def test_a_process_ends_although_its_store_blocks() -> None:
    """A store that hangs keeps no program from ending."""
    program = """
        import sys, threading
        from kickai_providers_core.stores.memory import MemoryStore
        from kickai_mock.plugin import plugin as mock
        from kickai_mock.settings import MockSettings
        from kickai_providers_core import KickaiSettings, Resolver, Settings

        store, entered = MemoryStore(), threading.Event()
        def add(batch):
            entered.set()
            threading.Event().wait()
        store.metrics.add = add
        settings = Settings(
            kickai=KickaiSettings(primary="mock", fallback=(), plugins=()), providers={"mock": MockSettings()}
        )
        resolver = Resolver.from_settings(settings, plugins={"mock": mock}, store=store)
        resolver.for_role(None).invoke("hello")
        assert entered.wait(20)
        print("served")
    """
    done = run(program)
    assert (done.returncode, done.stdout, done.stderr) == (0, "served\n", "")


@pytest.mark.skipif(not HAS_FORK, reason="this system has no signals")
@pytest.mark.usefixtures("patient")
def test_a_killed_process_loses_only_what_was_not_written(tmp_path: Path, opened: Opener) -> None:
    """After ``kill -9``, what was written is whole, and the process has not said that it ended."""
    path = tmp_path / "kickai.db"
    program = textwrap.dedent(
        PROGRAM
        + """
    chain.invoke("hello")
    while not list(store.metrics.read()):
        time.sleep(0.01)
    print("written", flush=True)
    while True:
        chain.invoke("hello")
    """
    )
    with subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
        process.wait(LONG_S)
    store = opened(path)
    assert count(store) >= 1
    (writer,) = store.metrics.read_writers()
    assert not writer.is_final
    with create(store) as resolver:
        before = count(store)
        resolver.for_role("scout").invoke("hello")
    assert count(store) == before + 1


@pytest.mark.skipif(not HAS_FORK, reason="this system has no fork")
@pytest.mark.usefixtures("patient")
def test_parent_and_child_write_their_own(tmp_path: Path, opened: Opener) -> None:
    """After a fork, each process writes what it served under a name of its own, with a thread of its own."""
    store = opened(tmp_path / "kickai.db")
    resolver = create(store, "plain")
    chain = resolver.for_role("scout")
    chain.invoke("parent")
    wait_until(lambda: count(store) == 1)
    chain.invoke("parent, not written yet")

    def serve() -> list[str | None]:
        ids = [chain.invoke("child").request_id for _ in range(3)]
        resolver.close()
        return ids

    ids = [*run_in_child(serve), *run_in_child(serve), chain.invoke("parent").request_id]
    resolver.close()
    assert count(store) == 9
    assert len({writer.process for writer in store.metrics.read_writers()}) == 3
    assert all(writer.is_final for writer in store.metrics.read_writers())
    assert len(set(ids)) == 7


@pytest.mark.skipif(not HAS_FORK, reason="this system has no fork")
def test_the_workers_of_a_process_pool_lose_nothing(tmp_path: Path, opened: Opener) -> None:
    """A worker that ``multiprocessing`` ends at once has written its requests, without closing anything."""
    path = tmp_path / "kickai.db"
    program = """
    import multiprocessing

    def serve(number):
        return chain.invoke(f"question {number}").text

    context = multiprocessing.get_context("fork")
    chain.invoke("parent")
    workers = [context.Process(target=serve, args=(number,)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    """
    done = run(PROGRAM + program, str(path))
    assert done.returncode == 0, done.stderr
    store = opened(path)
    assert count(store) == 4
    assert [writer.is_final for writer in store.metrics.read_writers()] == [True] * 4


@pytest.mark.skipif(not HAS_FORK, reason="this system has no fork")
def test_a_fork_while_the_store_blocks_blocks_nobody() -> None:
    """The child serves requests although its parent's thread hangs in the store."""
    store = BlockedStore()
    resolver = create(store)
    chain = resolver.for_role("scout")
    chain.invoke("parent")
    assert store.entered.wait(LONG_S)
    text = run_in_child(lambda: chain.invoke("child").text)
    assert text
    store.go_on.set()
    resolver.close()
    for caller in store.callers:
        caller.join(LONG_S)
    assert count(store) == 1


@pytest.mark.usefixtures("patient")
def test_feedback_is_counted_where_the_answer_was(tmp_path: Path, opened: Opener) -> None:
    """By reply and by request id; an id that is unknown is an error."""
    store = opened(tmp_path / "kickai.db")
    with create(store) as resolver:
        reply = resolver.for_role("scout").invoke("hello")
        assert reply.request_id is not None
        resolver.record_feedback(reply, ok=True)
        resolver.record_feedback(reply.request_id, ok=False, name="tone")
        resolver.record_feedback(reply.request_id, ok=True, name="tone")
        with pytest.raises(ArgumentValueError, match=f"{REMEMBERED:,}"):
            resolver.record_feedback("unknown", ok=True)
    (cell,) = [cell for key, cell in store.metrics.read() if key.model == reply.model and key.role == "scout"]
    assert read_feedback(cell.counters) == {"answer": Feedback(1, 0), "tone": Feedback(1, 1)}


def test_every_reply_has_a_request_id() -> None:
    """When the provider gives none, the core makes one: distinct in each resolver and for each request."""
    ended: list[str | None] = []

    def observe(event: object) -> None:
        if isinstance(event, RequestEnded):
            ended.append(event.request_id)

    ids: list[str | None] = []
    for _ in range(2):
        with create(None, "plain", [observe]) as resolver:
            chain = resolver.for_role(None)
            ids += [chain.invoke("hello").request_id for _ in range(3)]
            stream = chain.stream("hello")
            list(stream)
            assert stream.reply is not None
            ids.append(stream.reply.request_id)
    assert len(set(ids)) == 8
    assert None not in ids
    assert ids == ended


def test_the_command_line_counts_its_request(tmp_path: Path, opened: Opener) -> None:
    """``kickai ask`` with a store in its settings writes its request before it ends."""
    settings = tmp_path / "kickai.toml"
    settings.write_text('[kickai]\nprimary = "mock"\nfallback = []\n\n[store]\nurl = "sqlite:///metrics.db"\n')
    settings.chmod(0o600)
    main = (
        "from kickai_providers_core.observability import store_thread; store_thread.FLUSH_S = 20.0; "
        "from kickai_providers_core.cli import main; raise SystemExit(main())"
    )
    command = [sys.executable, "-c", main, "ask", "--config", str(settings), "hello"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LONG_S, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    store = opened(tmp_path / "metrics.db")
    assert count(store) == 1
    assert [writer.is_final for writer in store.metrics.read_writers()] == [True]


def test_a_store_that_cannot_be_opened_fails_no_request(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A missing plugin or a missing folder is one warning and a status; requests are answered."""
    for url, words in (
        ("redis://user:secret@localhost/0", "kickai-redis"),
        (f"sqlite:///{tmp_path}/missing/kickai.db", "missing"),
    ):
        caplog.clear()
        source = {
            "kickai": {"primary": "mock", "fallback": [], "plugins": []},
            "store": {"url": url, "namespace": "test"},
        }
        with Resolver.from_settings(source, env={}, plugins={"mock": mock}) as resolver:
            assert resolver.for_role(None).invoke("hello").text
            wait_until(lambda: bool(resolver.store_status().error))
            status = resolver.store_status()
            assert status is not None
            assert words in status.error
            assert "secret" not in status.error + caplog.text
        assert len([record for record in caplog.records if "store" in record.message]) == 1


@pytest.mark.parametrize("arguments", [("roles",), ("providers",)])
def test_a_listing_opens_no_store(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Only commands that call a provider, and those about the store itself, create its file."""
    (tmp_path / "kickai.toml").write_text('[store]\nurl = "sqlite:///kickai.db"\n')
    assert installed(*arguments, folder=tmp_path).code == 0
    assert not (tmp_path / "kickai.db").exists()
