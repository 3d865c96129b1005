"""How figures are taken: all sides of a comparison in tickets, in one process, in short blocks.

A block is timed by the CPU time of its thread: what is measured here neither waits nor blocks, so that this is what it
takes on an idle machine, and another program's ticket on the same core is not counted. The collector stays on, since
applications run with it. Sides are compared round by round, and the median of the rounds' ratios counts.
"""

from __future__ import annotations

import gc
from statistics import median
from time import thread_time
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable, Callable, Mapping

    Block = Callable[[int], float]

__all__ = ["Figure", "Timings", "awaits", "calls", "in_turns"]

BLOCK_S = 0.003
"""How long a block takes at least: long against the clock's step, short against a scheduler's ticket."""


@frozen(kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        value: What came out.
        bound: What it may be at most; None for a figure that only stands beside the others.
        unit: What both are in.
        detail: What it was made of.
    """

    name: str
    value: float
    bound: float | None = None
    unit: str = "×"
    detail: str = ""

    @property
    def met(self) -> bool:
        """Whether the bound is kept."""
        return self.bound is None or self.value <= self.bound


@frozen
class Timings:
    """What each side took: seconds a call, one number for each round."""

    rounds: Mapping[str, list[float]]

    def us(self, side: str) -> float:
        """Return the median of a side, in microseconds a call."""
        return median(self.rounds[side]) * 1e6

    def floor_us(self, side: str) -> float:
        """Return the least that a side ever took, in microseconds a call."""
        return min(self.rounds[side]) * 1e6

    def ratio(self, side: str, base: str, less: str | None = None) -> float:
        """Return how many times a base a side takes, less what another takes: the median over the rounds."""
        rounds = self.rounds
        subtracted = rounds[less] if less is not None else [0.0] * len(rounds[side])
        return median((s - m) / b for s, b, m in zip(rounds[side], rounds[base], subtracted, strict=True))

    def message(self, *sides: str) -> str:
        """Return the medians and the floors of some sides, for a reader."""
        return ", ".join(f"{side} {self.us(side):.1f} µs (least {self.floor_us(side):.1f})" for side in sides)


def calls(function: Callable[[], Any]) -> Block:
    """Return what times so many calls of a function."""

    def block(count: int) -> float:
        steps = range(count)
        began = thread_time()
        for _ in steps:
            function()
        return thread_time() - began

    return block


def awaits(loop: asyncio.AbstractEventLoop, function: Callable[[], Awaitable[Any]]) -> Block:
    """Return what times so many calls of a coroutine function, one after the other, on a running loop."""

    async def timed(count: int) -> float:
        steps = range(count)
        began = thread_time()
        for _ in steps:
            await function()
        return thread_time() - began

    return lambda count: loop.run_until_complete(timed(count))


def in_turns(sides: Mapping[str, Block], rounds: int) -> Timings:
    """Return what each side takes, measured in tickets; who comes first changes from round to round."""
    counts = {name: _enough(block) for name, block in sides.items()}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    order = list(sides)
    for number in range(rounds):
        for name in order if number % 2 else reversed(order):
            taken[name].append(sides[name](counts[name]) / counts[name])
    return Timings(taken)


def _enough(block: Block) -> int:
    """Return how many calls make a block, after the warm-up that finding it out is."""
    block(100)
    count = 10
    while (took := block(count)) < BLOCK_S:
        count = max(count + 1, int(count * min(10.0, 1.2 * BLOCK_S / max(took, 1e-6))))
    return count
