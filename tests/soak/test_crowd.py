"""One resolver, 64 threads, 1,000 tasks on four event loops, a fifth of the calls going wrong: nothing lost or left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import kickai_mock.plugin as mock
import pytest
from attrs import evolve
from holdings import Holdings
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
"""What may be held more after minutes of traffic than after seconds: the allocator's play."""

AT_ONCE = 96
"""How many calls one of the providers takes at once."""

FAILING = 0.2
"""The share of the calls that go wrong."""

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


def soaked(chain: Chain, ledger: Ledger, seconds: float, **habits: float) -> tuple[Holdings, Holdings]:
    """Send traffic for some seconds, and the same again for as long as asked; return what was held after each."""
    traffic = Traffic(chain, ledger, **habits)
    assert traffic.run(WARM_UP_S, threads=THREADS, tasks=TASKS) == 0
    warm = Holdings.now()
    assert traffic.run(seconds, threads=THREADS, tasks=TASKS) == 0
    return warm, Holdings.now()


def judged(name: str, ledger: Ledger, warm: Holdings, after: Holdings) -> None:
    """Print what came of the traffic, and hold it against what must come of it."""
    print(
        f"\n{name}: {ledger.asked:,} requests, {THREADS} threads and {TASKS:,} tasks, slowest {ledger.slowest_s:.2f} s"
    )
    for way, ends in sorted(ledger.ways.items()):
        print(f"  {way:18}{dict(ends.most_common())}")
    print(f"  callers saw  {dict(ledger.ends.most_common())}, strange {dict(ledger.strange)}")
    print(f"  events told  {dict(ledger.told.most_common())}, open {ledger.open}, wrong {ledger.wrong}")
    print(f"  calls        {dict(ledger.calls.most_common())}, {100 * ledger.failing:.1f} % of them failed")
    print(f"  held after the warm-up  {warm}\n  held at the end         {after}")
    ledger.check()
    assert ledger.ends["reply"] > ledger.asked / 2
    assert set(ledger.ways) == set(WAYS)
    assert FAILING - 0.05 <= ledger.failing <= FAILING + 0.05
    assert after.memory_mb <= warm.memory_mb + MEMORY_MB
    assert after.objects <= warm.objects + OBJECTS


def holder(ledger: Ledger, plugins: Mapping[str, object], **instances: ProviderSettings) -> Resolver:
    """Return the one resolver that all share."""
    settings = Settings(kickai=KickaiSettings(plugins=(), deadline_s=5.0), providers=instances)
    return Resolver.from_settings(settings, plugins=plugins, observers=[ledger.watch])


def test_over_the_mock(seconds: float) -> None:
    """Promise 9: each request ends in exactly one reply or typed error, and the process holds what it held before.

    The first provider takes so many calls at once, so that there is a line before it now and then.
    """
    before, ledger = Holdings.now(), Ledger()
    common = {"kind": "mock", "latency_s": 0.02, "rates": RATES, "timeout_s": 1.0}
    instances = {name: MockSettings(seed=seed, **common) for seed, name in enumerate(("first", "second"))}
    instances["first"] = evolve(instances["first"], max_concurrency=AT_ONCE)
    with holder(ledger, {"mock": mock}, **instances) as resolver:
        chain = resolver.chain("first:a", "first:b", "second:a")
        warm, after = soaked(chain, ledger, seconds, pause_s=0.5, impatience_s=0.005)
        gate = resolver.registry.find("first").gate
    print(
        f"\n{ledger.queued:,} requests stood in line before the first provider, {ledger.line} of them at once at most"
    )
    assert ledger.queued
    assert (gate.inside, gate.waiting) == (0, 0)
    judged("over the mock", ledger, warm, after)
    left = Holdings.now()
    assert (left.threads, left.files, left.sockets) == (before.threads, before.files, before.sockets)


def test_over_sockets(seconds: float) -> None:
    """Promise 9: the same over real connections to a service that refuses, resets, cuts, garbles and falls silent."""
    before, ledger = Holdings.now(), Ledger()
    command = [sys.executable, str(Path(__file__).with_name("service.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as service:
        url = f"http://127.0.0.1:{service.stdout.readline().strip()}"
        common = {"kind": "kestrel", "url": url, "key": Secret("k"), "timeout_s": 1.0}
        instances = {name: KestrelSettings(**common) for name in ("first", "second")}
        with holder(ledger, {"kestrel": kestrel}, **instances) as resolver:
            chain = resolver.chain("first:a", "first:b", "second:a")
            warm, after = soaked(chain, ledger, seconds, pause_s=2.0, impatience_s=0.002)
        service.stdin.write("?\n")
        service.stdin.flush()
        connected, came = map(int, service.stdout.readline().split())
        service.stdin.close()
    assert service.returncode == 0
    judged("over sockets", ledger, warm, after)
    print(f"  the service saw {came:,} calls, and has {connected} clients left")
    assert connected == 0
    left = Holdings.now()
    assert (left.threads, left.files, left.sockets) == (before.threads, before.files, before.sockets)
