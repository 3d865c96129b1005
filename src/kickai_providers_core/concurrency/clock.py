"""The clock and the sleep functions as a value, so that tests can use virtual time."""

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
    """The clock and the sleep functions of a resolver.

    Attributes:
        clock: Returns the monotonic time in seconds.
        sleep: Blocks the thread for a number of seconds.
        asleep: Waits for a number of seconds without blocking the event loop.
        wall: Returns the time of day in seconds since 1970, for metrics and the rollout's history.
    """

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    asleep: Callable[[float], Awaitable[None]]
    wall: Callable[[], float] = time.time


REAL_TIME = Clockwork(clock=time.monotonic, sleep=time.sleep, asleep=asyncio.sleep)
"""The clock and the sleep functions of the operating system."""
