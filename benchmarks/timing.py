"""The way of measuring: short blocks of calls, the sides of a comparison alternating in one process.

A block is timed in CPU time of its thread, which other programs do not change. Nothing that is measured waits, so the
CPU time is the elapsed time on an idle machine. The garbage collector stays on, as in applications. A ratio is computed
for each round; the figure is the median of the ratios.
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

__all__ = ["Figure", "Timings", "alternate", "time_async_calls", "time_calls"]

BLOCK_S = 0.003
"""The minimum duration of a block in seconds: much longer than the clock's resolution, shorter than a time slice."""


@frozen(kw_only=True)
class Figure:
    """One line of the table.

    Attributes:
        name: What was measured.
        value: The result.
        bound: The maximum of the result; None for a figure without a bound.
        unit: The unit of both.
        detail: The measurements behind the result.
    """

    name: str
    value: float
    bound: float | None = None
    unit: str = "×"
    detail: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.bound is None or self.value <= self.bound


@frozen
class Timings:
    """The seconds of one call on each side, one number for each round."""

    rounds: Mapping[str, list[float]]

    def median_us(self, side: str) -> float:
        """Return the median of a side, in microseconds per call."""
        return median(self.rounds[side]) * 1e6

    def minimum_us(self, side: str) -> float:
        """Return the minimum of a side, in microseconds per call."""
        return min(self.rounds[side]) * 1e6

    def ratio(self, side: str, base: str, minus: str | None = None) -> float:
        """Return the median of ``(side - minus) / base`` over the rounds."""
        rounds = self.rounds
        subtracted = rounds[minus] if minus is not None else [0.0] * len(rounds[side])
        return median((s - m) / b for s, b, m in zip(rounds[side], rounds[base], subtracted, strict=True))

    def difference_us(self, side: str, base: str) -> float:
        """Return the median of ``side - base`` over the rounds, in microseconds."""
        return median(s - b for s, b in zip(self.rounds[side], self.rounds[base], strict=True)) * 1e6

    def describe(self, *sides: str) -> str:
        """Return the medians and the minimums of some sides as text."""
        return ", ".join(
            f"{side} {self.median_us(side):.1f} µs (minimum {self.minimum_us(side):.1f})" for side in sides
        )


def time_calls(function: Callable[[], Any]) -> Block:
    """Return a block that times N calls of a function."""

    def block(count: int) -> float:
        steps = range(count)
        began = thread_time()
        for _ in steps:
            function()
        return thread_time() - began

    return block


def time_async_calls(loop: asyncio.AbstractEventLoop, function: Callable[[], Awaitable[Any]]) -> Block:
    """Return a block that times N consecutive calls of a coroutine function, on an event loop."""

    async def timed(count: int) -> float:
        steps = range(count)
        began = thread_time()
        for _ in steps:
            await function()
        return thread_time() - began

    return lambda count: loop.run_until_complete(timed(count))


def alternate(sides: Mapping[str, Block], rounds: int, *, block_s: float = BLOCK_S) -> Timings:
    """Return the timings of each side. The order of the sides alternates from round to round.

    Args:
        sides: The blocks.
        rounds: How often each side is timed.
        block_s: The minimum duration of a block in seconds. Work that is done for many calls at once needs longer
            blocks, so that each of them contains it several times.
    """
    counts = {name: _calibrate(block, block_s) for name, block in sides.items()}
    taken: dict[str, list[float]] = {name: [] for name in sides}
    gc.collect()
    order = list(sides)
    for number in range(rounds):
        for name in order if number % 2 else reversed(order):
            taken[name].append(sides[name](counts[name]) / counts[name])
    return Timings(taken)


def _calibrate(block: Block, block_s: float) -> int:
    """Return the number of calls in a block. Finding it is the warm-up too."""
    block(100)
    count = 10
    while (took := block(count)) < block_s:
        count = max(count + 1, int(count * min(10.0, 1.2 * block_s / max(took, 1e-6))))
    return count
