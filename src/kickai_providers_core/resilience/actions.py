"""Actions: the next step of a walk's driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import define, frozen

from kickai_providers_core.values.base_value import Value

if TYPE_CHECKING:
    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.health import Admission
    from kickai_providers_core.resilience.rate_limiter import Ticket
    from kickai_providers_core.values.errors import KickaiError
    from kickai_providers_core.values.requests import ChatRequest

__all__ = ["TICK_S", "Action", "Call", "Fail", "Sleep", "Validate", "WaitForOther", "WaitForSlot"]

TICK_S = 0.001
"""A wait shorter than this, in seconds, counts as over: clocks and sleeps are not exact."""


@define(eq=False, repr=False)
class Call:
    """Call a target. Report the result with `Walk.record_success` or `Walk.record_failure`.

    Attributes:
        candidate: The target.
        request: The request for the target's model.
        number: 1 for the first attempt at this target in this request.
        timeout_s: Seconds that the attempt may take; never beyond the request's deadline.
        admission: The permission to call; the walk returns it with the result.
        began: The time at which the walk decided.
        ticket: The call's slot at the rate limiter; None for a provider without limits.
        is_hedge: Whether another attempt of the request is running and slow.
    """

    candidate: Candidate
    request: ChatRequest
    number: int
    timeout_s: float
    admission: Admission
    began: float
    ticket: Ticket | None = None
    is_hedge: bool = False


@frozen(eq=False, repr=False)
class Sleep(Value):
    """Sleep for ``wait_s`` seconds, then call `Walk.next`."""

    wait_s: float


@frozen(eq=False, repr=False)
class WaitForSlot(Value):
    """Wait until the ticket wakes you, for at most ``wait_s`` seconds, then call `Walk.next`."""

    ticket: Ticket
    wait_s: float


@frozen(eq=False, repr=False)
class Validate(Value):
    """Let the target's plugin validate its settings for at most ``timeout_s`` seconds, then call `Walk.next`."""

    candidate: Candidate
    timeout_s: float


@frozen(eq=False, repr=False)
class WaitForOther(Value):
    """Wait for the other attempt of the request, which is still running."""


@frozen(eq=False, repr=False)
class Fail(Value):
    """Raise ``error``: the request has failed."""

    error: KickaiError


Action = Call | Sleep | WaitForSlot | Validate | WaitForOther | Fail
"""What a walk returns to its driver."""
