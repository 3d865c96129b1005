"""Which attempts the guard judges, and as what each of them counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.rollout_shares import CANDIDATE, CONTROL
from kickai_providers_core.values.attempts import Outcome
from kickai_providers_core.values.errors import (
    ContentFilteredError,
    RejectedRequestError,
    UnsupportedRequestError,
)

if TYPE_CHECKING:
    from kickai_providers_core.resilience.guard_settings import GuardSettings
    from kickai_providers_core.values.events import AttemptEnded

__all__ = ["count_attempt"]

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
