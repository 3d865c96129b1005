"""How long one attempt waits, and for what: the bounds that the network stream and the drivers of streams read."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kickai_providers_core import ProviderSettings
    from kickai_providers_core.values.errors import TimeoutPhase

__all__ = ["Limit", "Patience"]


class Limit(float):
    """A timeout that knows when it ends.

    httpx2 and httpcore2 take a timeout for each single read or write and hand it on, untouched, to the network stream.
    As a float this is the number of seconds that they expect; the stream of `kickai_hf.transport` reads what is `left`
    instead, so that any number of reads share one bound. It is begun anew for each wait of a stream.
    """

    phase: TimeoutPhase
    _ends: float
    _until: float
    _clock: Callable[[], float]
    _sent_s: float | None
    _bound: asyncio.Timeout | None

    @classmethod
    def of(cls, seconds: float, phase: TimeoutPhase, ends: float, clock: Callable[[], float]) -> Self:
        """Return a limit that has begun, in an attempt that ends at a moment of the clock."""
        limit = cls(seconds)
        limit._ends = ends
        limit._clock = clock
        limit._sent_s = None
        limit._bound = None
        limit.begin(phase, seconds)
        return limit

    def begin(self, phase: TimeoutPhase, seconds: float) -> None:
        """Wait ``seconds`` from now on, but never beyond the end of the attempt."""
        until = self._clock() + seconds
        self.phase = phase if until < self._ends else "total"
        self._until = min(until, self._ends)
        if self._bound is not None:
            self._bound.reschedule(asyncio.get_running_loop().time() + self.left())

    def begin_when_sent(self, seconds: float) -> None:
        """Wait ``seconds`` from the moment in which the connection is there and the request is sent."""
        self._sent_s = seconds

    def note_sending(self) -> None:
        """Note that the request is being sent on a connection; begins the wait that was announced for that."""
        if self._sent_s is not None:
            seconds, self._sent_s = self._sent_s, None
            self.begin(self.phase if self.phase != "total" else "first_token", seconds)

    def left(self) -> float:
        """Return the seconds that are left; not above 0 when it is over."""
        return self._until - self._clock()

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Cancel the block when the limit is over, wherever it ends by then; raise `TimeoutError`."""
        async with asyncio.timeout(self.left()) as bound:
            self._bound = bound
            try:
                yield
            finally:
                self._bound = None


class Patience:
    """The bounds of one attempt. Used by one thread, or one task, at a time.

    Args:
        settings: The instance's timeouts.
        timeout_s: The attempt as a whole, from now.
        streamed: Whether the answer comes piece by piece.
        clock: Seconds on a clock that never goes back.

    Attributes:
        connect: Until the connection is there; begun when connecting begins.
        wait: For the answer, or for the next piece of it. The wait for a stream's first token begins when the request
            is sent; until then the time to connect is added to it.
    """

    def __init__(
        self,
        settings: ProviderSettings,
        timeout_s: float,
        *,
        streamed: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        ends = clock() + timeout_s
        self._settings = settings
        self.connect = Limit.of(settings.connect_timeout_s, "connect", ends, clock)
        if streamed:
            first_s = settings.first_token_timeout_s
            self.wait = Limit.of(settings.connect_timeout_s + first_s, "first_token", ends, clock)
            self.wait.begin_when_sent(first_s)
        else:
            self.wait = Limit.of(timeout_s, "total", ends, clock)

    @property
    def timeouts(self) -> dict[str, float]:
        """The same for httpcore2, by its names. A call waits for a free connection as long as for its answer."""
        return {"connect": self.connect, "read": self.wait, "write": self.wait, "pool": max(self.wait.left(), 0.0)}

    def next_piece(self) -> None:
        """Begin to wait for the next piece of a stream."""
        self.wait.begin("idle", self._settings.idle_timeout_s)

    def hurry(self, seconds: float) -> None:
        """Wait for at most ``seconds``: what is still to come is worth little."""
        self.wait.begin(self.wait.phase, min(seconds, max(self.wait.left(), 0.0)))
