"""One resolver, 64 threads, 1,000 tasks on four event loops, a fifth of the calls fails: nothing is lost or left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from holdings import Holdings
from kickai_mock.plugin import plugin as mock
from kickai_mock.settings import MockSettings
from soak.ledger import Ledger
from soak.traffic import WAYS, Traffic

from kickai_providers_core import KickaiSettings, Resolver, Secret, Settings

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from kestrel.plugin import plugin as kestrel
from kestrel.settings import KestrelSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core import Chain, ProviderSettings

THREADS, TASKS = 64, 1_000
WARM_UP_S = 5.0
MEMORY_MB, OBJECTS = 8.0, 2_000
"""How much more memory and objects may be in use after minutes of traffic than after seconds."""

AT_ONCE = 96
"""The maximum number of simultaneous calls of one of the providers."""

FAILING = 0.2
"""The share of calls that fail."""

RATES = {
    "unavailable": 0.06,
    "timeout": 0.04,
    "invalid_reply": 0.03,
    "rate_limited:0.05": 0.03,
    "cut": 0.02,
    "malformed": 0.01,
    "silence": 0.01,
}

pytestmark = pytest.mark.slow


def run_traffic(chain: Chain, ledger: Ledger, seconds: float, **habits: float) -> tuple[Holdings, Holdings]:
    """Send traffic for a warm-up and then for the given time; return the resources in use after each."""
    traffic = Traffic(chain, ledger, **habits)
    assert traffic.run(WARM_UP_S, threads=THREADS, tasks=TASKS) == 0
    warm = Holdings.now()
    assert traffic.run(seconds, threads=THREADS, tasks=TASKS) == 0
    return warm, Holdings.now()


def check_results(name: str, ledger: Ledger, warm: Holdings, after: Holdings) -> None:
    """Print the results of the traffic, and check them."""
    print(
        f"\n{name}: {ledger.started:,} requests, {THREADS} threads, {TASKS:,} tasks, slowest {ledger.slowest_s:.2f} s"
    )
    for way, ends in sorted(ledger.ways.items()):
        print(f"  {way:18}{dict(ends.most_common())}")
    print(f"  callers saw  {dict(ledger.ends.most_common())}, strange {dict(ledger.strange)}")
    print(f"  events       {dict(ledger.reported.most_common())}, open {ledger.open}, wrong {ledger.wrong}")
    print(f"  calls        {dict(ledger.calls.most_common())}, {100 * ledger.failing:.1f} % of them failed")
    print(f"  in use after the warm-up  {warm}\n  in use at the end         {after}")
    ledger.check()
    assert ledger.ends["reply"] > ledger.started / 2
    assert set(ledger.ways) == set(WAYS)
    assert FAILING - 0.05 <= ledger.failing <= FAILING + 0.05
    assert after.memory_mb <= warm.memory_mb + MEMORY_MB
    assert after.objects <= warm.objects + OBJECTS


def make_resolver(ledger: Ledger, plugins: Mapping[str, object], **instances: ProviderSettings) -> Resolver:
    """Return the resolver that all callers share."""
    settings = Settings(kickai=KickaiSettings(plugins=(), deadline_s=5.0), providers=instances)
    return Resolver.from_settings(settings, plugins=plugins, observers=[ledger.observe])


def test_over_the_mock(seconds: float) -> None:
    """Promise 9: each request ends in exactly one reply or typed error, and no resource is left.

    The first provider has a limit of simultaneous calls, so that a queue forms sometimes.
    """
    before, ledger = Holdings.now(), Ledger()
    common = {"kind": "mock", "latency_s": 0.02, "rates": RATES, "timeout_s": 1.0}
    instances = {name: MockSettings(seed=seed, **common) for seed, name in enumerate(("first", "second"))}
    instances["first"] = evolve(instances["first"], max_concurrency=AT_ONCE)
    with make_resolver(ledger, {"mock": mock}, **instances) as resolver:
        chain = resolver.chain("first:a", "first:b", "second:a")
        warm, after = run_traffic(chain, ledger, seconds, pause_s=0.5, impatience_s=0.005)
        gate = resolver.registry.find("first").rate_limiter
    print(
        f"\n{ledger.queued:,} requests waited for the first provider, at most {ledger.longest_queue} at the same time"
    )
    assert ledger.queued
    assert (gate.in_flight, gate.waiting) == (0, 0)
    check_results("over the mock", ledger, warm, after)
    left = Holdings.now()
    assert (left.threads, left.files, left.sockets) == (before.threads, before.files, before.sockets)


def test_over_sockets(seconds: float) -> None:
    """Promise 9: the same over real connections to a service that fails, resets, cuts, stalls and sends bad bodies."""
    before, ledger = Holdings.now(), Ledger()
    command = [sys.executable, str(Path(__file__).with_name("service.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        url = f"http://127.0.0.1:{service.stdout.readline().strip()}"
        common = {"kind": "kestrel", "url": url, "key": Secret("k"), "timeout_s": 1.0}
        instances = {name: KestrelSettings(**common) for name in ("first", "second")}
        with make_resolver(ledger, {"kestrel": kestrel}, **instances) as resolver:
            chain = resolver.chain("first:a", "first:b", "second:a")
            warm, after = run_traffic(chain, ledger, seconds, pause_s=2.0, impatience_s=0.002)
        service.stdin.write("?\n")
        service.stdin.flush()
        connected, came = map(int, service.stdout.readline().split())
        service.stdin.close()
    assert service.returncode == 0
    check_results("over sockets", ledger, warm, after)
    print(f"  the service saw {came:,} calls, and has {connected} clients left")
    assert connected == 0
    left = Holdings.now()
    assert (left.threads, left.files, left.sockets) == (before.threads, before.files, before.sockets)
