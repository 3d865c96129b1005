"""Records the attempts and skips of one request, and emits an event for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.tokens import estimate_min_tokens
from kickai_providers_core.values.attempts import Attempt, Outcome, Skip
from kickai_providers_core.values.events import (
    AttemptEnded,
    AttemptStarted,
    BreakerChanged,
    Hedged,
    Queued,
    RequestEnded,
    RequestStarted,
    RetryWithheld,
    TargetSkipped,
    Waiting,
)
from kickai_providers_core.values.plain_text import clean_line
from kickai_providers_core.values.text_length_limits import DETAIL_LIMIT
from kickai_providers_core.values.trace import RequestTrace
from kickai_providers_core.values.trusted import build_trusted, evolve_trusted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kickai_providers_core.resilience.actions import Call
    from kickai_providers_core.resilience.candidates import Candidate, Obstacle
    from kickai_providers_core.resilience.walk_context import ChainContext, RequestContext
    from kickai_providers_core.values.breaker_state import BreakerState
    from kickai_providers_core.values.errors import ProviderError
    from kickai_providers_core.values.replies import Reply

__all__ = ["Recorder"]


class Recorder:
    """The attempts and skips of one request. Belongs to that request.

    Attributes:
        attempts: Every attempt that has ended, in order.
        started: The time at which the request began.
    """

    __slots__ = (
        *("_arm", "_emit", "_first", "_first_chunk_at", "_is_over", "_number", "_process", "_request", "_role"),
        *("_skips", "attempts", "started"),
    )

    def __init__(
        self, chain: ChainContext, request: RequestContext, candidates: Sequence[Candidate], started: float
    ) -> None:
        self.attempts: list[Attempt] = []
        self.started = started
        self._skips: dict[int, Skip] = {}
        self._request = request
        self._number, self._role, self._arm, self._process = request.number, chain.role, request.arm, chain.process
        self._first = candidates[0]
        self._first_chunk_at: float | None = None
        self._is_over = False
        self._emit = emit = chain.emit
        emit(RequestStarted(request.number, chain.role, len(candidates), request.deadline_s, request.arm))

    def build_trace(self, now: float, *, fell_back: bool = False, last_resort: bool = False) -> RequestTrace:
        """Return what the request has done so far."""
        return build_trusted(
            RequestTrace,
            attempts=tuple(self.attempts),
            skipped=tuple(self._skips.values()),
            elapsed_s=now - self.started,
            deadline_s=self._request.deadline_s,
            fell_back=fell_back,
            last_resort=last_resort,
            role=self._role,
            arm=self._arm,
        )

    def count_attempts(self, candidate: Candidate) -> int:
        """Return how many attempts at the target have ended."""
        count = 0
        for attempt in self.attempts:
            if attempt.position == candidate.position:
                count += 1
        return count

    def find_last_attempt(self, candidate: Candidate) -> Attempt | None:
        """Return the latest attempt at the target that has ended, or None."""
        for attempt in reversed(self.attempts):
            if attempt.position == candidate.position:
                return attempt
        return None

    def record_call(self, call: Call) -> None:
        """Record that a target is about to be called."""
        candidate = call.candidate
        self._skips.pop(candidate.position, None)
        self._first_chunk_at = None
        provider, model = candidate.provider, candidate.model
        self._emit(AttemptStarted(self._number, self._role, provider, model, call.number, call.timeout_s, self._arm))

    def record_first_chunk(self, now: float) -> None:
        """Record that the running attempt has streamed its first chunk; do nothing for later ones."""
        if self._first_chunk_at is None:
            self._first_chunk_at = now

    def record_end(
        self,
        call: Call,
        now: float,
        outcome: Outcome,
        *,
        error: ProviderError | None = None,
        suspended_s: float = 0.0,
        reply: Reply | None = None,
    ) -> None:
        """Record how an attempt ended. An error without a provider gets the target's names."""
        candidate, first_chunk_at = call.candidate, self._first_chunk_at
        if error is not None and not error.provider:
            error.provider, error.model = candidate.provider, error.model or candidate.model
        attempt = build_trusted(
            Attempt,
            position=candidate.position,
            provider=candidate.provider,
            model=candidate.model,
            number=call.number,
            started_s=call.began - self.started,
            latency_s=max(0.0, now - call.began),  # it may begin within the tick before its time
            outcome=outcome,
            error=error,
            rests_s=suspended_s,
            retry_withheld=False,
        )
        self.attempts.append(attempt)
        usage, reply_model, finish_reason, prompt_tokens = None, "", None, 0
        if reply is not None:
            usage, reply_model, finish_reason = reply.usage, reply.model, str(reply.finish_reason)
        if usage is None:
            prompt_tokens = estimate_min_tokens(self._request.request)
        self._emit(
            AttemptEnded(
                self._number,
                self._role,
                attempt,
                usage,
                reply_model,
                finish_reason,
                None if first_chunk_at is None else max(0.0, first_chunk_at - call.began),
                self._request.streams,
                candidate is self._first,
                call.is_hedge,
                call.admission.is_probe,
                prompt_tokens,
                self._arm,
            )
        )

    def record_skip(
        self, candidate: Candidate, obstacle: Obstacle, now: float, available_at: float | None = None
    ) -> None:
        """Record why a target is skipped; nothing for a target that was called before."""
        if self.count_attempts(candidate):
            return
        reason, detail = obstacle
        skip = build_trusted(
            Skip,
            position=candidate.position,
            provider=candidate.provider,
            model=candidate.model,
            reason=reason,
            detail=clean_line(detail, DETAIL_LIMIT),
            at_s=now - self.started,
            retry_in_s=None if available_at is None else max(0.0, available_at - now),
        )
        self._skips[candidate.position] = skip
        self._emit(TargetSkipped(self._number, self._role, skip, arm=self._arm))

    def record_reply(self, reply: Reply, candidate: Candidate, now: float, *, last_resort: bool) -> Reply:
        """Record that a target has answered the request, and return the answer with the trace of the request."""
        self._is_over, fell_back = True, candidate is not self._first
        fallback_provider, fallback_reason = "", None
        if fell_back:
            fallback_provider, fallback_reason = self._first.provider, self._find_fallback_reason()
        model = reply.model or candidate.model or ""
        request_id = reply.request_id or self._process.build_request_id(self._number)
        trace = self.build_trace(now, fell_back=fell_back, last_resort=last_resort)
        self._emit(
            RequestEnded(
                self._number,
                self._role,
                "success",
                now - self.started,
                len(self.attempts),
                None,
                candidate.provider,
                model,
                fell_back,
                reply.usage,
                fallback_provider,
                fallback_reason,
                self._request.streams,
                request_id,
                self._arm,
            )
        )
        return evolve_trusted(reply, provider=candidate.provider, model=model, request_id=request_id, trace=trace)

    def record_end_without_reply(self, now: float, error: BaseException | None = None) -> None:
        """Record that the request failed, or was cancelled if ``error`` is None; do nothing if it has ended."""
        if self._is_over:
            return
        self._is_over = True
        self._emit(
            RequestEnded(
                self._number,
                self._role,
                outcome="cancelled" if error is None else "error",
                latency_s=now - self.started,
                attempts=len(self.attempts),
                error=None if error is None else type(error).__name__,
                is_streamed=self._request.streams,
                arm=self._arm,
            )
        )

    def record_wait(self, candidate: Candidate, wait_s: float) -> None:
        """Record that the request waits before it calls a target again."""
        self._emit(Waiting(self._number, self._role, candidate.provider, candidate.model, wait_s, arm=self._arm))

    def record_hedge(self, slow: Candidate, after_s: float) -> None:
        """Record that another target is called because one is slow."""
        self._emit(Hedged(self._number, self._role, slow.provider, slow.model, after_s, arm=self._arm))

    def record_queued(self, candidate: Candidate, ahead: int, patience_s: float) -> None:
        """Record that the request waits in a provider's queue."""
        self._emit(
            Queued(self._number, self._role, candidate.provider, candidate.model, ahead, patience_s, arm=self._arm)
        )

    def record_withheld_retry(self, candidate: Candidate) -> None:
        """Record that a failed target is not retried because the retry budget is used up."""
        latest = max(at for at, attempt in enumerate(self.attempts) if attempt.position == candidate.position)
        self.attempts[latest] = evolve_trusted(self.attempts[latest], retry_withheld=True)
        self._emit(RetryWithheld(self._number, self._role, candidate.provider, candidate.model, arm=self._arm))

    def record_breaker_changes(
        self, candidate: Candidate, before: tuple[BreakerState, BreakerState], now: float
    ) -> None:
        """Record which of the two breakers of a target, its provider's and its own, have changed their state."""
        health = candidate.health
        after = health.get_breaker_states()
        if before == after:
            return
        for old, new, state, model in (
            (before[0], after[0], health.provider, None),
            (before[1], after[1], health.target, candidate.model),
        ):
            if old is not new:
                retry_in_s = state.get_available_at(now) - now
                self._emit(
                    BreakerChanged(
                        self._number, self._role, candidate.provider, model, old, new, retry_in_s, arm=self._arm
                    )
                )

    def _find_fallback_reason(self) -> str:
        """Return why the request's first target did not answer."""
        skip = self._skips.get(self._first.position)
        if skip is not None:
            return skip.reason.value
        last = self.find_last_attempt(self._first)
        return "slow" if last is None or last.error is None else type(last.error).__name__
