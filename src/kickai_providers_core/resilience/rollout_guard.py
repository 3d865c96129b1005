"""What the guard's verdict changes in a rollout, and which attempts it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.guard_state import ArmCounts
from kickai_providers_core.resilience.shares import CANDIDATE, CONTROL, format_share
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.errors import (
    ContentFilteredError,
    RejectedRequestError,
    UnsupportedRequestError,
)

if TYPE_CHECKING:
    from kickai_providers_core.resilience.guard import Verdict
    from kickai_providers_core.resilience.guard_settings import GuardSettings
    from kickai_providers_core.resilience.rollout import Rollout
    from kickai_providers_core.values.events import AttemptEnded

__all__ = ["apply_verdict", "count_attempt"]

REQUEST_ERRORS = (RejectedRequestError, UnsupportedRequestError)
"""Errors that are due to the request: they say nothing about the provider."""

TRUNCATED = "length"


def count_attempt(event: AttemptEnded, settings: GuardSettings) -> ArmCounts | None:
    """Return the counts of an attempt that the guard judges; None for any other.

    It judges the first attempt of each request at the request's first target. Retries, fallbacks, hedged and cancelled
    attempts are left out, since they depend on earlier attempts. The probe of an open breaker counts: it is a first
    attempt, and without it a dead provider would have no further evidence once its breaker is open.
    """
    attempt = event.attempt
    is_first = event.is_primary and attempt.number == 1 and not event.is_hedge
    if event.arm not in {CANDIDATE, CONTROL} or not is_first or attempt.outcome is Outcome.CANCELLED:
        return None
    if isinstance(attempt.error, ContentFilteredError):
        return None if settings.max_refusal_share is None else ArmCounts(n=1, refusals=1)
    if isinstance(attempt.error, REQUEST_ERRORS):
        return None
    return ArmCounts.from_attempt(
        settings,
        failed=attempt.error is not None,
        latency_s=0.0 if event.is_streamed else attempt.latency_s,
        first_token_s=event.first_token_s,
        refused=event.finish_reason == TRUNCATED,
    )


def apply_verdict(rollout: Rollout, verdict: Verdict, now_s: float) -> tuple[Rollout, str] | None:
    """Return the rollout after a verdict, and the change for a reader; None when nothing changes.

    Only ``advance`` raises a share beyond what it was, and only in a ramp that a person has started, is not paused, and
    has held its share for long enough.

    Args:
        rollout: The rollout that was judged.
        verdict: The verdict.
        now_s: The time in seconds since 1970.
    """
    candidate, share = rollout.candidate, rollout.share
    if verdict.action == "advance":
        return _advance(rollout, now_s)
    if verdict.action == "suspend":
        after = rollout.begin_step(0, now_s, suspended_share=share, evidence=verdict.next_evidence)
        return after, f"{candidate} suspended: from {format_share(share)} to 0%, provisionally"
    if verdict.action == "restore":
        earlier = rollout.suspended_share or 0
        after = rollout.begin_step(earlier, now_s, suspended_share=None, evidence=verdict.next_evidence)
        return after, f"{candidate} restored to {format_share(earlier)}"
    if verdict.is_final:
        after = rollout.begin_step(0, now_s, suspended_share=None, ramp=None, is_paused=False, shadow=0)
        return after, f"{candidate} rolled back to 0%"
    return None


def _advance(rollout: Rollout, now_s: float) -> tuple[Rollout, str] | None:
    ramp = rollout.ramp
    if ramp is None or rollout.is_paused or now_s - rollout.step_began_s < ramp.hold_s:
        return None
    following = ramp.find_next(rollout.share)
    if following is None:
        return None
    what = f"{rollout.candidate} advanced from {format_share(rollout.share)} to {format_share(following)}"
    return rollout.begin_step(following, now_s), what
