"""The resolver that everything in `compat` shares: created lazily, safe to fork, closed at exit, replaced by `use`."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from command_line import environment
from distributions import Environment
from forks import run_in_child

from kickai_providers_core import ArgumentTypeError, ConfigError, compat
from kickai_providers_core.compat import AgentRole, ResilientLLM
from kickai_providers_core.compat.process_default import ProcessDefault, _default

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import World

    from kickai_providers_core import Resolver

OFFLINE = {"KICKAI_PLUGINS": "none"}


@pytest.fixture
def lazy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty folder without plugins; the lazily created resolver is closed at the end."""
    monkeypatch.chdir(tmp_path)
    for name in [*os.environ]:
        if name.startswith(("KICKAI_", "AI_PROVIDER")):
            monkeypatch.delenv(name)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    yield
    compat.use(None)


def test_nothing_is_read_before_the_first_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object can be created while the settings are still invalid, and is used when they are valid."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KICKAI_DEADLINE_S", "soon")
    llm = ResilientLLM(AgentRole.TEAM_MANAGER)
    with pytest.raises(ConfigError):
        llm.invoke("Go")
    monkeypatch.setenv("KICKAI_DEADLINE_S", "7")
    try:
        assert llm.chain.deadline_s == 7
    finally:
        compat.use(None)


@pytest.mark.usefixtures("lazy")
def test_there_is_one_resolver() -> None:
    """Threads that begin at the same time share it."""
    barrier, found = threading.Barrier(8), set()

    def get() -> None:
        barrier.wait()
        found.add(compat.get_resolver())

    threads = [threading.Thread(target=get) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 1
    assert compat.get_resolver() in found


def test_a_resolver_that_is_replaced_while_it_is_created_is_closed(
    build: Callable[..., Resolver],
) -> None:
    """A caller that waits for it gets the new one."""
    slow, new = build(), build()
    is_creating, may_end = threading.Event(), threading.Event()

    def create() -> Resolver:
        is_creating.set()
        may_end.wait(30)
        return slow

    default, found = ProcessDefault(create), []
    thread = threading.Thread(target=lambda: found.append(default.get()))
    thread.start()
    assert is_creating.wait(30)
    default.replace(new)
    may_end.set()
    thread.join(30)
    assert found == [new]
    with pytest.raises(RuntimeError, match="closed"):
        slow.for_role("team_manager").invoke("Go")


@pytest.mark.usefixtures("lazy")
def test_without_a_store_it_counts_in_memory() -> None:
    """The monitor has a report nevertheless."""
    assert repr(compat.get_resolver().store) == "MemoryStore()"
    monitor = compat.get_migration_monitor()
    monitor.log_request("gemini")
    assert monitor.get_migration_report()["total_requests"] == 1


def test_a_configured_store_is_used(lazy: None, tmp_path: Path) -> None:
    """The report has the requests of earlier processes."""
    (tmp_path / "kickai.toml").write_text('[store]\nurl = "sqlite:///kickai.db"\n')
    compat.get_migration_monitor().log_request("gemini")
    compat.use(None)
    compat.get_migration_monitor().log_request("gemini")
    assert compat.get_migration_monitor().get_migration_report()["total_requests"] == 2
    assert (tmp_path / "kickai.db").exists()


def test_use_replaces_the_resolver(build: Callable[..., Resolver]) -> None:
    """Objects that exist already use the new one, with the next call. The old one stays open: its owner closes it."""
    first, second = build(), build()
    compat.use(first)
    llm = ResilientLLM("team_manager")
    before = llm.chain
    assert llm.chain is before
    compat.use(second)
    assert compat.get_resolver() is second
    assert llm.chain is not before
    assert llm.invoke("Go") == "huggingface answers"
    assert before.invoke("Go").text == "huggingface answers"


def test_use_takes_a_resolver_only() -> None:
    """Anything else is refused."""
    with pytest.raises(ArgumentTypeError, match="resolver must be a Resolver or None, got str of 2 characters"):
        compat.use("hf")  # type: ignore[arg-type]


def test_a_resolver_without_a_store_has_an_empty_report(build: Callable[..., Resolver]) -> None:
    """A warning says how to get one."""
    compat.use(build(with_store=False))
    ResilientLLM("team_manager").invoke("Go")
    report = compat.get_migration_monitor().get_migration_report()
    assert report["total_requests"] == 0
    assert report["success_rate"] is None
    assert "set [store] url" in report["warnings"][-1]


def test_a_closed_resolver_says_that_the_report_is_incomplete(build: Callable[..., Resolver]) -> None:
    """What was written before is still in it."""
    compat.use(resolver := build())
    ResilientLLM("team_manager").invoke("Go")
    resolver.close()
    compat.get_migration_monitor().log_request("gemini")
    report = compat.get_migration_monitor().get_migration_report()
    assert report["total_requests"] == 1
    assert "are missing" in report["warnings"][-1]


def test_a_forked_child_uses_it_too(world: World, build: Callable[..., Resolver]) -> None:
    """Even if another thread holds its lock while the process forks."""
    compat.use(build())
    llm = ResilientLLM(AgentRole.TEAM_MANAGER)
    assert llm.invoke("Go") == "huggingface answers"

    def in_child() -> list[object]:
        compat.get_smart_provider().report_error("gemini")
        return [llm.invoke("Go"), compat.get_migration_monitor().get_migration_report()["total_requests"]]

    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with _default._lock:
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        assert run_in_child(in_child) == ["huggingface answers", 1]
    finally:
        done.set()
        thread.join()


PLUGIN = """
import os, time

from kickai_providers_core import FinishReason, ProviderInfo, Reply, hookimpl

time.sleep(float(os.environ.get("IMPORT_S", "0")))
PARENT = os.getpid()

@hookimpl
def kickai_provider_info():
    return ProviderInfo(name="plain", summary="says when it is closed")

@hookimpl
def kickai_create_provider():
    return object()

@hookimpl
def kickai_invoke_provider(provider, request):
    return Reply(text="yes", finish_reason=FinishReason.STOP)

@hookimpl
def kickai_close_provider(provider):
    print("closed parent" if os.getpid() == PARENT else "closed child", flush=True)
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., list[str]]:
    """Run a program with an installed provider, and return the lines that it prints."""
    distributions = Environment(tmp_path / "site")
    distributions.install("kickai-plain", PLUGIN, entry_point="plain", target="kickai_plain")
    paths = [str(distributions.site), *filter(None, [os.environ.get("PYTHONPATH")])]

    def run_program(source: str, **variables: str) -> list[str]:
        settings = {"KICKAI_PLUGINS": "plain", "KICKAI_PRIMARY": "plain", "KICKAI_FALLBACK": "none"}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", source],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=environment(PYTHONPATH=os.pathsep.join(paths), **settings, **variables),
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run_program


CALL = """
import os, sys
from kickai_providers_core import compat

print(compat.ResilientLLM("team_manager").invoke("hi"), flush=True)
"""


def test_it_is_closed_at_exit(run: Callable[..., list[str]]) -> None:
    """Once, and its providers with it."""
    assert run(CALL) == ["yes", "closed parent"]


def test_it_is_closed_when_it_is_replaced(run: Callable[..., list[str]]) -> None:
    """It is not closed again at exit."""
    replace = "compat.use(None); print('replaced', flush=True)"
    assert run(CALL + replace) == ["yes", "closed parent", "replaced"]


def test_a_child_closes_only_what_it_has_opened(run: Callable[..., list[str]]) -> None:
    """A child that calls nothing closes nothing; one that calls closes its own provider."""
    fork = """
for calls in (False, True):
    pid = os.fork()
    if pid == 0:
        if calls:
            compat.ResilientLLM("team_manager").invoke("hi")
        sys.exit()
    os.waitpid(pid, 0)
    print("waited", flush=True)
"""
    assert run(CALL + fork) == ["yes", "waited", "closed child", "waited", "closed parent"]


def test_the_first_asynchronous_call_does_not_block_the_event_loop(run: Callable[..., list[str]]) -> None:
    """Although it reads the settings and imports a plugin, which takes a second and a half here."""
    program = """
import asyncio
from kickai_providers_core import compat

async def main():
    call = asyncio.ensure_future(compat.ResilientLLM("team_manager").ainvoke("hi"))
    ticks = 0
    while not call.done():
        await asyncio.sleep(0.01)
        ticks += 1
    print(await call, ticks >= 10, flush=True)

asyncio.run(main())
"""
    assert run(program, IMPORT_S="1.5")[0] == "yes True"


@pytest.mark.usefixtures("lazy")
def test_an_agent_keeps_its_model_when_no_provider_can_answer(caplog: pytest.LogCaptureFixture) -> None:
    """One warning says so, however many agents there are."""
    base = object()
    with caplog.at_level(logging.WARNING):
        assert [compat.get_agent_llm(base, role) for role in AgentRole] == [base] * 10
    assert len(caplog.records) == 1
    assert "no provider is configured" in caplog.text or "cannot be used" in caplog.text


def test_an_agent_keeps_its_model_when_the_settings_are_invalid(
    lazy: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning has the error."""
    monkeypatch.setenv("KICKAI_DEADLINE_S", "soon")
    with caplog.at_level(logging.WARNING):
        assert compat.get_agent_llm("base", "team_manager") == "base"
        assert compat.get_agent_llm("base", "squad_selector") == "base"
    assert len(caplog.records) == 1
    assert "KICKAI_DEADLINE_S" in caplog.text


@pytest.mark.usefixtures("resolver")
def test_an_agent_gets_the_chain_of_its_role(world: World) -> None:
    """A provider that fails at present does not matter."""
    world.huggingface.fails = world.gemini.fails = True
    llm = compat.get_agent_llm("base", AgentRole.SQUAD_SELECTOR)
    assert isinstance(llm, ResilientLLM)
    assert llm.chain.role == "squad_selector"
