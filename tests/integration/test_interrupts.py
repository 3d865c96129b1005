"""Ctrl-C, wherever a request is at that moment: it ends at once, and nothing of it is left."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from holdings import nothing_left
from integration.callers import WAYS
from integration.services import HeldBack, KestrelWire, instance, resolver

from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, Stall, Status
from kickai_providers_core.values.events import Event, Queued, RequestEnded, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import Resolver

GOOD = Ok("pong", pieces=("po", "ng"))
LONG_S = 60.0


def press_ctrl_c(when: Callable[[], bool]) -> threading.Thread:
    """Interrupt the main thread a moment after something has come true; return who does it."""

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
    """Ask on the main thread, and hold that Ctrl-C ends that at once."""
    began = time.monotonic()
    presser = press_ctrl_c(when)
    with pytest.raises(KeyboardInterrupt):
        ask()
    presser.join()
    assert time.monotonic() - began < LONG_S / 2


def outcomes(message: list[Event]) -> list[str]:
    """Return how the requests ended."""
    return [event.outcome for event in message if isinstance(event, RequestEnded)]


CTRL_C = [
    *((provider, way, Silence()) for provider in ("kestrel", "careless") for way in WAYS),
    *((provider, way, Stall(1)) for provider in ("kestrel", "careless") for way in WAYS if "stream" in way),
]


@pytest.mark.parametrize(
    ("provider", "way", "fault"), CTRL_C, ids=[f"{provider}: {way}, {fault}" for provider, way, fault in CTRL_C]
)
def test_ctrl_c_leaves_nothing(provider: str, way: str, fault: Silence | Stall) -> None:
    """While the service is silent or in the middle of a stream: the request is cancelled, and the next one works."""
    message: list[Event] = []
    with (
        nothing_left(),
        FaultServer(KestrelWire(), fault) as server,
        resolver(server.url, observers=[message.append]) as holder,
    ):
        chain = holder.chain(provider, deadline_s=LONG_S)
        interrupted(lambda: WAYS[way](chain), lambda: bool(server.requests))
        assert provider == "careless" or server.wait_closed(20.0)
        assert outcomes(message) == ["cancelled"]
        server.default = GOOD
        assert WAYS[way](chain) == "pong"


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_ctrl_c_ends_both_calls_of_a_hedged_request(way: str) -> None:
    """Those in the background of a blocking caller too."""
    message: list[Event] = []
    hedging = Hedging(after_s=0.05, budget=1.0)
    with (
        nothing_left(),
        FaultServer(KestrelWire(), Silence()) as server,
        resolver(server.url, hedging=hedging, observers=[message.append]) as holder,
    ):
        chain = holder.chain("kestrel:a", "kestrel:b", deadline_s=LONG_S)
        interrupted(lambda: WAYS[way](chain), lambda: len(server.requests) == 2)
        assert server.wait_closed(20.0)
        assert outcomes(message) == ["cancelled"]
        server.default = GOOD
        assert WAYS[way](chain) == "pong"


@pytest.fixture
def full() -> Iterator[tuple[FaultServer, Resolver, list[Event]]]:
    """Serve one call at a time, which somebody else is making; let that one go afterwards."""
    message: list[Event] = []
    with nothing_left(), FaultServer(KestrelWire(), Silence()) as server:
        narrow = instance("kestrel", server.url, max_concurrency=1)
        with resolver(server.url, kestrel=narrow, observers=[message.append]) as holder:
            inside = threading.Thread(target=lambda: WAYS["invoke"](holder.chain("kestrel", deadline_s=LONG_S)))
            server.script(HeldBack(released := threading.Event()))
            inside.start()
            assert server.wait_requests(1, 5.0)
            server.default = GOOD
            try:
                yield server, holder, message
            finally:
                released.set()
                inside.join()


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_leaves_no_hole_in_the_line(way: str, full: tuple[FaultServer, Resolver, list[Event]]) -> None:
    """Who is interrupted while he waits his ticket has left the line, and has asked nobody."""
    server, holder, message = full
    chain = holder.chain("kestrel", deadline_s=LONG_S)
    rate_limiter = holder.registry.find("kestrel").rate_limiter
    interrupted(lambda: WAYS[way](chain), lambda: rate_limiter.waiting == 1)
    assert [event.ahead for event in message if isinstance(event, Queued)] == [0]
    assert (rate_limiter.in_flight, rate_limiter.waiting, len(server.requests)) == (1, 0, 1)
    assert outcomes(message) == ["cancelled"]


@pytest.mark.parametrize("way", WAYS)
def test_ctrl_c_ends_a_wait_for_a_rate_limit(way: str) -> None:
    """Between two attempts as well as in one."""
    message: list[Event] = []
    with (
        nothing_left(),
        FaultServer(KestrelWire(), Status(429, "rate_limit", headers={"retry-after": "5"})) as server,
        resolver(server.url, kestrel=instance("kestrel", server.url, retries=2), observers=[message.append]) as holder,
    ):
        chain = holder.chain("kestrel", deadline_s=LONG_S)
        interrupted(lambda: WAYS[way](chain), lambda: any(isinstance(event, Waiting) for event in message))
        assert server.wait_closed(20.0)
        assert outcomes(message) == ["cancelled"]
        assert len(server.requests) == 1
