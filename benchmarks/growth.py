"""Overhead that must not grow: with the number of plugins, of targets, and of requests served."""

from __future__ import annotations

import gc
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from memory import measure_resident_mb
from subjects import create_resolver
from timing import Figure, alternate, time_calls

from kickai_providers_core.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kickai_providers_core import Resolver

__all__ = ["measure_size", "measure_use"]

FLAT = 1.05
"""No growth: two runs of the same code differ by less than this."""

PROMPT = "Who can play on Saturday?"
WARM_UP = 5_000


def measure_size(rounds: int) -> Iterator[Figure]:
    """Compare few plugins and targets with many."""
    with create_resolver(plugins=3) as few, create_resolver(plugins=50) as many:
        alone, among = few.chain("trivial:a"), many.chain("trivial:a")
        long = few.chain(*(f"trivial:m{number}" for number in range(20)))
        timings = alternate(
            {
                "3 plugins": time_calls(lambda: alone.invoke(PROMPT)),
                "50 plugins": time_calls(lambda: among.invoke(PROMPT)),
                "20 targets": time_calls(lambda: long.invoke(PROMPT)),
            },
            rounds,
        )
    yield Figure(
        name="50 installed plugins / 3",
        value=timings.ratio("50 plugins", "3 plugins"),
        bound=FLAT,
        detail=timings.describe("3 plugins", "50 plugins"),
    )
    yield Figure(
        name="chain of 20 targets / 1",
        value=timings.ratio("20 targets", "3 plugins"),
        bound=FLAT,
        detail=timings.describe("20 targets"),
    )


def measure_use(rounds: int, requests: int) -> Iterator[Figure]:
    """Compare a resolver that has served many requests with a new one, without a store and with one."""
    with create_resolver() as used, create_resolver() as new:
        yield from _compare(used, new, rounds, requests, "")
    with (
        TemporaryDirectory() as folder,
        create_resolver(store=SqliteStore(Path(folder, "used.db"))) as used,
        create_resolver(store=SqliteStore(Path(folder, "new.db"))) as new,
    ):
        yield from _compare(used, new, rounds, requests, ", with a store")


def _compare(used: Resolver, new: Resolver, rounds: int, requests: int, how: str) -> Iterator[Figure]:
    old, fresh = used.chain("trivial:a", "trivial:b"), new.chain("trivial:a", "trivial:b")
    for _ in range(WARM_UP):
        old.invoke(PROMPT)
    gc.collect()
    before_mb = measure_resident_mb()
    for _ in range(requests):
        old.invoke(PROMPT)
    gc.collect()
    grown_mb = measure_resident_mb() - before_mb
    timings = alternate(
        {"new": time_calls(lambda: fresh.invoke(PROMPT)), "used": time_calls(lambda: old.invoke(PROMPT))}, rounds
    )
    yield Figure(
        name=f"after {requests:,} requests / before{how}",
        value=timings.ratio("used", "new"),
        bound=FLAT,
        detail=timings.describe("new", "used"),
    )
    yield Figure(name=f"memory after {requests:,} requests{how}", value=grown_mb, bound=1.0, unit="MB")
