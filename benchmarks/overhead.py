"""What a call costs on top of a bare one: healthy, with a first target that fails, and past one that is skipped."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from subjects import REQUEST, Trivial, bare_hook, bare_mock_hook, resolver
from timing import Figure, awaits, calls, in_turns

from kickai_providers_core import BreakerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["asynchronous", "healthy", "troubled"]

PROMPT = "Who can play on Saturday?"


def healthy(rounds: int) -> Iterator[Figure]:
    """Compare a healthy sync call with one bare hook call."""
    with resolver() as own:
        chain, over_mock = own.chain("trivial:a", "trivial:b"), own.chain("mock:a", "trivial:b")
        took = in_turns(
            {
                "hook": calls(bare_hook()),
                "chain": calls(lambda: chain.invoke(PROMPT)),
                "mock": calls(bare_mock_hook()),
                "chain of mock": calls(lambda: over_mock.invoke(PROMPT)),
            },
            rounds,
        )
    yield Figure(
        name="healthy sync call / bare hook call",
        value=took.ratio("chain", "hook"),
        bound=15.0,
        detail=took.describe("hook", "chain"),
    )
    yield Figure(
        name="the same over the mock, less the mock's own time",
        value=1.0 + took.ratio("chain of mock", "hook", less="mock"),
        bound=15.0,
        detail=took.describe("mock", "chain of mock"),
    )


def asynchronous(rounds: int) -> Iterator[Figure]:
    """Compare a healthy async call with a bare coroutine call, in units of one bare hook call."""
    loop, provider = asyncio.new_event_loop(), Trivial()
    with resolver() as own:
        chain = own.chain("trivial:a", "trivial:b")
        took = in_turns(
            {
                "hook": calls(bare_hook()),
                "coroutine": awaits(loop, lambda: provider.kickai_ainvoke_provider(provider, REQUEST, 10.0)),
                "chain": awaits(loop, lambda: chain.ainvoke(PROMPT)),
            },
            rounds,
        )
    loop.close()
    yield Figure(
        name="healthy async call beyond a bare coroutine / bare hook call",
        value=took.ratio("chain", "hook", less="coroutine"),
        bound=18.0 if sys.version_info >= (3, 12) else 26.0,  # before 3.12 no task begins without a ticket of the loop
        detail=took.describe("coroutine", "chain"),
    )


def troubled(rounds: int) -> Iterator[Figure]:
    """Compare calls whose first target fails, or is skipped since its breaker is open."""
    never_opens = BreakerSettings(max_errors=10**9)
    opens_for_good = BreakerSettings(max_errors=1, cooldown_s=1e6, max_cooldown_s=1e6)
    with resolver(breaker=never_opens) as failing, resolver(breaker=opens_for_good) as skipping:
        falls, well = failing.chain("trivial:down", "trivial:b"), skipping.chain("trivial:a", "trivial:b")
        skips = skipping.chain("trivial:down", "trivial:b")
        assert skips.invoke(PROMPT).attempts[0].error is not None
        assert str(skips.invoke(PROMPT).skipped[0].reason) == "breaker_open"
        took = in_turns(
            {
                "hook": calls(bare_hook()),
                "healthy": calls(lambda: well.invoke(PROMPT)),
                "first fails": calls(lambda: falls.invoke(PROMPT)),
                "first skipped": calls(lambda: skips.invoke(PROMPT)),
            },
            rounds,
        )
    yield Figure(
        name="call whose first target fails / bare hook call",
        value=took.ratio("first fails", "hook"),
        bound=35.0,
        detail=took.describe("first fails"),
    )
    extra = took.ratio("first skipped", "hook", less="healthy")
    yield Figure(
        name="call past an open target / healthy call",
        value=took.ratio("first skipped", "healthy"),
        bound=2.0,
        detail=f"{took.describe('healthy', 'first skipped')}; {extra:.1f} hook calls more",
    )
