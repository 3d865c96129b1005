"""Changes of the rollout that a person makes."""

from __future__ import annotations

import pytest

from kickai_providers_core.resilience.rollout import ALL_ROLES, BUCKETS, Ramp, Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_changes import RolloutError, remove

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
