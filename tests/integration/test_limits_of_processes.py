"""Limits per minute and per day in processes that share one SQLite file."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from command_line import PROGRAM, environment

pytest.importorskip("kickai_mock", reason="the processes call kickai-mock")

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow
SETTINGS = """
[kickai]
primary = "free"
fallback = ["paid"]
plugins = ["mock"]

[providers.free]
kind = "mock"
model = "free"
LIMIT

[providers.paid]
kind = "mock"
model = "paid"

[store]
url = "sqlite:///kickai.db"
"""

WORKER = """
import json, sys, time
from kickai_providers_core import Resolver

served, reasons = [], set()
with Resolver.from_settings() as resolver:
    chain = resolver.for_role("team_manager")
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(sys.argv[1])):
        time.sleep(0.05)
        reply = chain.invoke("hi", max_tokens=1, deadline_s=2)
        served.append((reply.provider, time.time()))
        reasons |= {skip.reason.value for skip in reply.trace.skipped}
print(json.dumps([served, sorted(reasons)]))
"""


def run_workers(folder: Path, limit: str, *, count: int, requests: int) -> tuple[list[float], set[str]]:
    """Let processes send requests at the same time; return when the limited target served, and why it was skipped."""
    (folder / "kickai.toml").write_text(SETTINGS.replace("LIMIT", limit))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(requests)],
            cwd=folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    times, reasons = [], set()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        out, _ = worker.communicate(timeout=300)
        assert worker.returncode == 0
        served, own = json.loads(out)
        assert len(served) == requests
        times += [at for provider, at in served if provider == "free"]
        reasons |= set(own)
    return sorted(times), reasons


def test_processes_never_exceed_a_limit_per_day(tmp_path: Path) -> None:
    """Four processes use it up, the rest is served by the fallback with that reason, and a later process agrees."""
    times, reasons = run_workers(tmp_path, "requests_per_day = 60", count=4, requests=40)
    assert 45 <= len(times) <= 60  # a process may end with permits that the others lacked
    assert "daily_limit" in reasons
    more, _ = run_workers(tmp_path, "requests_per_day = 60", count=1, requests=80)
    assert len(times) + len(more) == 60
    report = [str(PROGRAM), "report", "--json"]
    ended = subprocess.run(report, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=True)
    fallbacks = json.loads(ended.stdout)["fallbacks"]
    assert "daily_limit" in {each["reason"] for each in fallbacks}


def test_processes_never_exceed_a_limit_per_minute(tmp_path: Path) -> None:
    """Within any minute, although each process alone would stay within it."""
    times, reasons = run_workers(tmp_path, "requests_per_minute = 30", count=3, requests=30)
    assert len(times) >= 10
    assert all(sum(start <= at < start + 60.0 for at in times) <= 30 for start in times)
    assert "busy" in reasons


def test_processes_never_exceed_the_tokens_of_a_day_by_more_than_running_calls(tmp_path: Path) -> None:
    """Each call is estimated before it is made, and counted by the provider after it."""
    times, reasons = run_workers(tmp_path, "tokens_per_day = 300", count=2, requests=200)
    assert times
    assert len(times) <= 300
    assert "daily_limit" in reasons
