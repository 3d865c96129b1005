"""A primary that comes and goes, over real sockets: every request is answered, and traffic finds its way back."""

from __future__ import annotations

import sys
import threading
import time
from itertools import cycle
from pathlib import Path

import pytest
from soak.ledger import Holdings, Ledger
from soak.traffic import Traffic

from kickai_providers_core import KickaiSettings, Resolver, Secret, Settings
from kickai_providers_core.testing.faults import FaultServer, Ok, Reset, Silence, Status

sys.path.insert(0, str(Path(__file__).parents[1] / "contract"))
from kestrel.plugin import plugin as kestrel
from kestrel.settings import KestrelSettings
from kestrel.wire import KestrelWire

PHASE_S = 4.0
BACK_S = 30.0

pytestmark = pytest.mark.slow


def flap(server: FaultServer, stop: threading.Event, calls: list[tuple[str, int]]) -> None:
    """Change what the service does every few seconds, up and down in turns, and note how often each was asked."""
    for fault in cycle([Ok(), Status(503), Ok(), Reset(), Ok(), Silence()]):
        server.default, before = fault, len(server.requests)
        stopped = stop.wait(PHASE_S)
        calls.append((type(fault).__name__, len(server.requests) - before))
        if stopped:
            return


def test_a_flapping_primary(seconds: float) -> None:
    """Promise 6: through all comings and goings nobody is left without an answer; in the end it serves within 30 s."""
    held, ledger, stop, calls = Holdings.now(), Ledger(), threading.Event(), []
    with FaultServer(KestrelWire()) as bad, FaultServer(KestrelWire()) as good:
        instances = {
            name: KestrelSettings(kind="kestrel", url=server.url, key=Secret("k"), timeout_s=1.0)
            for name, server in (("bad", bad), ("good", good))
        }
        settings = Settings(kickai=KickaiSettings(plugins=(), deadline_s=5.0), providers=instances)
        with Resolver.from_settings(settings, plugins={"kestrel": kestrel}, observers=[ledger.watch]) as resolver:
            chain = resolver.chain("bad:a", "good:a")
            flapping = threading.Thread(target=flap, args=(bad, stop, calls))
            flapping.start()
            traffic = Traffic(chain, ledger, pause_s=0.1, impatience_s=0.01)
            assert traffic.run(seconds, threads=8, tasks=8) == 0
            stop.set()
            flapping.join()
            bad.default, recovered = Ok(), time.monotonic()
            while chain.invoke("hi").provider != "bad":
                assert time.monotonic() < recovered + BACK_S
                time.sleep(0.1)
            back_s = time.monotonic() - recovered
        assert bad.wait_closed(5.0)
        assert good.wait_closed(5.0)
    print(f"\nflapping: {ledger.asked:,} requests, {dict(ledger.ends.most_common())}, slowest {ledger.slowest_s:.2f} s")
    print(f"  calls of the primary in each phase: {', '.join(f'{name} {count}' for name, count in calls)}")
    print(f"  back on the primary {back_s:.1f} s after its recovery")
    assert set(ledger.ends) <= {"reply", "cancelled"}
    assert not ledger.strange
    left = Holdings.now()
    assert (left.threads, left.sockets) == (held.threads, held.sockets)
