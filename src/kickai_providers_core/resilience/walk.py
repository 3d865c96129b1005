"""A walk: one request's way down a chain, decided without I/O.

A driver calls `Walk.next`, carries out the action that it returns, and reports the result::

    Call          call the target; then `record_success`, `record_failure` or `record_cancellation`
    Sleep         sleep for ``wait_s``; then `next`
    WaitForSlot   wait until ``ticket`` wakes you, for at most ``wait_s``; then `next`
    Validate      validate the target's settings, for at most ``timeout_s``; then `next`
    WaitForOther  wait for the other attempt that is running
    Fail          raise ``error``

A driver that can run two attempts at once asks `Walk.find_hedge_wait_s` when a second one may be due, and then
`Walk.hedge`.

Time is an argument of every method. The same class serves the blocking driver, the asyncio driver, both streaming
drivers and the simulations of the tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.actions import TICK_S, Action, Call, Fail, Sleep, Validate, WaitForOther
from kickai_providers_core.resilience.candidates import UNVALIDATED
from kickai_providers_core.resilience.failure_attribution import apply_failure, strip_frames
from kickai_providers_core.resilience.last_resort import RetryFinder, build_rejection, force_call
from kickai_providers_core.resilience.policy import choose_backoff_s
from kickai_providers_core.resilience.queueing import QueueWait, choose_patience_s
from kickai_providers_core.resilience.rate_limiter import Ticket
from kickai_providers_core.resilience.recorder import Recorder
from kickai_providers_core.resilience.running_calls import RunningCalls
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.errors import ChainExhaustedError, DeadlineExceededError, RejectedRequestError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.resilience.candidates import Candidate
    from kickai_providers_core.resilience.walk_context import ChainContext, RequestContext
    from kickai_providers_core.values.errors import KickaiError, ProviderError
    from kickai_providers_core.values.replies import Reply

__all__ = ["Walk"]

SUCCESS, ERROR = Outcome.SUCCESS, Outcome.ERROR


class Walk:
    """One request's way down a chain. It belongs to one request; the health of its targets is shared.

    Args:
        candidates: The targets, in order.
        chain: What all requests of the chain share.
        request: What this request is about.
        started: The time at which it begins.

    Attributes:
        chain: As given.
        request: As given.
    """

    __slots__ = (
        *("_calls", "_candidates", "_ends", "_hedge_decided_for", "_is_last_resort", "_latest", "_next_index"),
        *("_planned", "_queue", "_recorder", "_too_small", "_validated", "chain", "request"),
    )

    def __init__(
        self, candidates: Sequence[Candidate], chain: ChainContext, request: RequestContext, started: float
    ) -> None:
        self.chain = chain
        self.request = request
        self._candidates = candidates
        self._ends = started + request.deadline_s
        # No attempt starts after this time, except that a very short deadline still gets one attempt.
        self._latest = self._ends - min(request.deadline_s / 2, chain.policy.min_attempt_s)
        self._recorder = Recorder(chain, request, candidates, started)
        self._calls = RunningCalls(self._recorder, request, self._ends)
        self._queue: QueueWait | None = None  # only limited targets have queues
        self._next_index = 0
        self._planned: tuple[float, Candidate] | None = None  # a target to return to, and when
        self._hedge_decided_for: Call | None = None
        self._validated: int | None = None  # the position whose validation was last waited for
        self._too_small: int | None = None  # a context window that has proved too small
        self._is_last_resort = False
        chain.retry_budget.record_request(request.number, started)
        if chain.hedge_timer is not None:
            chain.hedge_timer.budget.record_request(request.number, started)

    # For drivers

    def next(self, now: float) -> Action:
        """Return what to do now."""
        queue = self._queue
        if queue is not None and queue.candidate is not None:
            action = self._check_queue(queue, queue.candidate, now)
            if action is not None:
                return action
        if self._planned is not None:
            due, candidate = self._planned
            if due - now > TICK_S:
                self._recorder.record_wait(candidate, due - now)
                return Sleep(due - now)
            self._planned = None
            action = self._try_candidate(candidate, max(now, due))
            if action is not None:
                return action
        while self._next_index < len(self._candidates):
            candidate = self._candidates[self._next_index]
            self._next_index += 1
            action = self._try_candidate(candidate, now)
            if action is not None:
                return action
        return self._try_again(now)

    def find_hedge_wait_s(self, now: float) -> float | None:
        """Return the seconds until a second attempt may be due; None for never."""
        call, timer = self._calls.first, self.chain.hedge_timer
        is_last = self._next_index >= len(self._candidates)
        if timer is None or call is None or is_last or self._calls.second is not None:
            return None
        delay_s = None if call is self._hedge_decided_for else timer.find_delay_s(call.candidate)
        return None if delay_s is None else max(0.0, call.began + delay_s - now)

    def hedge(self, now: float) -> Call | None:
        """Return a second attempt to start now, or None. Targets that cannot be called are skipped."""
        call, timer = self._calls.first, self.chain.hedge_timer
        if call is None or timer is None:
            return None
        self._hedge_decided_for = call
        if now > self._latest or not timer.budget.try_withdraw(self.request.number, now):
            return None
        while self._next_index < len(self._candidates):
            candidate = self._candidates[self._next_index]
            self._next_index += 1
            second = self._try_candidate(candidate, now, is_hedge=True)
            if isinstance(second, Call):
                self._recorder.record_hedge(call.candidate, now - call.began)
                return second
        timer.budget.refund(now)  # only calls that are made count
        return None

    def record_success(self, reply: Reply, now: float, *, call: Call | None = None) -> Reply:
        """Record the answer of the running attempt, and return it with the trace of the request.

        Args:
            reply: The answer.
            now: The time.
            call: The attempt, when two may be running. The other one is recorded as cancelled.
        """
        call = self._calls.end(now, usage=reply.usage, call=call)
        if self._calls.first is not None:
            self._calls.cancel(now)
        candidate, recorder, timer = call.candidate, self._recorder, self.chain.hedge_timer
        if timer is not None:
            timer.record_latency(candidate, now - call.began)
        if recorder.attempts:
            recorder.attempts[:] = map(strip_frames, recorder.attempts)
        recorder.record_end(call, now, SUCCESS, reply=reply)
        before = candidate.health.record_success(call.admission)
        if before is not None:
            recorder.record_breaker_changes(candidate, before, now)
        return recorder.record_reply(reply, candidate, now, last_resort=self._is_last_resort)

    def record_failure(
        self, error: ProviderError, now: float, *, final: bool = False, call: Call | None = None
    ) -> Action:
        """Record the error of the running attempt, and return what to do now.

        Args:
            error: What the attempt raised.
            now: The time.
            final: Whether the caller has a part of the answer, so that no other attempt may follow.
            call: The attempt, when two may be running. The other one continues.
        """
        call = self._calls.end(now, call=call)
        policy, health = self.chain.policy, call.candidate.health
        rule = policy.rule_for(error)
        before = health.get_breaker_states()
        apply_failure(call, rule, error, policy.stated_delay_s(error), now)
        suspended_s = health.get_available_at(now) - now
        self._recorder.record_end(call, now, ERROR, error=error, suspended_s=suspended_s)
        self._recorder.record_breaker_changes(call.candidate, before, now)
        if final:
            return self._fail_with(error, now)
        if rule.fall_back == "larger_window":
            window = getattr(error, "limit_tokens", None) or call.candidate.context_window or 0
            self._too_small = max(self._too_small or 0, window)
        # While another attempt is running, a retry would be a third call.
        is_alone = self._calls.first is None
        if is_alone and rule.retry == "backoff" and self._plan_retry(call, error, now):
            return self.next(now)
        if rule.fall_back == "never":
            return self._fail_with(error, now)
        return self.next(now) if is_alone else WaitForOther()

    def record_first_chunk(self, now: float) -> None:
        """Record that the running attempt has streamed its first chunk."""
        self._recorder.record_first_chunk(now)

    def record_cancellation(self, now: float) -> None:
        """Record that the request was cancelled, unless it has ended, and return what its attempts held."""
        self._calls.cancel(now)
        if self._queue is not None:
            self._queue.leave(now)
        self._recorder.record_end_without_reply(now)

    # One target

    def _try_candidate(self, candidate: Candidate, now: float, *, is_hedge: bool = False) -> Action | None:
        """Return what to do at a target, or None when it is skipped. A hedged attempt does not wait."""
        if now > self._latest:
            return self._give_up(now)
        obstacle = candidate.find_obstacle_for(self.request, self._too_small)
        if obstacle is UNVALIDATED and not is_hedge and candidate.position != self._validated:
            self._validated = candidate.position
            self._planned = (now, candidate)
            patience_s = choose_patience_s(self._ends - now, is_last=self._next_index >= len(self._candidates))
            return Validate(candidate, min(patience_s, candidate.timeout_s))
        if obstacle is not None:
            self._recorder.record_skip(candidate, obstacle, now)
            return None
        limiter = candidate.rate_limiter
        # The queue of a target that is unavailable is not worth waiting in.
        if limiter is None or candidate.health.get_available_at(now) > now:
            return self._admit(candidate, None, now, is_hedge=is_hedge)
        patience_s = choose_patience_s(self._ends - now, is_last=self._next_index >= len(self._candidates))
        until = now if is_hedge else min(self._latest, now + patience_s)
        queue = self._queue = self._queue or QueueWait(self._recorder, self._latest)
        if not queue.enter(candidate, limiter, self.request.tokens, until, now):
            return None
        return self._check_queue(queue, candidate, now, is_hedge=is_hedge)

    def _check_queue(
        self, queue: QueueWait, candidate: Candidate, now: float, *, is_hedge: bool = False
    ) -> Action | None:
        """Return what to do while the request is queued, or None when it has left the queue."""
        position = queue.check(now)
        if isinstance(position, Ticket):
            return self._admit(candidate, position, now, is_hedge=is_hedge)
        return position

    def _admit(self, candidate: Candidate, ticket: Ticket | None, now: float, *, is_hedge: bool) -> Action | None:
        """Return the call of a target that its health admits, or None."""
        admission = candidate.health.admit(now)
        if admission is not None:
            return self._calls.start(candidate, admission, ticket, now, hedged=is_hedge)
        if ticket is not None:
            ticket.release(now, used=False)
        available_at = candidate.health.get_available_at(now)
        obstacle = candidate.describe_unavailability(available_at, now)
        self._recorder.record_skip(candidate, obstacle, now, available_at)
        return None

    # After the last target, or a failed attempt

    def _plan_retry(self, call: Call, error: ProviderError, now: float) -> bool:
        """Plan a retry of the same target before any other; return False when there is none."""
        policy = self.chain.policy
        if call.number > call.candidate.retries:
            return False
        wait_s = max(choose_backoff_s(policy, call.number, self.chain.random), policy.stated_delay_s(error) or 0.0)
        if wait_s > policy.backoff_max_s or call.candidate.health.get_available_at(now) > now + wait_s:
            return False
        if now + wait_s > self._latest or not self._withdraw_retry(call.candidate, now):
            return False
        self._planned = (now + wait_s, call.candidate)
        return True

    def _withdraw_retry(self, candidate: Candidate, now: float) -> bool:
        """Withdraw a retry from the budget, if this is one; return False when the budget is used up."""
        is_retry = self._recorder.count_attempts(candidate) > 0
        if not is_retry or self.chain.retry_budget.try_withdraw(self.request.number, now):
            return True
        self._recorder.record_withheld_retry(candidate)
        return False

    def _try_again(self, now: float) -> Action:
        """Return to the target that may be called again first, or give up."""
        if now > self._latest:
            return self._give_up(now)
        policy = self.chain.policy
        left_queues = {} if self._queue is None else self._queue.left
        finder = RetryFinder(
            self._recorder,
            policy,
            left_queues,
            self._latest,
            lambda candidate: candidate.find_obstacle_for(self.request, self._too_small),
        )
        options = finder.find(self._candidates, now)
        if not self._recorder.attempts and policy.last_resort:
            soonest = options[0] if options else None
            for first in finder.order_by_availability(self._candidates, now):
                if soonest is not None and soonest <= first:
                    break  # waiting for that target is better
                call = force_call(self._calls, self._candidates[first[1]], self.request.tokens, now)
                if call is not None:
                    self._is_last_resort = True
                    return call
        for at, index in options:
            candidate = self._candidates[index]
            if self._withdraw_retry(candidate, now):
                self._planned = (at, candidate)
                return self.next(now)
        return self._give_up(now)

    def _give_up(self, now: float) -> Fail:
        last = self._recorder.attempts[-1].error if self._recorder.attempts else None
        if isinstance(last, RejectedRequestError):
            return self._fail_with(last, now)
        trace = self._recorder.build_trace(now)
        rejection = build_rejection(trace, len(self._candidates))
        if rejection is not None:
            return self._fail_with(rejection, now)
        error: KickaiError
        error = DeadlineExceededError.from_trace(trace) if now > self._latest else ChainExhaustedError.from_trace(trace)
        self._recorder.record_end_without_reply(now, error)
        return Fail(error)

    def _fail_with(self, error: ProviderError, now: float) -> Fail:
        """End the request with the error of an attempt. Its trace has a copy, or else it would refer to itself."""
        self._calls.cancel(now)
        attempts = self._recorder.attempts
        attempts[:] = [strip_frames(each) if each.error is error else each for each in attempts]
        error.trace = self._recorder.build_trace(now)
        self._recorder.record_end_without_reply(now, error)
        return Fail(error)
