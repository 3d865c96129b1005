"""A thousand requests at once, against bare coroutines: on the real clock."""

from __future__ import annotations

import asyncio
import gc
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from attrs import evolve
from subjects import REQUEST, Trivial, resolver
from timing import Figure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["at_once"]

CROWD = 1_000


def at_once(rounds: int) -> Iterator[Figure]:
    """Compare 1,000 async requests of 50 ms with a bare ``asyncio.gather`` over the same coroutines."""
    provider, request = Trivial(), evolve(REQUEST, model="slow")
    with resolver() as own:
        chain = own.chain("trivial:slow", "trivial:b")
        bare, ours = asyncio.run(
            _in_turns(
                lambda: provider.kickai_ainvoke_provider(provider, request, 10.0),
                lambda: chain.ainvoke(REQUEST),
                rounds,
            )
        )
    yield Figure(
        name=f"{CROWD:,} async requests of 50 ms at once / bare gather",
        value=median(mine / its for its, mine in zip(bare, ours, strict=True)),
        bound=2.5,
        detail=f"bare {median(bare) * 1e3:.0f} ms (least {min(bare) * 1e3:.0f}), "
        f"chain {median(ours) * 1e3:.0f} ms (least {min(ours) * 1e3:.0f})",
    )


async def _in_turns(
    bare: Callable[[], Awaitable[Any]], ours: Callable[[], Awaitable[Any]], rounds: int
) -> tuple[list[float], list[float]]:
    await _gathered(bare)
    await _gathered(ours)
    pairs = [(await _gathered(bare), await _gathered(ours)) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


async def _gathered(one: Callable[[], Awaitable[Any]]) -> float:
    gc.collect()
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CROWD)))
    return time.perf_counter() - began
