"""The overhead of one call: of a healthy one, and of one whose first target fails or is skipped."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from subjects import REQUEST, Trivial, create_bare_hook, create_bare_mock_hook, create_resolver
from timing import Figure, alternate, time_async_calls, time_calls

from kickai_providers_core import BreakerSettings
from kickai_providers_core.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure_async_calls", "measure_fallbacks", "measure_healthy_calls", "measure_store"]

PROMPT = "Who can play on Saturday?"


def measure_healthy_calls(rounds: int) -> Iterator[Figure]:
    """Compare a healthy sync call with one bare hook call."""
    with create_resolver() as resolver:
        chain, over_mock = resolver.chain("trivial:a", "trivial:b"), resolver.chain("mock:a", "trivial:b")
        timings = alternate(
            {
                "hook": time_calls(create_bare_hook()),
                "chain": time_calls(lambda: chain.invoke(PROMPT)),
                "mock": time_calls(create_bare_mock_hook()),
                "chain of mock": time_calls(lambda: over_mock.invoke(PROMPT)),
            },
            rounds,
        )
    yield Figure(
        name="healthy sync call / bare hook call",
        value=timings.ratio("chain", "hook"),
        bound=15.0,
        detail=timings.describe("hook", "chain"),
    )
    yield Figure(
        name="healthy sync call of the mock, minus the mock's own time",
        value=1.0 + timings.ratio("chain of mock", "hook", minus="mock"),
        bound=23.0,
        detail=timings.describe("mock", "chain of mock"),
    )


def measure_store(rounds: int) -> Iterator[Figure]:
    """Compare a healthy sync call with metrics in a store, and one without."""
    with (
        TemporaryDirectory() as folder,
        create_resolver() as plain,
        create_resolver(store=SqliteStore(Path(folder, "kickai.db"))) as counted,
    ):
        chain, with_store = plain.chain("trivial:a", "trivial:b"), counted.chain("trivial:a", "trivial:b")
        timings = alternate(
            {
                "chain": time_calls(lambda: chain.invoke(PROMPT)),
                "with store": time_calls(lambda: with_store.invoke(PROMPT)),
            },
            rounds,
            block_s=0.02,  # the monitor adds up the events of some hundred calls at once
        )
    yield Figure(
        name="healthy sync call with a store, minus one without",
        value=timings.difference_us("with store", "chain"),
        bound=10.0,
        unit="µs",
        detail=timings.describe("chain", "with store"),
    )


def measure_async_calls(rounds: int) -> Iterator[Figure]:
    """Compare a healthy async call with a bare coroutine call, in units of one bare hook call."""
    loop, provider = asyncio.new_event_loop(), Trivial()
    with create_resolver() as resolver:
        chain = resolver.chain("trivial:a", "trivial:b")
        timings = alternate(
            {
                "hook": time_calls(create_bare_hook()),
                "coroutine": time_async_calls(loop, lambda: provider.kickai_ainvoke_provider(provider, REQUEST, 10.0)),
                "chain": time_async_calls(loop, lambda: chain.ainvoke(PROMPT)),
            },
            rounds,
        )
    loop.close()
    yield Figure(
        name="healthy async call, minus a bare coroutine / bare hook call",
        value=timings.ratio("chain", "hook", minus="coroutine"),
        bound=18.0 if sys.version_info >= (3, 12) else 24.0,  # before 3.12, a task needs a turn of the loop to begin
        detail=timings.describe("coroutine", "chain"),
    )


def measure_fallbacks(rounds: int) -> Iterator[Figure]:
    """Compare calls whose first target fails, or is skipped because its breaker is open."""
    never_opens = BreakerSettings(max_errors=10**9)
    stays_open = BreakerSettings(max_errors=1, cooldown_s=1e6, max_cooldown_s=1e6)
    with create_resolver(breaker=never_opens) as failing, create_resolver(breaker=stays_open) as skipping:
        falling, healthy = failing.chain("trivial:down", "trivial:b"), skipping.chain("trivial:a", "trivial:b")
        past = skipping.chain("trivial:down", "trivial:b")
        assert past.invoke(PROMPT).attempts[0].error is not None
        assert str(past.invoke(PROMPT).skipped[0].reason) == "breaker_open"
        timings = alternate(
            {
                "hook": time_calls(create_bare_hook()),
                "healthy": time_calls(lambda: healthy.invoke(PROMPT)),
                "first fails": time_calls(lambda: falling.invoke(PROMPT)),
                "first skipped": time_calls(lambda: past.invoke(PROMPT)),
            },
            rounds,
        )
    yield Figure(
        name="call whose first target fails / bare hook call",
        value=timings.ratio("first fails", "hook"),
        bound=35.0,
        detail=timings.describe("first fails"),
    )
    extra = timings.ratio("first skipped", "hook", minus="healthy")
    yield Figure(
        name="call that skips a target with an open breaker / healthy call",
        value=timings.ratio("first skipped", "healthy"),
        bound=2.0,
        detail=f"{timings.describe('healthy', 'first skipped')}; {extra:.1f} more hook calls",
    )
