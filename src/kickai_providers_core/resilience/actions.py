"""What a walk tells its driver to do next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, frozen

if TYPE_CHECKING:
    from kickai_providers_core.resilience.candidates import Link
    from kickai_providers_core.resilience.health import Leave
    from kickai_providers_core.resilience.rate_limiter import Turn
    from kickai_providers_core.values.errors import KickaiError

__all__ = ["TICK_S", "Await", "GiveUp", "Pause", "Queue", "Step", "Try", "Validate"]


TICK_S = 0.001
"""A wait shorter than this is over: clocks and sleeps are not that exact."""


@define(eq=False, repr=False)
class Try:
    """Call this target, for at most so long; a record that lives as long as the attempt.

    Attributes:
        link: The target.
        number: 1 for its first try in this request.
        timeout_s: The time the attempt has, the deadline of the request included.
        leave: What the health of the target gave for it; the walk takes it back with the result.
        began: The time at which it was decided.
        turn: Its place among the calls of a provider that limits them; the walk takes it back too.
    """

    link: Link
    number: int
    timeout_s: float
    leave: Leave
    began: float
    turn: Turn | None = None


@frozen
class Pause:
    """Wait so long, then ask again."""

    wait_s: float


@frozen
class Queue:
    """Wait until the turn wakes you, or for so long, then ask again."""

    turn: Turn
    wait_s: float


@frozen
class Validate:
    """Have the target's plugin validate its settings, for at most ``timeout_s`` seconds, then ask again."""

    link: Link
    timeout_s: float


@frozen
class Await:
    """Another attempt is still under way: wait for it."""


@frozen
class GiveUp:
    """Raise this: the request has failed."""

    error: KickaiError


Step = Try | Pause | Queue | Validate | Await | GiveUp
"""What a driver is told to do."""
