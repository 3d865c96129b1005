"""Which attempts the guard counts, and what its verdicts change."""

from __future__ import annotations

import pytest
from attrs import evolve

from kickai_providers_core.resilience.guard import Verdict
from kickai_providers_core.resilience.guard_settings import GuardSettings
from kickai_providers_core.resilience.guard_state import ArmCounts, StepEvidence
from kickai_providers_core.resilience.rollout import Ramp, Rollout
from kickai_providers_core.resilience.rollout_guard import apply_verdict, count_attempt
from kickai_providers_core.resilience.shares import BUCKETS
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

QUARTER = BUCKETS // 4
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


RAMP = Ramp(shares=(QUARTER, BUCKETS), hold_s=60.0)
CARRIED = StepEvidence(candidate=ArmCounts(n=3))


def decide(action: str) -> Verdict:
    """Return a verdict that carries evidence over."""
    return Verdict(action=action, reason="proven", message="because", next_evidence=CARRIED)


def test_a_good_step_advances_after_its_time() -> None:
    """To the next share of the ramp, with fresh evidence."""
    rollout = Rollout(candidate="a", share=QUARTER, ramp=RAMP, step_began_s=1000.0)
    assert apply_verdict(rollout, decide("advance"), 1059.0) is None
    changed = apply_verdict(rollout, decide("advance"), 1060.0)
    assert changed == (rollout.begin_step(BUCKETS, 1060.0), "a advanced from 25% to 100%")
    assert changed[0].evidence == StepEvidence()


@pytest.mark.parametrize("change", [{"ramp": None}, {"is_paused": True}, {"share": BUCKETS}])
def test_only_a_running_ramp_advances(change: dict[str, object]) -> None:
    """A fixed share, a paused ramp and a complete one stay."""
    rollout = evolve(Rollout(candidate="a", share=QUARTER, ramp=RAMP), **change)
    assert apply_verdict(rollout, decide("advance"), 1e6) is None


def test_holding_changes_nothing() -> None:
    """The evidence goes on."""
    assert apply_verdict(Rollout(candidate="a", share=QUARTER, ramp=RAMP), decide("hold"), 1e6) is None


def test_a_suspension_is_provisional_and_can_be_undone() -> None:
    """The share becomes 0, and returns to what it was; the ramp goes on after it."""
    rollout = Rollout(candidate="a", share=QUARTER, ramp=RAMP)
    suspended, what = apply_verdict(rollout, decide("suspend"), 5.0)
    assert (suspended.share, suspended.suspended_share, suspended.evidence) == (0, QUARTER, CARRIED)
    assert what == "a suspended: from 25% to 0%, provisionally"
    restored, what = apply_verdict(suspended, decide("restore"), 9.0)
    assert (restored.share, restored.suspended_share, restored.ramp, restored.step) == (QUARTER, None, RAMP, 3)
    assert (what, restored.evidence) == ("a restored to 25%", CARRIED)


@pytest.mark.parametrize("action", ["roll_back", "finalize"])
def test_a_rollback_is_final(action: str) -> None:
    """Share, shadow, ramp, pause and suspension end."""
    rollout = Rollout(candidate="a", share=QUARTER, ramp=RAMP, is_paused=True, shadow=5, suspended_share=7)
    after, what = apply_verdict(rollout, decide(action), 5.0)
    assert after == Rollout(candidate="a", step=2, step_began_s=5.0)
    assert what == "a rolled back to 0%"


def test_a_restoration_without_an_earlier_share_leaves_the_share_at_zero() -> None:
    """The suspension of another step has no share to return to."""
    restored, what = apply_verdict(Rollout(candidate="a", ramp=RAMP), decide("restore"), 9.0)
    assert (restored.share, restored.suspended_share) == (0, None)
    assert what == "a restored to 0%"
