"""A rollout in processes that share a file: they follow an operator without a restart, and agree on every key."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from command_line import environment, installed

pytest.importorskip("kickai_mock", reason="the processes call kickai-mock")

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
SETTINGS = """
[kickai]
primary = "old"
fallback = ["new"]
plugins = ["mock"]

[providers.old]
kind = "mock"
model = "old"

[providers.new]
kind = "mock"
model = "new"

[store]
url = "sqlite:///kickai.db"
"""

SERVER = """
import json, sys
from kickai_providers_core import Resolver

with Resolver.from_settings() as resolver:
    print("ready", flush=True)
    for line in sys.stdin:
        role, key = json.loads(line)
        reply = resolver.for_role(role).invoke("hi", key=key)
        print(reply.provider, flush=True)
"""


SHORT = """
import threading
from kickai_providers_core import Resolver

with Resolver.from_settings() as resolver:
    for _ in range(20):
        resolver.for_role("team_manager").invoke("hi")
for thread in threading.enumerate():  # on a busy machine, the last batch may take longer than closing waits
    if thread.name == "kickai-store":
        thread.join(60)
"""


class Server:
    """A process that answers requests on its standard input."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            cwd=folder,
            env=environment(**variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._read() == "ready"

    def _read(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def ask(self, key: str | None = None, role: str = "team_manager") -> str:
        """Return the provider that serves a request."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([role, key]) + "\n")
        self.process.stdin.flush()
        return self._read()

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Path:
    """Return a folder with settings."""
    (tmp_path / "kickai.toml").write_text(SETTINGS)
    return tmp_path


@pytest.fixture(name="start")
def _start(folder: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server."""
    servers: list[Server] = []

    def start(**variables: str) -> Server:
        servers.append(Server(folder, **variables))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the process did not follow"


def rollout(folder: Path, *arguments: str) -> str:
    """Run ``kickai rollout`` as an operator does."""
    done = installed("rollout", *arguments, folder=folder)
    assert done.code == 0, done.err
    return done.out


KEYS = [f"user-{number}" for number in range(40)]


def test_processes_follow_and_agree(folder: Path, start: Callable[..., Server]) -> None:
    """Two running processes and a later one send the same keys the same way; a larger share moves nobody back."""
    first, second = start(), start()
    assert {first.ask(key) for key in KEYS} == {"old"}
    rollout(folder, "set", "new", "30%")
    wait_until(lambda: "new" in {first.ask(key) for key in KEYS} and "new" in {second.ask(key) for key in KEYS})
    served = {key for key in KEYS if first.ask(key) == "new"}
    assert served
    for server in (second, start()):
        assert {key for key in KEYS if server.ask(key) == "new"} == served
    rollout(folder, "set", "new", "70%")
    wait_until(lambda: sum(first.ask(key) == "new" for key in KEYS) > len(served))
    assert served < {key for key in KEYS if first.ask(key) == "new"}


def test_a_rollback_is_immediate_for_all_or_one_role(folder: Path, start: Callable[..., Server]) -> None:
    """``rollout back --role`` for one role, ``rollout back`` for all, also for a role with its own rollout."""
    rollout(folder, "set", "new", "100%")
    rollout(folder, "set", "new", "100%", "--role", "finance_manager")
    server = start()
    assert {server.ask(role=role) for role in ("team_manager", "squad_selector")} == {"new"}
    rollout(folder, "back", "--role", "squad_selector")
    wait_until(lambda: server.ask(role="squad_selector") == "old")
    assert server.ask(role="team_manager") == "new"
    rollout(folder, "back")
    wait_until(lambda: server.ask(role="team_manager") == "old" and server.ask(role="finance_manager") == "old")


def test_ai_provider_overrides_the_rollout_of_its_process(folder: Path, start: Callable[..., Server]) -> None:
    """The variable is the immediate rollback of one process, even without a store."""
    rollout(folder, "set", "new", "100%")
    rolled_back, other = start(AI_PROVIDER="old"), start()
    assert rolled_back.ask() == "old"
    assert other.ask() == "new"


def test_a_request_falls_back_by_itself(folder: Path, start: Callable[..., Server]) -> None:
    """A candidate that fails costs its requests an attempt, and nobody an answer."""
    (folder / "kickai.toml").write_text(SETTINGS.replace('model = "new"', 'model = "unavailable"'))
    rollout(folder, "set", "new", "100%")
    assert start().ask() == "old"
    assert "new 100%" in rollout(folder, "status")


def test_the_chain_of_a_role_decides_when_the_rollout_is_removed(folder: Path, start: Callable[..., Server]) -> None:
    """The running process follows: one role goes back, and a role whose chain says so does not."""
    (folder / "kickai.toml").write_text(SETTINGS + '\n[roles.squad_selector]\nchain = ["new", "old"]\n')
    rollout(folder, "set", "new", "100%")
    server = start()
    assert (server.ask(role="squad_selector"), server.ask(role="team_manager")) == ("new", "new")
    rollout(folder, "remove")
    wait_until(lambda: server.ask(role="team_manager") == "old")
    assert server.ask(role="squad_selector") == "new"


def test_a_killed_operator_and_a_killed_process_leave_a_usable_rollout(
    folder: Path, start: Callable[..., Server]
) -> None:
    """What was acknowledged stays, and another process goes on."""
    server = start()
    rollout(folder, "set", "new", "100%")
    wait_until(lambda: server.ask() == "new")
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    assert start().ask() == "new"
    assert "new 100%" in rollout(folder, "status")


def count_requests(folder: Path, command: str = "status") -> dict[str, int]:
    """Return the requests of each arm, as a command shows them."""
    evidence = json.loads(rollout(folder, command, "--json"))["rollouts"][0]["evidence"]
    return {arm: counts["requests"] for arm, counts in evidence.items()}


def test_an_operator_sees_the_requests_of_processes_that_have_ended(folder: Path, start: Callable[..., Server]) -> None:
    """The status, the explanation and the report agree, after a short process, and after one that was killed."""
    rollout(folder, "set", "new", "50%")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", SHORT], cwd=folder, env=environment(), check=True, timeout=120)
    counted = count_requests(folder)
    assert sum(counted.values()) == 40
    assert count_requests(folder, "why") == counted
    report = json.loads(installed("report", "--json", folder=folder).out)
    assert {arm: report["arms"][arm]["requests"] for arm in counted} == counted
    server = start()
    for key in KEYS:
        server.ask(key)
    wait_until(lambda: sum(count_requests(folder).values()) == 40 + len(KEYS))
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(60)
    for command in ("status", "why"):
        assert sum(count_requests(folder, command).values()) == 40 + len(KEYS)


def test_two_operators_cannot_overwrite_each_other(folder: Path) -> None:
    """Of many changes of the same version at the same time, one is made."""
    rollout(folder, "set", "new", "1%")
    command = [sys.executable, "-c", "from kickai_providers_core.cli import main; raise SystemExit(main())"]
    running = [
        subprocess.Popen(
            [*command, "rollout", "set", "new", f"{share}%", "--expect", "1"],
            cwd=folder,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for share in (10, 20, 30, 40)
    ]
    ended = [(process.communicate(timeout=120)[1], process.returncode) for process in running]
    assert sorted(code for _, code in ended) == [0, 1, 1, 1]
    assert all("nothing was written" in error for error, code in ended if code)
    assert len(rollout(folder, "history").splitlines()) == 2
