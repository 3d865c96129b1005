"""Answers and streams that break, over real sockets: in each way of calling, and in each mode of streams.

As in ``test_deadline.py``, nothing may hang or be left in any cell, and the next request is answered.
"""

from __future__ import annotations

import time
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
from holdings import nothing_left
from integration.callers import MODES, STREAMS, WAYS, in_time, once_in_three, run_in_parallel, run_on_new_loop
from integration.services import Dribble, KestrelWire, instance, make_resolver, pairs

from kickai_providers_core import KickaiError, ProviderError, ReplyChunk, Resolver
from kickai_providers_core.resilience.policy import Policy
from kickai_providers_core.testing import faults
from kickai_providers_core.testing.faults import FaultServer, Ok
from kickai_providers_core.values.events import AttemptEnded, Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kickai_providers_core import Chain
    from kickai_providers_core.runtime.streaming import StreamMode
    from kickai_providers_core.values.events import Observer

DEADLINE_S = 0.5
OVERRUN_S = 0.25
TRIES = 3
"""The most measurements of a cell, since the machine may be busy with something else."""

ABREAST = 6
"""How many cells run at once: these do not wait as others do, but need the processor."""

BROKEN = {
    "reset at once": faults.Reset(),
    "reset in the head": faults.Reset(20),
    "reset in the body": faults.Reset(10_000),
    "closed at once": faults.CloseEarly(),
    "closed in the body": faults.CloseEarly(10_000),
    "a short body": faults.ShortBody(),
    "malformed": faults.Malformed(),
    "of another shape": faults.WrongShape(),
    "of another type": faults.WrongContentType(),
    "empty": faults.EmptyBody(),
    "not HTTP": faults.NotHttp(),
    "unavailable": faults.Status(503),
}
BROKEN_STREAMS = {
    "reset after a piece": faults.Cut(1, how="rst"),
    "closed after a piece": faults.Cut(1, how="fin"),
    "cut after a piece": faults.Cut(1, how="clean"),
    "cut after the last piece": faults.Cut(2, how="clean"),
    "a malformed piece": faults.MalformedPiece(1),
    "an error for a piece": faults.ErrorPiece(1),
}


def cell(provider: str, way: str, times: float, fault: faults.Fault) -> None:
    """Check that a request fails in time, however often it is retried, and leaves nothing."""
    took_s: list[float] = []
    bound_s = (DEADLINE_S + OVERRUN_S) * times
    with FaultServer(KestrelWire()) as server:
        again = instance(provider, server.url, retries=1)
        while len(took_s) < TRIES and min(took_s, default=inf) > bound_s:
            server.default = fault
            with make_resolver(server.url, policy=Policy(backoff_initial_s=0.05), **{provider: again}) as resolver:
                chain = resolver.chain(f"{provider}:a", f"{provider}:b", deadline_s=DEADLINE_S)
                began = time.monotonic()
                with pytest.raises(KickaiError):
                    WAYS[way](chain)
                took_s.append(time.monotonic() - began)
                assert server.wait_closed(20.0)
                server.default = Ok("pong", pieces=("po", "ng"))
                assert WAYS[way](resolver.chain(f"{provider}:c")) == "pong"
    assert min(took_s) <= bound_s


@in_time
@pairs(*WAYS)
def test_a_broken_answer_is_a_typed_error_in_time(provider: str, way: str, times: float) -> None:
    """Promise 3: a request that gets only broken answers ends before its deadline, and the next one works."""
    known = BROKEN | (BROKEN_STREAMS if way in STREAMS else {})
    cells = {name: partial(cell, provider, way, times, fault) for name, fault in known.items()}
    with nothing_left():
        for some in range(0, len(cells), ABREAST):
            run_in_parallel(dict(list(cells.items())[some : some + ABREAST]))


UNSEEN = {
    "reset in the head": faults.Reset(20),
    "malformed": faults.Malformed(),
    "silence": faults.Silence(),
    "a byte at a time": faults.Drip(0.05),
    "a slow first token": faults.SlowFirstToken(5.0),
}
SEEN = {
    "a stall": faults.Stall(1),
    "a piece, then a byte at a time": Dribble(0.05),
    **{name: fault for name, fault in BROKEN_STREAMS.items() if name != "cut after the last piece"},
}
PATIENCE = {"timeout_s": 0.6, "first_token_timeout_s": 0.2, "idle_timeout_s": 0.2}
PHASES = {"silence": "first_token", "a slow first token": "first_token", "a stall": "idle"}
"""The timeout that must have ended each stream."""


def bad_and_good(provider: str, bad: str, good: str, observers: Sequence[Observer] = ()) -> Resolver:
    """Return a resolver with a primary with short timeouts at one address and a fallback at another."""
    instances = {"bad": instance(provider, bad, **PATIENCE), "good": instance("kestrel", good)}
    return make_resolver(bad, observers=observers, **instances)


def read(chain: Chain, mode: StreamMode) -> Iterator[ReplyChunk]:
    """Read all chunks of a stream."""
    with chain.stream("hi", mode=mode) as chunks:
        yield from chunks


def aread(chain: Chain, mode: StreamMode) -> Iterator[ReplyChunk]:
    """Read all chunks of an async stream; its error comes after them."""
    taken: list[ReplyChunk] = []

    async def main() -> None:
        async with chain.astream("hi", mode=mode) as chunks:
            async for chunk in chunks:
                taken.append(chunk)  # noqa: PERF401  an error may follow

    try:
        run_on_new_loop(main)
    finally:
        yield from taken


READERS = {"stream": read, "astream": aread}


def falls_back(provider: str, reader: str, mode: StreamMode, name: str, *, seen: bool) -> None:
    """Check one break of the primary against its stream mode."""
    fault, events = (SEEN if seen else UNSEEN)[name], list[Event]()
    with (
        FaultServer(KestrelWire(), fault) as bad,
        FaultServer(KestrelWire(), Ok("fine", pieces=("fi", "ne"))) as good,
        bad_and_good(provider, bad.url, good.url, [events.append]) as resolver,
    ):
        taken, error = [], None
        try:
            for chunk in READERS[reader](resolver.chain("bad:a", "good:b", deadline_s=10.0), mode):
                taken.append("RESTART" if chunk.restart else chunk.text)  # noqa: PERF401  an error may follow
        except ProviderError as raised:
            error = raised
        assert provider == "careless" or bad.wait_closed(20.0)
        assert good.wait_closed(20.0)
    phases = [getattr(event.attempt.error, "phase", "") for event in events if isinstance(event, AttemptEnded)]
    assert name not in PHASES or phases[0] == PHASES[name]
    if mode == "live" and seen:
        assert error is not None
        assert (error.partial_text, "".join(taken), len(good.requests)) == ("po", "po", 0)
        return
    assert error is None
    pieces = [piece for piece in taken if piece]
    assert pieces == [*(["po", "RESTART"] if mode == "restart" and seen else []), "fi", "ne"]


@pytest.mark.parametrize("mode", MODES)
@pairs("stream", "astream")
def test_a_broken_stream_falls_back_as_its_mode_says(provider: str, way: str, mode: StreamMode) -> None:
    """Promise 7: hidden before the first chunk; then live raises with the text, restart marks it, buffered hides it."""
    cells: dict[str, Any] = {}
    for known, seen in ((UNSEEN, False), (SEEN, True)):
        for name in known:
            cells[name] = partial(once_in_three, partial(falls_back, provider, way, mode, name, seen=seen))
    with nothing_left():
        run_in_parallel(cells)


@pairs("invoke", "ainvoke")
def test_a_broken_answer_falls_back_within_the_deadline(provider: str, way: str) -> None:
    """Promise 7: whatever the primary does before its answer is complete, the fallback answers."""

    def answered(fault: faults.Fault) -> None:
        with (
            FaultServer(KestrelWire(), fault) as bad,
            FaultServer(KestrelWire(), Ok("fine")) as good,
            bad_and_good(provider, bad.url, good.url) as resolver,
        ):
            assert WAYS[way](resolver.chain("bad:a", "good:b", deadline_s=10.0)) == "fine"

    known = BROKEN | {"silence": faults.Silence(), "a byte at a time": faults.Drip(0.05), "late": faults.Delay(5.0)}
    with nothing_left():
        run_in_parallel({name: partial(answered, fault) for name, fault in known.items()})
