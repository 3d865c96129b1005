"""A primary that fails and recovers, over real sockets: every request is answered, and traffic returns to it."""

from __future__ import annotations

import sys
import threading
import time
from itertools import cycle
from pathlib import Path

import pytest
from holdings import Holdings
from soak.ledger import Ledger
from soak.service import Either
from soak.traffic import WAYS, Traffic

from kickai_providers_core import KickaiSettings, Resolver, Secret, Settings
from kickai_providers_core.resilience.breaker import BreakerSettings
from kickai_providers_core.testing import faults
from kickai_providers_core.testing.faults import FaultServer

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from kestrel.plugin import plugin as kestrel
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire

DEADLINE_S, OVERRUN_S = 5.0, 0.25
BACK_S = 30.0

PHASES = (
    faults.Ok(),
    faults.Status(503),
    faults.Ok(),
    faults.Reset(),
    faults.Ok(),
    faults.Silence(),
    faults.Ok(),
    Either(faults.Reset(40), faults.Cut(1, how="rst")),
    faults.Ok(),
    Either(faults.Malformed(), faults.MalformedPiece(1)),
    faults.Ok(),
    Either(faults.Drip(0.2), faults.Stall(1)),
)
PHASE_S = 4.0
"""The duration of each phase; shorter when the time is too short for all of them."""

FREQUENT_PROBES = BreakerSettings(cooldown_s=1.0, max_cooldown_s=2.0)
"""Frequent probes, so that the primary is called in all its phases."""

BROKEN_STREAM = {"ProviderUnavailableError", "InvalidReplyError", "ProviderTimeoutError"}
"""Errors with which only a live stream may end, after its first piece was read."""

pytestmark = pytest.mark.slow


def flap(server: FaultServer, stop: threading.Event, calls: list[tuple[str, int]], phase_s: float) -> None:
    """Change what the service does every few seconds, and record the number of requests in each phase."""
    for fault in cycle(PHASES):
        server.default, before = fault, len(server.requests)
        stopped = stop.wait(phase_s)
        name = type(fault.streamed if isinstance(fault, Either) else fault).__name__
        calls.append((name, len(server.requests) - before))
        if stopped:
            return


def test_a_flapping_primary(seconds: float) -> None:
    """Promise 6: all requests but broken live streams are answered; the recovered primary serves within 30 s."""
    held, ledger, stop, calls = Holdings.now(), Ledger(), threading.Event(), []
    with FaultServer(KestrelWire()) as bad, FaultServer(KestrelWire()) as good:
        instances = {
            name: KestrelSettings(kind="kestrel", url=server.url, key=Secret("k"), timeout_s=1.0)
            for name, server in (("bad", bad), ("good", good))
        }
        settings = Settings(
            kickai=KickaiSettings(plugins=(), deadline_s=DEADLINE_S), providers=instances, breaker=FREQUENT_PROBES
        )
        with Resolver.from_settings(settings, plugins={"kestrel": kestrel}, observers=[ledger.observe]) as resolver:
            chain = resolver.chain("bad:a", "good:a")
            flapping = threading.Thread(target=flap, args=(bad, stop, calls, min(PHASE_S, seconds / len(PHASES))))
            flapping.start()
            traffic = Traffic(chain, ledger, pause_s=0.1, impatience_s=0.01)
            assert traffic.run(seconds, threads=8, tasks=16) == 0
            stop.set()
            flapping.join()
            bad.default, recovered = faults.Ok(), time.monotonic()
            while chain.invoke("hi").provider != "bad":
                assert time.monotonic() < recovered + BACK_S
                time.sleep(0.1)
            back_s = time.monotonic() - recovered
        assert bad.wait_closed(5.0)
        assert good.wait_closed(5.0)
    print(
        f"\nflapping: {ledger.started:,} requests, {dict(ledger.ends.most_common())}, slowest {ledger.slowest_s:.2f} s"
    )
    for way, ends in sorted(ledger.ways.items()):
        print(f"  {way:18}{dict(ends.most_common())}")
    print(f"  calls of the primary in each phase: {', '.join(f'{name} {count}' for name, count in calls)}")
    print(f"  back on the primary {back_s:.1f} s after its recovery")
    assert not ledger.strange
    assert set(ledger.ways) == set(WAYS)
    for way, ends in ledger.ways.items():
        assert set(ends) <= {"reply", "cancelled"} | (BROKEN_STREAM if way.endswith("live") else set())
    assert seconds < PHASE_S * len(PHASES) or all(count for _, count in calls[: len(PHASES)])
    assert ledger.slowest_s <= DEADLINE_S + OVERRUN_S
    left = Holdings.now()
    assert (left.threads, left.files, left.sockets) == (held.threads, held.files, held.sockets)
