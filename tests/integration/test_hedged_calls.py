"""Hedging over real sockets, sync and async: the first answer wins, and the loser's connection is closed at once."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from holdings import nothing_left
from integration.callers import becomes_true, best_of_three, calls, in_time, run_on_new_loop, wait_until
from integration.services import Careless, HeldBack, KestrelWire, instance, make_resolver

from kickai_providers_core import DeadlineExceededError
from kickai_providers_core.resilience.hedging import Hedging
from kickai_providers_core.testing import faults
from kickai_providers_core.testing.faults import FaultServer, Ok, Silence
from kickai_providers_core.values.attempts import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kickai_providers_core import Chain, Reply, Resolver

OVERRUN_S = 0.25
LONG_S = 60.0
SOON = Hedging(after_s=0.05, budget=1.0, floor=100)


def invoke(chain: Chain) -> Reply:
    """Send a blocking request."""
    return chain.invoke("hi")


def ainvoke(chain: Chain) -> Reply:
    """Send a request on an event loop, and check that no task is left on it."""

    async def main() -> Reply:
        return await chain.ainvoke("hi")

    return run_on_new_loop(main)


call_modes = pytest.mark.parametrize("ask", [invoke, ainvoke])


class Race:
    """Two services, and a chain that hedges the first with the second."""

    def __init__(self, first: FaultServer, second: FaultServer, kind: str, hedging: Hedging) -> None:
        self.first = first
        self.second = second
        instances = {"first": instance(kind, first.url), "second": instance("kestrel", second.url)}
        self.resolver: Resolver = make_resolver(first.url, hedging=hedging, **instances)

    def chain(self, deadline_s: float = LONG_S) -> Chain:
        """Return the chain."""
        return self.resolver.chain("first:a", "second:b", deadline_s=deadline_s)


@pytest.fixture
def race() -> Iterator[Callable[..., Race]]:
    """Return a function that starts a race of two faults; afterwards no thread or connection is left."""
    with nothing_left(), FaultServer(KestrelWire()) as first, FaultServer(KestrelWire()) as second:
        made: list[Race] = []

        def make(one: faults.Fault, other: faults.Fault, kind: str = "kestrel", hedging: Hedging = SOON) -> Race:
            first.default, second.default = one, other
            made.append(Race(first, second, kind, hedging))
            return made[-1]

        yield make
        for each in made:
            each.resolver.close()


def ends(reply: Reply) -> list[tuple[str, Outcome]]:
    """Return how each of the two calls ended."""
    return [(attempt.provider, attempt.outcome) for attempt in reply.attempts]


@call_modes
@pytest.mark.parametrize("kind", ["kestrel", "heedless"])
@pytest.mark.parametrize("fault", [Silence(), faults.Drip(0.05), faults.SlowHeaders(0.05)], ids=str)
def test_the_losers_connection_is_closed(
    fault: faults.Fault, kind: str, ask: Callable[[Chain], Reply], race: Callable[..., Race]
) -> None:
    """Promise 8: it is closed while its service is still busy; the winner's attempt is a success."""
    pair = race(fault, Ok("fine"), kind)
    reply = ask(pair.chain())
    assert (reply.text, reply.provider, reply.fell_back) == ("fine", "second", True)
    assert ends(reply) == [("first", Outcome.CANCELLED), ("second", Outcome.SUCCESS)]
    assert pair.first.wait_closed(20.0)
    assert pair.second.wait_closed(20.0)
    pair.first.default = Ok("pong")
    assert ask(pair.resolver.chain("first:a", deadline_s=LONG_S)).text == "pong"


@call_modes
def test_the_first_may_win_and_the_second_is_closed(ask: Callable[[Chain], Reply], race: Callable[..., Race]) -> None:
    """Then the extra call is the loser."""
    pair = race(faults.Delay(0.2), Silence())
    reply = ask(pair.chain())
    assert (reply.text, reply.fell_back) == ("pong", False)
    assert dict(ends(reply)) == {"first": Outcome.SUCCESS, "second": Outcome.CANCELLED}
    assert len(pair.second.requests) == 1
    assert pair.second.wait_closed(20.0)


@call_modes
@pytest.mark.parametrize("fault", [faults.Reset(20), faults.CloseEarly(20), faults.Malformed()], ids=str)
def test_a_broken_second_call_leaves_the_first_to_answer(
    fault: faults.Fault, ask: Callable[[Chain], Reply], race: Callable[..., Race]
) -> None:
    """Both connections are closed."""
    pair = race(faults.Delay(0.2), fault)
    assert ask(pair.chain()).provider == "first"
    assert pair.first.wait_closed(20.0)
    assert pair.second.wait_closed(20.0)


@call_modes
@in_time
@pytest.mark.parametrize("kind", ["kestrel", "careless", "heedless"])
def test_the_deadline_holds_for_both(
    kind: str, times: float, ask: Callable[[Chain], Reply], race: Callable[..., Race]
) -> None:
    """Promises 3 and 8: two silent services take no longer than one."""
    pair = race(Silence(), Silence(), kind)

    def fails() -> None:
        with pytest.raises(DeadlineExceededError) as raised:
            ask(pair.chain(0.25))
        assert len(raised.value.attempts) == 2

    bound_s = (0.25 + OVERRUN_S) * times
    assert best_of_three(fails, bound_s) <= bound_s
    assert pair.second.wait_closed(20.0)
    assert kind == "careless" or pair.first.wait_closed(20.0)


@call_modes
def test_the_answer_does_not_wait_for_a_loser_that_cannot_be_cancelled(
    ask: Callable[[Chain], Reply], race: Callable[..., Race], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loser's thread lives until the vendor's call returns, and no longer."""
    monkeypatch.setattr(Careless, "timeout_s", LONG_S)
    released = threading.Event()
    pair = race(HeldBack(released), Ok("fine"), "careless")
    before = calls()
    assert ask(pair.chain()).text == "fine"
    assert becomes_true(lambda: len(calls() - before) == 1)  # the thread that created the provider is about to end
    released.set()
    assert becomes_true(lambda: not calls() - before)
    assert pair.first.wait_closed(20.0)


def test_cancelling_the_request_closes_both_connections(race: Callable[..., Race]) -> None:
    """Neither service keeps a client."""
    pair = race(Silence(), Silence())

    async def main() -> None:
        task = asyncio.ensure_future(pair.chain().ainvoke("hi"))
        await wait_until(lambda: bool(pair.second.requests))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_on_new_loop(main)
    assert pair.first.wait_closed(20.0)
    assert pair.second.wait_closed(20.0)


@call_modes
def test_the_extra_calls_stay_within_their_budget(ask: Callable[[Chain], Reply], race: Callable[..., Race]) -> None:
    """Promise 8: of twenty slow requests only as many are hedged as the settings allow, and none by default."""
    pair = race(faults.Delay(0.2), Ok("fine"), hedging=Hedging(after_s=0.05, budget=0.0, floor=3))
    threads = [threading.Thread(target=partial(ask, pair.chain())) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(pair.first.requests), len(pair.second.requests)) == (20, 3)
    plain = race(faults.Delay(0.2), Ok("fine"), hedging=Hedging())
    assert len(ask(plain.chain()).attempts) == 1
    assert len(pair.second.requests) == 3
