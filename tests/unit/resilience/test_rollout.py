"""Rollouts: which requests the candidate serves, and the changes that operators make."""

from __future__ import annotations

import json
import random

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.rollout import Ramp, Rollout, RolloutPlan
from kickai_providers_core.resilience.rollout_settings import RolloutSettings
from kickai_providers_core.resilience.rollout_shares import (
    ALL_ROLES,
    BUCKETS,
    CANDIDATE,
    CONTROL,
    format_share,
    parse_share,
)
from kickai_providers_core.resilience.rollout_transitions import (
    RolloutError,
    go_back,
    pause,
    resume,
    set_share,
    start_ramp,
)
from kickai_providers_core.resilience.step_evidence import StepEvidence
from kickai_providers_core.values.rollout_key import choose_bucket

QUARTER = BUCKETS // 4
SHARES = st.integers(min_value=0, max_value=BUCKETS)


@pytest.mark.parametrize(
    ("text", "share"),
    [("0%", 0), ("25%", QUARTER), (" 25 % ", QUARTER), ("100", BUCKETS), ("0.00000003%", 1), ("12.5%", BUCKETS // 8)],
)
def test_a_percentage_is_a_share(text: str, share: int) -> None:
    """With or without a sign, spaces and decimals, down to one bucket."""
    assert parse_share(text) == share


@pytest.mark.parametrize(
    "text", ["", "%", "x", "-1%", "100.1%", "1,5%", "nan", "inf", "1e2%", "1_0%", "+5%", ".5%", "٢٥%", "25%%"]
)
def test_other_text_is_no_share(text: str) -> None:
    """The error names the text and what is expected."""
    with pytest.raises(ValueError, match="a share must be a percentage from 0% to 100%"):
        parse_share(text)


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0%"),
        (QUARTER, "25%"),
        (BUCKETS, "100%"),
        (43, "0.000001%"),
        (1, "0.0000000233%"),
        (BUCKETS - 1, "99.9999999767%"),
    ],
)
def test_a_share_is_shown_as_a_percentage(share: int, text: str) -> None:
    """With up to six decimals, and more where they would say none or all; what is shown stands for the same share."""
    assert format_share(share) == text
    assert abs(parse_share(text) - share) <= BUCKETS // 10**8


def test_a_share_of_less_than_one_bucket_is_refused() -> None:
    """It would silently be no share at all."""
    with pytest.raises(ValueError, match=r"must be 0%, or at least 0.0000000233%, got '0.00000001%'"):
        parse_share("0.00000001%")


def test_buckets_never_change() -> None:
    """The bucket of a key is part of the stored form: other processes and later versions compute the same."""
    assert [choose_bucket("kickai/huggingface", key) for key in ("", "ann", "günther", "\ud800")] == KNOWN


KNOWN = [0xD35AB2C1, 0x7D0AA3C5, 0xDB1C198C, 0x7DE5A9E4]
"""The output of ``printf 'kickai/huggingface\\0ann' | b2sum -l 32``, and the same for the other keys."""


@given(st.text(), st.lists(SHARES, min_size=2))
def test_raising_the_share_never_moves_a_key_back(key: str, shares: list[int]) -> None:
    """Once the candidate serves a key, it does so at every larger share."""
    rollout = Rollout(candidate="huggingface")
    bucket = choose_bucket(rollout.salt, key)
    arms = [evolve(rollout, share=share).choose_arm(bucket) for share in sorted(shares)]
    assert arms == sorted(arms, key=[CONTROL, CANDIDATE].index)


@pytest.mark.slow
def test_a_million_keys_split_as_the_share_says() -> None:
    """Their part in the candidate arm is within four standard deviations of the share, and only grows with it."""
    rollout = Rollout(candidate="huggingface")
    buckets = [choose_bucket(rollout.salt, f"user-{number}") for number in range(1_000_000)]
    served_before: set[int] = set()
    for percent in (1, 5, 25, 50):
        larger = evolve(rollout, share=parse_share(f"{percent}%"))
        served = {at for at, bucket in enumerate(buckets) if larger.choose_arm(bucket) == CANDIDATE}
        p = percent / 100
        assert abs(len(served) - 1_000_000 * p) < 4 * (1_000_000 * p * (1 - p)) ** 0.5
        assert served_before <= served
        served_before = served


def test_the_ends_of_the_share_are_exact() -> None:
    """At 0 % nobody gets the candidate, and at 100 % everybody does; one bucket is the smallest step."""
    rollout = Rollout(candidate="huggingface")
    assert rollout.choose_arm(0) == CONTROL
    assert evolve(rollout, share=1).choose_arm(0) == CANDIDATE
    assert evolve(rollout, share=1).choose_arm(1) == CONTROL
    assert evolve(rollout, share=BUCKETS).choose_arm(BUCKETS - 1) == CANDIDATE


def test_different_salts_split_keys_independently() -> None:
    """The users who get one candidate first are not the ones who get the next candidate first."""
    keys = [f"user-{number}" for number in range(10_000)]
    first, second = ({key for key in keys if choose_bucket(salt, key) < QUARTER} for salt in ("kickai/a", "kickai/b"))
    assert 500 < len(first & second) < 750


def test_shadowed_keys_are_the_next_to_move() -> None:
    """Half of the control arm is shadowed: the half that a larger share would move first."""
    rollout = Rollout(candidate="a", share=QUARTER, shadow=BUCKETS // 2)
    draw = random.Random(7)
    for bucket in (draw.randrange(BUCKETS) for _ in range(1000)):
        in_next_part = QUARTER <= bucket < QUARTER + (BUCKETS - QUARTER) // 2
        assert rollout.is_shadowed(bucket) == in_next_part


def test_the_ends_of_the_shadowed_part_are_exact() -> None:
    """It begins with the first bucket of the control arm, and its size is rounded down."""
    half = Rollout(candidate="a", share=QUARTER, shadow=BUCKETS // 2)
    end = QUARTER + (BUCKETS - QUARTER) // 2
    assert [half.is_shadowed(bucket) for bucket in (QUARTER - 1, QUARTER, end - 1, end)] == [False, True, True, False]
    small = Rollout(candidate="a", share=BUCKETS - 3, shadow=BUCKETS // 2)
    assert [small.is_shadowed(bucket) for bucket in range(BUCKETS - 4, BUCKETS)] == [False, True, False, False]


@pytest.mark.parametrize("shares", [5, "12"])
def test_the_shares_of_a_ramp_are_a_sequence(shares: object) -> None:
    """The error names the field and what it holds."""
    with pytest.raises(TypeError, match=r"^Ramp\.shares must be a sequence of integers, got "):
        Ramp(shares=shares, hold_s=1.0)


@pytest.mark.parametrize("shares", [(), (0, 1), (2, 2), (3, 1), (BUCKETS + 1,)])
def test_a_ramp_rises(shares: tuple[int, ...]) -> None:
    """Its shares are above 0, at most all, and in rising order."""
    with pytest.raises(ValueError, match=r"Ramp\.shares must be"):
        Ramp(shares=shares, hold_s=1.0)


EVIDENCE = StepEvidence(candidate=ArmCounts(n=3, failures=1))
RAMP = Ramp(shares=(QUARTER, 2 * QUARTER, BUCKETS), hold_s=60.0)


def make_plan(**fields: object) -> RolloutPlan:
    """Return a plan with one rollout for all roles."""
    return RolloutPlan(rollouts={ALL_ROLES: Rollout(candidate="huggingface", **fields)})


def test_a_plan_survives_json() -> None:
    """Every field comes back."""
    first = make_plan(share=QUARTER, ramp=RAMP, evidence=EVIDENCE)
    plan = set_share(first, "coach", "gemini", 5, 7.0, exclude=True, shadow=9).plan
    record = json.loads(json.dumps(plan.as_dict()))
    assert RolloutPlan.from_dict(record) == plan
    assert (record["format"], set(record["rollouts"])) == (1, {ALL_ROLES, "coach"})
    assert RolloutPlan.from_dict({}) == RolloutPlan()


def test_a_record_without_evidence_is_a_rollout_without_evidence() -> None:
    """The step begins with none."""
    rollout = Rollout(candidate="a", share=5)
    record = rollout.as_dict()
    del record["evidence"]
    assert Rollout.from_dict(record) == rollout


def test_the_error_about_a_newer_format_names_both_formats() -> None:
    """An older version does not guess what a newer one has written."""
    with pytest.raises(ValueError, match=r"^the format of the rollout must be 1, got 2$"):
        RolloutPlan.from_dict({"format": 2})


@pytest.mark.parametrize(
    "record",
    [
        {"format": 2},
        {"format": 1, "rollouts": {"*": {"candidate": ""}}},
        {"format": 1, "rollouts": {"*": {"candidate": "a", "share": BUCKETS + 1}}},
        {"format": 1, "rollouts": {"*": {"candidate": "a", "unknown": 1}}},
    ],
)
def test_a_damaged_plan_is_refused(record: dict[str, object]) -> None:
    """A newer format and values out of range raise, so that the current plan stays."""
    with pytest.raises((TypeError, ValueError)):
        RolloutPlan.from_dict(record)


def test_a_role_has_its_own_rollout_or_that_of_all() -> None:
    """The role's own comes first."""
    own = Rollout(candidate="gemini")
    plan = make_plan().with_rollout("coach", own)
    assert plan.find("coach") == ("coach", own)
    assert plan.find("scout") == (ALL_ROLES, plan.rollouts[ALL_ROLES])
    assert plan.find(None) == (ALL_ROLES, plan.rollouts[ALL_ROLES])
    assert plan.with_rollout(ALL_ROLES, None).find("scout") is None


def test_setting_a_share_begins_a_step() -> None:
    """It ends the ramp and a suspension, and keeps what is not named."""
    plan = make_plan(share=1, ramp=RAMP, is_paused=True, suspended_share=5, exclude=True, shadow=3, step=4)
    change = set_share(plan, ALL_ROLES, "huggingface", QUARTER, 100.0)
    after = change.plan.rollouts[ALL_ROLES]
    assert after == Rollout(candidate="huggingface", share=QUARTER, exclude=True, shadow=3, step=5, step_began_s=100.0)
    assert change.scope == ALL_ROLES
    excluded = "huggingface at 25% of all roles, excluded from the control arm"
    assert change.what == f"{excluded}, shadowing 0.0000000698% of the control arm"


def test_setting_a_share_may_set_what_is_stored_with_it() -> None:
    """Whether the control arm does without the candidate, and how much of it is shadowed."""
    change = set_share(make_plan(exclude=True), "coach", "huggingface", 5, 1.0, exclude=False, shadow=QUARTER)
    expected = Rollout(candidate="huggingface", share=5, shadow=QUARTER, step=2, step_began_s=1.0)
    assert change.plan.rollouts["coach"] == expected
    assert change.scope == "coach"
    change = set_share(change.plan, "coach", "huggingface", 5, 1.0, exclude=True, shadow=0)
    assert change.plan.rollouts["coach"] == evolve(expected, exclude=True, shadow=0, step=3)


def test_another_candidate_begins_anew() -> None:
    """Its salt is its own, and steps keep counting."""
    change = set_share(make_plan(share=5, exclude=True, step=4), ALL_ROLES, "gemini", QUARTER, 1.0)
    assert change.plan.rollouts[ALL_ROLES] == Rollout(candidate="gemini", share=QUARTER, step=5, step_began_s=1.0)
    assert change.what == "gemini at 25% of all roles"


@pytest.mark.parametrize(("share", "first"), [(0, QUARTER), (1, 1), (QUARTER, QUARTER), (QUARTER + 1, QUARTER + 1)])
def test_a_ramp_begins_at_the_present_share(share: int, first: int) -> None:
    """It neither takes a share away nor raises one without evidence; from 0, it begins at its first share."""
    change = start_ramp(make_plan(share=share), ALL_ROLES, "huggingface", RAMP, 5.0)
    after = change.plan.rollouts[ALL_ROLES]
    assert (after.share, after.ramp, after.step_began_s) == (first, RAMP, 5.0)
    assert change.scope == ALL_ROLES
    assert change.what == "ramp of huggingface for all roles: 25%, 50%, 100%, each held for 1m"


def test_a_ramp_below_the_share_is_refused() -> None:
    """It could not advance."""
    with pytest.raises(RolloutError, match="huggingface already has 100% of all roles, more than the whole ramp"):
        start_ramp(make_plan(share=BUCKETS), ALL_ROLES, "huggingface", evolve(RAMP, shares=(QUARTER,)), 5.0)


def test_a_ramp_may_begin_at_its_last_share() -> None:
    """The guard goes on without a further step."""
    after = start_ramp(make_plan(share=BUCKETS), ALL_ROLES, "huggingface", RAMP, 5.0).plan.rollouts[ALL_ROLES]
    assert (after.share, after.ramp) == (BUCKETS, RAMP)


def test_a_new_ramp_ends_a_pause_and_a_suspension() -> None:
    """It runs from its first share."""
    plan = make_plan(ramp=evolve(RAMP, hold_s=1.0), is_paused=True, suspended_share=3)
    after = start_ramp(plan, ALL_ROLES, "huggingface", RAMP, 5.0).plan.rollouts[ALL_ROLES]
    assert after == Rollout(candidate="huggingface", share=QUARTER, ramp=RAMP, step=2, step_began_s=5.0)


def test_a_ramp_pauses_and_resumes_with_its_evidence() -> None:
    """The step stays the same."""
    plan = make_plan(share=QUARTER, ramp=RAMP, step=3)
    paused = pause(plan, ALL_ROLES)
    assert paused.what == "ramp of all roles paused"
    assert paused.scope == ALL_ROLES
    assert paused.plan.rollouts[ALL_ROLES].is_paused
    resumed = resume(paused.plan, ALL_ROLES, 9.0)
    assert resumed.plan == plan
    assert resumed.what == "ramp of all roles resumed at 25%"


def test_what_does_not_fit_is_refused() -> None:
    """A pause without a ramp, a second pause, a resume of nothing, and a change of a missing rollout."""
    plan = make_plan(share=QUARTER)
    with pytest.raises(RolloutError, match="there is no ramp of all roles"):
        pause(plan, ALL_ROLES)
    with pytest.raises(RolloutError, match="the ramp of all roles is already paused"):
        pause(make_plan(share=QUARTER, ramp=RAMP, is_paused=True), ALL_ROLES)
    with pytest.raises(RolloutError, match="nothing is paused or suspended for all roles"):
        resume(plan, ALL_ROLES, 1.0)
    with pytest.raises(RolloutError, match="no rollout exists for the role coach"):
        pause(plan, "coach")
    with pytest.raises(RolloutError, match="no rollout exists for all roles"):
        go_back(RolloutPlan(), ALL_ROLES, 1.0)


def test_resuming_restores_a_suspended_share() -> None:
    """A person may do what the guard waits to do."""
    change = resume(make_plan(share=0, suspended_share=QUARTER, ramp=RAMP, is_paused=True), ALL_ROLES, 9.0)
    after = change.plan.rollouts[ALL_ROLES]
    assert (after.share, after.suspended_share, after.step) == (QUARTER, None, 2)
    assert (change.scope, after.is_paused) == (ALL_ROLES, False)
    assert change.what == "huggingface restored to 25% of all roles"


def test_going_back_ends_everything() -> None:
    """Share, shadow, ramp, pause and suspension."""
    change = go_back(make_plan(share=5, shadow=7, ramp=RAMP, is_paused=True, suspended_share=3), ALL_ROLES, 9.0)
    assert change.scope == ALL_ROLES
    assert change.plan.rollouts[ALL_ROLES] == Rollout(candidate="huggingface", step=2, step_began_s=9.0)
    assert change.what == "huggingface back to 0% of all roles"


def test_everything_goes_back_at_once() -> None:
    """Without a role, the rollouts of single roles go back too, even when there is none of all roles."""
    scout = Rollout(candidate="gemini", share=QUARTER, ramp=RAMP)
    change = go_back(make_plan(share=5).with_rollout("scout", scout).with_rollout("coach", scout), ALL_ROLES, 9.0)
    assert {scope: rollout.share for scope, rollout in change.plan.rollouts.items()} == {
        ALL_ROLES: 0,
        "scout": 0,
        "coach": 0,
    }
    assert (change.scope, change.others) == (ALL_ROLES, ("coach", "scout"))
    assert change.what == (
        "huggingface back to 0% of all roles; gemini back to 0% of the role coach; gemini back to 0% of the role scout"
    )
    alone = go_back(RolloutPlan().with_rollout("scout", scout), ALL_ROLES, 9.0)
    assert alone.plan.rollouts == {"scout": Rollout(candidate="gemini", step=2, step_began_s=9.0)}
    assert (alone.scope, alone.others) == ("scout", ())


@pytest.mark.parametrize(
    ("rollout", "scopes"),
    [
        (Rollout(candidate="gemini"), [ALL_ROLES]),
        (Rollout(candidate="gemini", shadow=1), [ALL_ROLES, "coach"]),
        (Rollout(candidate="gemini", ramp=RAMP), [ALL_ROLES, "coach"]),
        (Rollout(candidate="gemini", suspended_share=5), [ALL_ROLES, "coach"]),
    ],
)
def test_rollouts_that_are_off_need_not_go_back(rollout: Rollout, scopes: list[str]) -> None:
    """A shadow, a ramp and a suspension may go on by themselves, so they are not off."""
    change = go_back(make_plan(share=0).with_rollout("coach", rollout), ALL_ROLES, 9.0)
    assert [change.scope, *change.others] == scopes
    off = go_back(RolloutPlan().with_rollout("coach", rollout), ALL_ROLES, 9.0)
    assert off.plan.rollouts == {"coach": Rollout(candidate="gemini", step=2, step_began_s=9.0)}


def test_one_role_goes_back_alone() -> None:
    """It gets a rollout of its own with a share of 0; all other roles keep theirs."""
    change = go_back(make_plan(share=QUARTER), "coach", 9.0)
    assert change.plan.rollouts["coach"].share == 0
    assert change.plan.rollouts[ALL_ROLES].share == QUARTER


def test_a_role_with_its_own_rollout_goes_back_to_its_own_candidate() -> None:
    """The rollout of all roles stays."""
    plan = make_plan(share=QUARTER).with_rollout("coach", Rollout(candidate="gemini", share=5))
    change = go_back(plan, "coach", 9.0)
    assert change.plan.rollouts["coach"] == Rollout(candidate="gemini", step=2, step_began_s=9.0)
    assert change.plan.rollouts[ALL_ROLES] == plan.rollouts[ALL_ROLES]
    assert change.what == "gemini back to 0% of the role coach"


def test_settings_without_a_candidate_begin_no_rollout() -> None:
    """The plan is empty."""
    assert RolloutSettings(share="5%").build_plan(5.0) == RolloutPlan()


@pytest.mark.parametrize("exclude", [True, False])
def test_settings_begin_the_rollout_of_all_roles(*, exclude: bool) -> None:
    """With their shares; without a time, it begins at the epoch."""
    settings = RolloutSettings(candidate="huggingface", share="25%", exclude=exclude, shadow="50%")
    expected = Rollout(candidate="huggingface", share=QUARTER, exclude=exclude, shadow=2 * QUARTER)
    assert settings.build_plan() == RolloutPlan(rollouts={ALL_ROLES: expected})
    assert settings.build_plan(7.0).rollouts[ALL_ROLES] == evolve(expected, step_began_s=7.0)


def test_another_share_replaces_both_shares_of_the_settings() -> None:
    """Nothing is shadowed then."""
    settings = RolloutSettings(candidate="huggingface", share="25%", shadow="50%")
    expected = Rollout(candidate="huggingface", share=5, step_began_s=7.0)
    assert settings.build_plan(7.0, share=5) == RolloutPlan(rollouts={ALL_ROLES: expected})
    assert settings.build_plan(share=0).rollouts[ALL_ROLES].share == 0


@pytest.mark.parametrize("name", ["share", "shadow"])
def test_settings_check_their_shares(name: str) -> None:
    """The error names the text and what is expected."""
    with pytest.raises(ValueError, match="a share must be a percentage from 0% to 100%"):
        RolloutSettings(**{name: "a quarter"})
