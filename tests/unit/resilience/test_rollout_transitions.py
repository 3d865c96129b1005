"""Changes of the rollout that a person makes, and those that follow from verdicts of the guard."""

from __future__ import annotations

import pytest
from attrs import evolve

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.guard import Verdict
from kickai_providers_core.resilience.rollout import ALL_ROLES, BUCKETS, Ramp, Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_transitions import RolloutError, apply_verdict, remove
from kickai_providers_core.resilience.step_evidence import StepEvidence

QUARTER = BUCKETS // 4
OF_ALL, OF_SCOUT = Rollout(candidate="new", share=BUCKETS), Rollout(candidate="other", share=BUCKETS // 4)


def test_a_removed_rollout_of_a_role_leaves_that_of_all_roles() -> None:
    """The role's requests then follow the rollout of all roles."""
    plan = RolloutPlan(rollouts={ALL_ROLES: OF_ALL, "scout": OF_SCOUT})
    change = remove(plan, "scout")
    assert change.plan == RolloutPlan(rollouts={ALL_ROLES: OF_ALL})
    assert change.plan.find("scout") == (ALL_ROLES, OF_ALL)
    assert (change.scope, change.what) == ("scout", "rollout of other for the role scout removed, at 25%")


def test_only_a_rollout_of_the_scope_itself_can_be_removed() -> None:
    """That of all roles is not removed by naming a role."""
    with pytest.raises(RolloutError, match="scout"):
        remove(RolloutPlan(rollouts={ALL_ROLES: OF_ALL}), "scout")


def test_the_steps_of_a_ramp_share_the_error_rate_of_the_guard() -> None:
    """A rollout without a ramp is one step."""
    assert OF_ALL.steps == 1
    assert Rollout(candidate="new", ramp=Ramp(shares=(1, 2, BUCKETS), hold_s=60.0)).steps == 3


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
