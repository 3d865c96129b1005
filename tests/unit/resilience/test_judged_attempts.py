"""Which attempts the guard judges."""

from __future__ import annotations

import pytest
from attrs import evolve

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.guard_settings import GuardSettings
from kickai_providers_core.resilience.judged_attempts import count_attempt
from kickai_providers_core.values.attempts import Attempt, Outcome
from kickai_providers_core.values.errors import (
    ContentFilteredError,
    ContextLengthExceededError,
    InvalidRequestError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitedError,
    UnsupportedRequestError,
)
from kickai_providers_core.values.events import AttemptEnded

SETTINGS = GuardSettings()
ANSWERED = Attempt(position=0, provider="a", model="m", number=1, started_s=0.0, latency_s=3.0, outcome=Outcome.SUCCESS)
EVENT = AttemptEnded(1, "coach", ANSWERED, finish_reason="stop", is_primary=True, arm="candidate")


def fail(error: ProviderError) -> AttemptEnded:
    """Return the event of a failed attempt."""
    return evolve(EVENT, attempt=evolve(ANSWERED, outcome=Outcome.ERROR, error=error), finish_reason=None)


def test_the_first_attempt_at_the_first_target_counts() -> None:
    """In both arms, whether it succeeds or fails."""
    assert count_attempt(EVENT, SETTINGS) == ArmCounts(n=1)
    assert count_attempt(evolve(EVENT, arm="control"), SETTINGS) == ArmCounts(n=1)
    for error in (ProviderTimeoutError("slow"), RateLimitedError("busy")):
        assert count_attempt(fail(error), SETTINGS) == ArmCounts(n=1, failures=1)


def test_the_probe_of_an_open_breaker_counts() -> None:
    """Otherwise a dead provider would have no further evidence."""
    assert count_attempt(evolve(EVENT, is_probe=True), SETTINGS) == ArmCounts(n=1)


@pytest.mark.parametrize(
    "change",
    [
        {"arm": None},
        {"arm": "shadow"},
        {"is_primary": False},
        {"is_hedge": True},
        {"attempt": evolve(ANSWERED, number=2)},
        {"attempt": evolve(ANSWERED, outcome=Outcome.CANCELLED)},
    ],
)
def test_other_attempts_do_not_count(change: dict[str, object]) -> None:
    """They depend on earlier attempts, or are nobody's fault."""
    assert count_attempt(evolve(EVENT, **change), SETTINGS) is None


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("bad"),
        UnsupportedRequestError("no tools"),
        ContextLengthExceededError("too long"),
        ContentFilteredError("withheld", reason="safety"),
    ],
)
def test_errors_of_the_request_do_not_count(error: ProviderError) -> None:
    """They say nothing about the provider."""
    assert count_attempt(fail(error), SETTINGS) is None


def test_refused_and_truncated_answers_count_when_they_are_judged() -> None:
    """A withheld answer is a refusal then, and so is one that hit its token limit."""
    settings = GuardSettings(max_refusal_share=0.1)
    assert count_attempt(fail(ContentFilteredError("withheld", reason="safety")), settings) == ArmCounts(
        n=1, refusals=1
    )
    assert count_attempt(evolve(EVENT, finish_reason="length"), settings) == ArmCounts(n=1, refusals=1)


def test_slow_answers_count() -> None:
    """A whole answer by its latency, and a stream by its first token."""
    settings = GuardSettings(latency_limit_s=2.0, first_token_limit_s=1.0)
    assert count_attempt(EVENT, settings) == ArmCounts(n=1, slow=1)
    stream = evolve(EVENT, is_streamed=True, first_token_s=1.5)
    assert count_attempt(stream, settings) == ArmCounts(n=1, streams=1, slow_first_token=1)
    assert count_attempt(evolve(stream, first_token_s=0.5), settings) == ArmCounts(n=1, streams=1)
    impatient = GuardSettings(latency_limit_s=0.1)
    assert count_attempt(stream, impatient) == ArmCounts(n=1, streams=1)
