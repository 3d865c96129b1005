"""The attempts of one request that are running: one, or two when it is hedged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.actions import Call
from kickai_providers_core.values.attempts import Outcome

if TYPE_CHECKING:
    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.health import Admission
    from kickai_providers_core.resilience.rate_limiter import Ticket
    from kickai_providers_core.resilience.recorder import Recorder
    from kickai_providers_core.resilience.walk_context import RequestContext
    from kickai_providers_core.values.usage import Usage

__all__ = ["RunningCalls"]


class RunningCalls:
    """The running attempts of one request. Belongs to that request.

    Args:
        recorder: Records each start, and each cancelled end.
        request: What the request is about. When it streams, only the deadline bounds an attempt as a whole.
        ends: The time at which the request's deadline passes.

    Attributes:
        first: The attempt that is running, or None.
        second: The hedged attempt that is running besides it, or None.
    """

    __slots__ = ("_ends", "_recorder", "_request", "first", "second")

    def __init__(self, recorder: Recorder, request: RequestContext, ends: float) -> None:
        self.first: Call | None = None
        self.second: Call | None = None
        self._recorder = recorder
        self._request = request
        self._ends = ends

    def start(
        self, candidate: Candidate, admission: Admission, ticket: Ticket | None, now: float, *, hedged: bool = False
    ) -> Call:
        """Start an attempt, and return what its driver has to call."""
        if admission.states_before is not None:
            self._recorder.record_breaker_changes(candidate, admission.states_before, now)
        timeout_s = self._ends - now
        if not self._request.streams and candidate.timeout_s < timeout_s:
            timeout_s = candidate.timeout_s
        number = self._recorder.count_attempts(candidate) + 1
        request = self._request.request.for_model(candidate.model)
        call = Call(candidate, request, number, timeout_s, admission, now, ticket, hedged)
        if hedged:
            self.second = call
        else:
            self.first = call
        self._recorder.record_call(call)
        return call

    def end(self, now: float, *, usage: Usage | None = None, call: Call | None = None) -> Call:
        """Return the attempt that has ended, having released its ticket.

        Args:
            now: The time.
            usage: The tokens that it used, when known.
            call: The attempt; None for the only one. If the first of two has ended, the second becomes the first.

        Raises:
            RuntimeError: No attempt is running.
        """
        ended: Call | None
        if call is not None and call is self.second:
            ended, self.second = self.second, None
        else:
            ended, self.first, self.second = self.first, self.second, None
        if ended is None:
            raise RuntimeError("no attempt is running")
        if ended.ticket is not None:
            ended.ticket.release(now, tokens=usage.total_tokens if usage is not None else None)
        return ended

    def cancel(self, now: float) -> None:
        """Record all running attempts as cancelled, and return what they held."""
        while self.first is not None:
            call = self.end(now)
            self._recorder.record_end(call, now, Outcome.CANCELLED)
            health = call.candidate.health
            before = health.get_breaker_states()
            health.release(call.admission)
            self._recorder.record_breaker_changes(call.candidate, before, now)
