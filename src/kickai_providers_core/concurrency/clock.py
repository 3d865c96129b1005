"""The clock and the sleeps of the machine, as values: tests replace them with virtual time."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["REAL_TIME", "Clockwork"]


@frozen(kw_only=True, eq=False, repr=False)
class Clockwork:
    """Time, as a resolver sees it.

    Attributes:
        clock: Returns the time in seconds; monotonic.
        sleep: Blocks the thread for a number of seconds.
        asleep: Waits for a number of seconds without blocking the event loop.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    asleep: Callable[[float], Awaitable[None]]


REAL_TIME = Clockwork(clock=time.monotonic, sleep=time.sleep, asleep=asyncio.sleep)
"""The machine's own clock and sleeps."""
