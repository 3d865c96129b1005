"""Ctrl-C, wherever a request is at that moment: it ends at once, and nothing of it is left."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from holdings import nothing_left
from integration.callers import WAYS
from integration.services import HeldBack, KestrelWire, instance, make_resolver

from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, Stall, Status
from kickai_providers_core.values.events import Event, Queued, RequestEnded, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import Resolver

GOOD = Ok("pong", pieces=("po", "ng"))
LONG_S = 60.0


def press_ctrl_c(when: Callable[[], bool]) -> threading.Thread:
    """Interrupt the main thread shortly after a condition is true; return the thread that does it."""

    def press() -> None:
        ends = time.monotonic() + LONG_S / 2
        while not when() and time.monotonic() < ends:
            time.sleep(0.005)
        time.sleep(0.03)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def interrupted(ask: Callable[[], object], when: Callable[[], bool]) -> None:
    """Run a request on the main thread, and check that Ctrl-C ends it."""
    began = time.monotonic()
    presser = press_ctrl_c(when)
    with pytest.raises(KeyboardInterrupt):
        ask()
    presser.join()
    assert time.monotonic() - began < LONG_S / 2


def outcomes(events: list[Event]) -> list[str]:
    """Return how the requests ended."""
    return [event.outcome for event in events if isinstance(event, RequestEnded)]


CTRL_C = [
    *((provider, way, Silence()) for provider in ("kestrel", "careless") for way in WAYS),
    *((provider, way, Stall(1)) for provider in ("kestrel", "careless") for way in WAYS if "stream" in way),
]


@pytest.mark.parametrize(
    ("provider", "way", "fault"), CTRL_C, ids=[f"{provider}: {way}, {fault}" for provider, way, fault in CTRL_C]
)
def test_ctrl_c_leaves_nothing(provider: str, way: str, fault: Silence | Stall) -> None:
    """During silence or in the middle of a stream, the request is cancelled, and the next one works."""
    events: list[Event] = []
    with (
        nothing_left(),
        FaultServer(KestrelWire(), fault) as server,
        make_resolver(server.url, observers=[events.append]) as resolver,
    ):
        chain = resolver.chain(provider, deadline_s=LONG_S)
        interrupted(lambda: WAYS[way](chain), lambda: bool(server.requests))
        assert provider == "careless" or server.wait_closed(20.0)
        assert outcomes(events) == ["cancelled"]
        server.default = GOOD
        assert WAYS[way](chain) == "pong"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_ctrl_c_ends_both_calls_of_a_hedged_request(way: str) -> None:
    """This includes the calls in the portal of a blocking caller."""
    events: list[Event] = []
    hedging = Hedging(after_s=0.05, budget=1.0)
    with (
        nothing_left(),
        FaultServer(KestrelWire(), Silence()) as server,
        make_resolver(server.url, hedging=hedging, observers=[events.append]) as resolver,
    ):
        chain = resolver.chain("kestrel:a", "kestrel:b", deadline_s=LONG_S)
        interrupted(lambda: WAYS[way](chain), lambda: len(server.requests) == 2)
        assert server.wait_closed(20.0)
        assert outcomes(events) == ["cancelled"]
        server.default = GOOD
        assert WAYS[way](chain) == "pong"


@pytest.fixture
def full() -> Iterator[tuple[FaultServer, Resolver, list[Event]]]:
    """Serve one call at a time, while another caller is being served; release that one afterwards."""
    events: list[Event] = []
    with nothing_left(), FaultServer(KestrelWire(), Silence()) as server:
        narrow = instance("kestrel", server.url, max_concurrency=1)
        with make_resolver(server.url, kestrel=narrow, observers=[events.append]) as resolver:
            inside = threading.Thread(target=lambda: WAYS["invoke"](resolver.chain("kestrel", deadline_s=LONG_S)))
            server.script(HeldBack(released := threading.Event()))
            inside.start()
            assert server.wait_requests(1, 5.0)
            server.default = GOOD
            try:
                yield server, resolver, events
            finally:
                released.set()
                inside.join()


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_while_queued_releases_the_ticket(way: str, full: tuple[FaultServer, Resolver, list[Event]]) -> None:
    """An interrupted request has left the queue, and has sent nothing."""
    server, resolver, events = full
    chain = resolver.chain("kestrel", deadline_s=LONG_S)
    rate_limiter = resolver.registry.find("kestrel").rate_limiter
    interrupted(lambda: WAYS[way](chain), lambda: rate_limiter.waiting == 1)
    assert [event.ahead for event in events if isinstance(event, Queued)] == [0]
    assert (rate_limiter.in_flight, rate_limiter.waiting, len(server.requests)) == (1, 0, 1)
    assert outcomes(events) == ["cancelled"]


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_ends_a_wait_for_a_rate_limit(way: str) -> None:
    """Between two attempts as well as in one."""
    events: list[Event] = []
    with (
        nothing_left(),
        FaultServer(KestrelWire(), Status(429, "rate_limit", headers={"retry-after": "5"})) as server,
        make_resolver(
            server.url, kestrel=instance("kestrel", server.url, retries=2), observers=[events.append]
        ) as resolver,
    ):
        chain = resolver.chain("kestrel", deadline_s=LONG_S)
        interrupted(lambda: WAYS[way](chain), lambda: any(isinstance(event, Waiting) for event in events))
        assert server.wait_closed(20.0)
        assert outcomes(events) == ["cancelled"]
        assert len(server.requests) == 1
