"""What is left at the end of a chain: targets that may be called again, and the error when there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from kickai_providers_core.resilience.actions import TICK_S
from kickai_providers_core.values.attempts import SkipReason
from kickai_providers_core.values.base_value import Value
from kickai_providers_core.values.errors import RejectedRequestError, UnsupportedRequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from kickai_providers_core.resilience.actions import Call
    from kickai_providers_core.resilience.candidates import Candidate, Obstacle
    from kickai_providers_core.resilience.policy import Policy
    from kickai_providers_core.resilience.recorder import Recorder
    from kickai_providers_core.resilience.running_calls import RunningCalls
    from kickai_providers_core.values.attempts import Attempt
    from kickai_providers_core.values.trace import RequestTrace

__all__ = ["RetryFinder", "build_rejection", "force_call"]

UNABLE = frozenset({SkipReason.INCAPABLE, SkipReason.WINDOW_TOO_SMALL})
"""Reasons for which a target could serve other requests, but not this one."""


@frozen(eq=False, repr=False)
class RetryFinder(Value):
    """Finds the targets that may be called again, after a walk has passed every target once.

    Attributes:
        recorder: What the request has done so far.
        policy: What follows from each class of errors.
        left_queues: When to return to the targets whose queue the request left, by position.
        latest: The time after which no attempt is started.
        find_obstacle: Returns why a target cannot serve the request at any time, or None.
    """

    recorder: Recorder
    policy: Policy
    left_queues: Mapping[int, float]
    latest: float
    find_obstacle: Callable[[Candidate], Obstacle | None]

    def find(self, candidates: Sequence[Candidate], now: float) -> list[tuple[float, int]]:
        """Return the time and the index of each target that may be called again, the soonest first."""
        found = ((self._find_time(candidate, now), index) for index, candidate in enumerate(candidates))
        return sorted((at, index) for at, index in found if at is not None)

    def order_by_availability(self, candidates: Sequence[Candidate], now: float) -> list[tuple[float, int]]:
        """Return the time and the index of each target that could serve the request once it is available."""
        return sorted(
            (candidate.health.get_available_at(now), index)
            for index, candidate in enumerate(candidates)
            if self.find_obstacle(candidate) is None
        )

    def _find_time(self, candidate: Candidate, now: float) -> float | None:
        attempts = self.recorder.count_attempts(candidate)
        if attempts > candidate.retries or self.find_obstacle(candidate) is not None:
            return None
        last, available_at = self.recorder.find_last_attempt(candidate), candidate.health.get_available_at(now)
        left_until = self.left_queues.get(candidate.position)
        if left_until is not None:
            # A request that has just left a queue would wait in it for the same slot again.
            at = max(left_until, available_at)
            return at if at + TICK_S < self.latest else None
        if last is None:
            suspension = candidate.health.find_active_suspension(now)
            # The obstacle may have ended. The end of a rate limit is worth waiting for.
            is_limited = suspension is not None and suspension.is_rate_limit
            due = available_at if available_at <= now or is_limited else None
        else:
            due = self._find_time_after(last, available_at, now)
        return due if due is not None and due <= self.latest else None

    def _find_time_after(self, last: Attempt, available_at: float, now: float) -> float | None:
        """Return when a failed target may be called again, now that no other target is left."""
        if last.error is None:
            return None
        rule = self.policy.rule_for(last.error)
        if rule.retry == "last":
            return available_at if last is self.recorder.attempts[-1] and available_at <= now else None
        stated_s = self.policy.stated_delay_s(last.error)
        if rule.retry == "wait" or (rule.retry == "backoff" and stated_s is not None):
            return max(available_at, self.recorder.started + last.started_s + last.latency_s + (stated_s or 0.0))
        return None


def build_rejection(trace: RequestTrace, targets: int) -> RejectedRequestError | None:
    """Return the error of a request that no target supports; None when a target failed for another reason.

    Args:
        trace: What the request did.
        targets: The number of targets in the chain.
    """
    errors = [each.error for each in trace.attempts if isinstance(each.error, UnsupportedRequestError)]
    others_failed = len(errors) < len(trace.attempts) or any(skip.reason not in UNABLE for skip in trace.skipped)
    if not errors or others_failed:
        return None
    if len({step.position for step in trace.steps}) < targets:
        return None
    reasons = "; ".join([*map(str, errors), *map(str, trace.skipped)])
    error = RejectedRequestError(f"no target supports the request: {reasons}")
    error.__cause__ = ExceptionGroup("the error of each target", errors)
    return error


def force_call(calls: RunningCalls, candidate: Candidate, tokens: int, now: float) -> Call | None:
    """Start a call of last resort: of a target that is unavailable. Return None when that is not allowed.

    Args:
        calls: The running attempts of the request.
        candidate: The target.
        tokens: An estimate of the tokens of the call.
        now: The time.
    """
    limiter = candidate.rate_limiter
    ticket = limiter.request_ticket(tokens, now) if limiter is not None else None
    admission = candidate.health.force(now) if ticket is None or ticket.admitted else None
    if admission is not None:
        return calls.start(candidate, admission, ticket, now)
    if ticket is not None:
        ticket.release(now, used=False)
    return None
