"""The deadline on the real clock, over real sockets: whatever the server does, in each way of calling.

Each cell of the table, provider by mode by fault, makes the same checks: the request ends at its deadline with a typed
error, it leaves no connection, task or thread, and the next request is answered. The cells of one provider and mode
wait at the same time, each with its own server and resolver.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
from holdings import nothing_left
from integration.callers import STREAMS, WAYS, best_of_three, calls, in_time, run_in_parallel
from integration.services import Dribble, Endless, KestrelWire, everyone, make_resolver, pairs

from kickai_providers_core import (
    ChainExhaustedError,
    DeadlineExceededError,
    KickaiError,
    ProviderTimeoutError,
)
from kickai_providers_core.testing import faults
from kickai_providers_core.testing.faults import FaultServer, Ok, Silence, blackhole

if TYPE_CHECKING:
    from kickai_providers_core import Chain

DEADLINE_S = 0.25
OVERRUN_S = 0.25
FLOOD_S = 0.15
GOOD = Ok("pong", pieces=("po", "ng"))

WAITS = {
    "silence": Silence(),
    "headers a byte at a time": faults.SlowHeaders(0.05),
    "a late answer": faults.Delay(5.0),
    "a byte at a time": faults.Drip(0.05),
    "a byte a second": faults.Drip(1.0),
}
STREAM_WAITS = {
    "a slow first token": faults.SlowFirstToken(5.0),
    "a stall": faults.Stall(1),
    "a stall after the last piece": faults.Stall(2),
    "a piece, then a byte at a time": Dribble(0.05),
    "pieces without an end": Endless(0.002),
}
LATE = (DeadlineExceededError, ChainExhaustedError, ProviderTimeoutError)


def fails(way: str, chain: Chain, errors: tuple[type[KickaiError], ...] = LATE) -> None:
    """Send a request, and expect an error."""
    with pytest.raises(errors):
        WAYS[way](chain)


def cell(provider: str, way: str, times: float, fault: faults.Fault, deadline_s: float = DEADLINE_S) -> None:
    """Check one cell of the table."""
    bound_s = (deadline_s + OVERRUN_S) * times
    with FaultServer(KestrelWire(), fault) as server, make_resolver(server.url) as resolver:
        chain = resolver.chain(f"{provider}:a", f"{provider}:b", deadline_s=deadline_s)
        assert best_of_three(partial(fails, way, chain), bound_s) <= bound_s
        # A thread cannot be stopped: a careless call ends at the vendor's own timeout.
        assert provider == "careless" or server.wait_closed(20.0)
        server.default = GOOD
        assert WAYS[way](resolver.chain(f"{provider}:c")) == "pong"


@in_time
@pairs(*WAYS)
def test_the_deadline_holds_whatever_the_server_does(provider: str, way: str, times: float) -> None:
    """Promise 3: a request that cannot be answered ends at its deadline and leaves nothing, and the next one works."""
    known = WAITS | (STREAM_WAITS if way in STREAMS else {})
    with nothing_left():
        run_in_parallel({name: partial(cell, provider, way, times, fault) for name, fault in known.items()})


@in_time
def test_the_deadline_holds_at_one_byte_a_second(times: float) -> None:
    """Promise 3: a service that sends a byte each second, and is never silent for long, gains no time by it."""
    with nothing_left():
        run_in_parallel(
            {f"{who}: {way}": partial(cell, who, way, times, faults.Drip(1.0), 1.2) for who, way in everyone(*WAYS)}
        )


@in_time
@pairs(*STREAMS)
def test_the_deadline_holds_in_a_flood(provider: str, way: str, times: float) -> None:
    """Promise 3: a stream without an end, faster than it can be read, ends at the deadline or as too long."""

    def drown() -> None:
        with make_resolver(server.url) as resolver:  # an open breaker would prevent the flood
            fails(way, resolver.chain(f"{provider}:a", deadline_s=FLOOD_S), (KickaiError,))

    with nothing_left(), FaultServer(KestrelWire(), Endless()) as server:
        bound_s = (FLOOD_S + OVERRUN_S) * times
        assert best_of_three(drown, bound_s) <= bound_s
        assert server.wait_closed(20.0)
        server.default = GOOD
        with make_resolver(server.url) as resolver:
            assert WAYS[way](resolver.chain(provider)) == "pong"


@in_time
def test_the_deadline_holds_when_nobody_accepts(times: float) -> None:
    """Promise 3: a connection that is never accepted ends in time."""
    bound_s = (DEADLINE_S + OVERRUN_S) * times

    def unheard(who: str, way: str, url: str) -> None:
        with make_resolver(url) as resolver:
            chain = resolver.chain(f"{who}:a", f"{who}:b", deadline_s=DEADLINE_S)
            assert best_of_three(lambda: fails(way, chain), bound_s) <= bound_s

    with nothing_left(), blackhole() as port:
        url = f"http://127.0.0.1:{port}"
        run_in_parallel({f"{who}: {way}": partial(unheard, who, way, url) for who, way in everyone(*WAYS)})


def test_an_abandoned_call_ends_at_the_vendors_own_timeout() -> None:
    """The thread of a provider without timeouts outlives the request, and ends with the vendor's call."""
    outlived: list[bool] = []

    def left(way: str) -> None:
        with make_resolver(server.url) as resolver:
            fails(way, resolver.chain("careless", deadline_s=0.5))
            outlived.append(bool(calls() - before))

    with FaultServer(KestrelWire(), Silence()) as server, nothing_left():
        before = calls()
        run_in_parallel({way: partial(left, way) for way in WAYS})
        assert any(outlived), "no call outlives its request"
        assert 0 < len(server.requests) <= len(WAYS)  # on a busy machine some end before they are sent
