"""A thousand concurrent requests, compared with bare coroutines, on the wall clock."""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from attrs import evolve
from subjects import REQUEST, Trivial, create_resolver
from timing import Figure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["measure_concurrency"]

CROWD = 1_000


def measure_concurrency(rounds: int) -> Iterator[Figure]:
    """Compare 1,000 concurrent requests of 50 ms with a bare ``asyncio.gather`` of the same coroutines."""
    provider, request = Trivial(), evolve(REQUEST, model="slow")
    with create_resolver() as resolver:
        chain = resolver.chain("trivial:slow", "trivial:b")
        bare, ours = asyncio.run(
            _alternate(
                lambda: provider.kickai_ainvoke_provider(provider, request, 10.0),
                lambda: chain.ainvoke(REQUEST),
                rounds,
            )
        )
    yield Figure(
        name=f"{CROWD:,} concurrent async requests of 50 ms / bare gather",
        value=median(mine / its for its, mine in zip(bare, ours, strict=True)),
        bound=2.5,
        detail=f"bare {median(bare) * 1e3:.0f} ms (minimum {min(bare) * 1e3:.0f}), "
        f"chain {median(ours) * 1e3:.0f} ms (minimum {min(ours) * 1e3:.0f})",
    )


async def _alternate(
    bare: Callable[[], Awaitable[Any]], ours: Callable[[], Awaitable[Any]], rounds: int
) -> tuple[list[float], list[float]]:
    await _time_crowd(bare)
    await _time_crowd(ours)
    pairs = [(await _time_crowd(bare), await _time_crowd(ours)) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


async def _time_crowd(call: Callable[[], Awaitable[Any]]) -> float:
    gc.collect()
    began = time.perf_counter()
    await asyncio.gather(*(call() for _ in range(CROWD)))
    return time.perf_counter() - began
