"""When an attempt must be over: its bounds in time, read anew before each step on the wire."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from kickai_providers_core.values.errors import TimeoutPhase

__all__ = ["Deadline"]

NEVER = float("inf")


class Deadline:
    """The bounds of one attempt: the whole, connecting, and the phase that it is in.

    A client's own timeouts start again with every byte that comes, so that a server which sends one byte a second is
    never late. These are points in time instead. Not to be shared between attempts.

    Attributes:
        phase: The bound that is nearest, as of the last call of `left_s`: the one to blame when time ran out.
    """

    def __init__(
        self, timeout_s: float, connect_timeout_s: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        now = clock()
        self._clock = clock
        self._bounds: dict[TimeoutPhase, float] = {"total": timeout_s, "connect": connect_timeout_s}
        self._ends = now + timeout_s
        self._connects_until = now + connect_timeout_s
        self._phase: TimeoutPhase = "total"
        self._phase_ends = NEVER
        self.phase: TimeoutPhase = "total"

    @property
    def bound_s(self) -> float:
        """How long the bound to blame was, in seconds."""
        return self._bounds[self.phase]

    def expect(self, phase: TimeoutPhase, within_s: float) -> None:
        """Start a phase: something has to come within so many seconds from now on, and not only a byte of it."""
        self._bounds[phase] = within_s
        self._phase = phase
        self._phase_ends = self._clock() + within_s

    def left_s(self, *, connecting: bool = False) -> float:
        """Return the seconds that the next step may take; 0 when there is no time left."""
        ends, self.phase = min((self._ends, "total"), (self._phase_ends, self._phase))
        if connecting and self._connects_until < ends:
            ends, self.phase = self._connects_until, "connect"
        return max(0.0, ends - self._clock())
