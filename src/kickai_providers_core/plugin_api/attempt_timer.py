"""The time limits of one attempt: connect, first token, idle and total, against one clock.

An HTTP client's own timeout starts again with every byte, so a server that sends one byte per second is never late.
Here each phase has a point in time at which it ends, however many reads happen before it.
"""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, Self

from kickai_providers_core.values.errors import ProviderTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from kickai_providers_core.plugin_api.settings import ProviderSettings
    from kickai_providers_core.values.errors import TimeoutPhase

__all__ = ["TIMEOUT_MESSAGES", "AttemptTimeouts", "Phase"]

Phase = Literal["connect", "first_token", "idle"]
"""The phases that follow one another within an attempt."""

TIMEOUT_MESSAGES: dict[TimeoutPhase, str] = {
    "connect": "no connection in time",
    "first_token": "no first token in time",
    "idle": "the stream stalled",
    "total": "no answer in time",
}


class AttemptTimeouts:
    """The time limits of one attempt.

    The attempt starts in the phase ``connect``. `begin` starts the next phase, and with it that phase's own limit; the
    total keeps running. For a stream, create the object when the first chunk is requested. Call
    ``begin("first_token")`` when the request is sent, and ``begin("idle")`` each time the next chunk is requested.

    Not safe to share between attempts. One thread or one task uses it at a time.

    Args:
        timeout_s: Seconds that the whole attempt may take: the hook's ``timeout_s``.
        connect_timeout_s: Seconds until the connection is made, TLS included; infinite for no limit of its own.
        first_token_timeout_s: Seconds from sending the request to the first chunk. Infinite for a whole answer.
        idle_timeout_s: Seconds from one chunk to the next. Infinite for a whole answer.
        clock: Returns seconds from any fixed point; never goes back.
    """

    def __init__(
        self,
        timeout_s: float,
        *,
        connect_timeout_s: float = math.inf,
        first_token_timeout_s: float = math.inf,
        idle_timeout_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._limits: dict[TimeoutPhase, float] = {
            "connect": connect_timeout_s,
            "first_token": first_token_timeout_s,
            "idle": idle_timeout_s,
            "total": timeout_s,
        }
        self._ends = clock() + timeout_s
        self._timer: asyncio.Timeout | None = None
        self.begin("connect")

    @classmethod
    def from_settings(
        cls,
        settings: ProviderSettings,
        timeout_s: float,
        *,
        is_stream: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Return the limits of an attempt that begins now.

        Args:
            settings: The instance's settings.
            timeout_s: The hook's ``timeout_s``, in seconds.
            is_stream: Whether the answer is streamed; a whole answer has no limits for first token and idleness.
            clock: As in the constructor.
        """
        return cls(
            timeout_s,
            connect_timeout_s=settings.connect_timeout_s,
            first_token_timeout_s=settings.first_token_timeout_s if is_stream else math.inf,
            idle_timeout_s=settings.idle_timeout_s if is_stream else math.inf,
            clock=clock,
        )

    def begin(self, phase: Phase, *, at_most_s: float = math.inf) -> None:
        """Start a phase, or start it again; its limit begins now.

        Args:
            phase: The phase.
            at_most_s: A shorter limit for this time only, in seconds.
        """
        self._phase: Phase = phase
        self._seconds = min(self._limits[phase], at_most_s)
        self._phase_ends = self._clock() + self._seconds
        if self._timer is not None:
            self._update_timer()

    def shorten(self, seconds: float) -> None:
        """Let the current phase end at most this many seconds from now; it never ends later than before."""
        self._phase_ends = min(self._phase_ends, self._clock() + seconds)
        self._update_timer()

    @property
    def phase(self) -> TimeoutPhase:
        """The limit that ends first: the one that has expired once `is_expired` is true."""
        return self._phase if self._phase_ends < self._ends else "total"

    @property
    def limit_s(self) -> float:
        """The length of the limit that ends first, in seconds, for messages."""
        return self._seconds if self.phase != "total" else self._limits["total"]

    @property
    def is_connected(self) -> bool:
        """Whether the phase ``connect`` is over; errors before that have ``reached=False``."""
        return self._phase != "connect"

    def remaining_s(self) -> float:
        """Return the seconds until the limit that ends first; 0 when it has expired."""
        return max(0.0, min(self._phase_ends, self._ends) - self._clock())

    def is_expired(self) -> bool:
        """Return whether a limit has expired."""
        return self._clock() >= min(self._phase_ends, self._ends)

    def wait_s(self) -> float:
        """Return how many seconds the next step may wait, more than 0; a timeout for one call of a socket.

        Raises:
            ProviderTimeoutError: A limit has expired; ``phase`` says which.
        """
        remaining_s = self.remaining_s()
        if remaining_s <= 0:
            raise self.error()
        return remaining_s

    def error(self) -> ProviderTimeoutError:
        """Return the error for the limit that ends first."""
        return ProviderTimeoutError(TIMEOUT_MESSAGES[self.phase], phase=self.phase)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Cancel the block when a limit expires; phases that begin within the block move its end.

        Put it around one step of a stream, such as reading the next event, and never around a ``yield``.

        Raises:
            ProviderTimeoutError: A limit expired; ``phase`` says which.
        """
        timer = asyncio.timeout(self.remaining_s())
        outer, self._timer = self._timer, timer
        try:
            async with timer:
                yield
        except TimeoutError:
            if timer.expired():
                raise self.error() from None
            raise
        finally:
            self._timer = outer

    def _update_timer(self) -> None:
        if self._timer is not None and not self._timer.expired():
            self._timer.reschedule(asyncio.get_running_loop().time() + self.remaining_s())
