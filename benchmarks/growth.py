"""What must not cost more with time and size: plugins installed, targets behind the first, requests served."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from memory import resident_mb
from subjects import resolver
from timing import Figure, calls, in_turns

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["size", "use"]

FLAT = 1.05
"""No growth: what two runs of the very same thing may differ by."""

PROMPT = "Who can play on Saturday?"
WARM_UP = 5_000


def size(rounds: int) -> Iterator[Figure]:
    """Compare few plugins and targets with many."""
    with resolver(plugins=3) as few, resolver(plugins=50) as many:
        alone, among = few.chain("trivial:a"), many.chain("trivial:a")
        long = few.chain(*(f"trivial:m{number}" for number in range(20)))
        took = in_turns(
            {
                "3 plugins": calls(lambda: alone.invoke(PROMPT)),
                "50 plugins": calls(lambda: among.invoke(PROMPT)),
                "20 targets": calls(lambda: long.invoke(PROMPT)),
            },
            rounds,
        )
    yield Figure(
        name="50 plugins installed / 3",
        value=took.ratio("50 plugins", "3 plugins"),
        bound=FLAT,
        detail=took.describe("3 plugins", "50 plugins"),
    )
    yield Figure(
        name="20 targets in the chain / 1",
        value=took.ratio("20 targets", "3 plugins"),
        bound=FLAT,
        detail=took.describe("20 targets"),
    )


def use(rounds: int, requests: int) -> Iterator[Figure]:
    """Compare a resolver that has served many requests with a new one."""
    with resolver() as used, resolver() as new:
        old, fresh = used.chain("trivial:a", "trivial:b"), new.chain("trivial:a", "trivial:b")
        for _ in range(WARM_UP):
            old.invoke(PROMPT)
        gc.collect()
        before_mb = resident_mb()
        for _ in range(requests):
            old.invoke(PROMPT)
        gc.collect()
        grown_mb = resident_mb() - before_mb
        took = in_turns({"new": calls(lambda: fresh.invoke(PROMPT)), "used": calls(lambda: old.invoke(PROMPT))}, rounds)
    yield Figure(
        name=f"after {requests:,} requests / before",
        value=took.ratio("used", "new"),
        bound=FLAT,
        detail=took.describe("new", "used"),
    )
    yield Figure(name=f"memory after {requests:,} requests", value=grown_mb, bound=1.0, unit="MB")
