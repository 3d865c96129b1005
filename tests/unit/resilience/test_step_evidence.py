"""The evidence of one step: counts that add up, the end of an outage, and its form as JSON."""

from __future__ import annotations

import json
import math
import random

import pytest

from kickai_providers_core.resilience.arm_counts import ArmCounts
from kickai_providers_core.resilience.evidence import (
    WORSE_ODDS,
    Block,
    RestartingTest,
    Tally,
    compute_log_excess_ratios,
    compute_log_proof,
)
from kickai_providers_core.resilience.guard_settings import GuardSettings
from kickai_providers_core.resilience.step_evidence import SignalEvidence, StepEvidence

SETTINGS = GuardSettings(latency_limit_s=0.5, first_token_limit_s=0.5)
LIMIT = 0.05
GOOD, BAD, NONE = Tally(0, 1), Tally(1, 1), Tally()


def test_a_block_waits_for_both_arms() -> None:
    """Traffic of one arm is kept until the other has some too, or the phase changes."""
    waiting = SignalEvidence().add(BAD, NONE, LIMIT, SETTINGS)
    assert waiting.block == Block(candidate=BAD)
    assert waiting.gap == RestartingTest()
    assert waiting.change_phase().block == Block()
    closed = waiting.add(NONE, GOOD, LIMIT, SETTINGS)
    assert closed.block == Block()
    assert closed.gap != RestartingTest()


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 8))])
def test_an_outage_begins_and_ends_with_the_tests_of_the_control_arm(seed: int) -> None:
    """It begins when the floor test reaches its error rate, and ends when the proof reaches that of advancing."""
    draw = random.Random(seed)
    evidence, floor, proof, is_outage, changes = SignalEvidence(), RestartingTest(), Tally(), False, 0
    for number in range(3_000):
        share = 0.3 if number % 1_000 < 300 else 0.01
        control = BAD if draw.random() < share else GOOD
        evidence = evidence.add(NONE, control, LIMIT, SETTINGS)
        floor = floor.add(compute_log_excess_ratios(control, LIMIT, WORSE_ODDS), 1)
        proof += control
        if floor.log_e >= math.log(1 / SETTINGS.outage_alpha):
            changes += not is_outage
            is_outage, floor, proof = True, RestartingTest(), Tally()
        elif is_outage and compute_log_proof(proof, LIMIT + SETTINGS.margin) >= math.log(1 / SETTINGS.advance_alpha):
            is_outage, changes = False, changes + 1
        assert (evidence.is_shared_outage, evidence.control_floor, evidence.control_proof) == (is_outage, floor, proof)
    assert changes >= 4


def test_a_suspension_keeps_the_tests() -> None:
    """They go on with the control arm, and after the suspension with both."""
    step = StepEvidence().add({"candidate": ArmCounts(n=1, failures=1), "control": ArmCounts(n=1)}, SETTINGS)
    suspended = step.suspend("failures")
    assert (suspended.phase, suspended.cause) == ("suspended", "failures")
    for later in (suspended, suspended.restore()):
        assert later.get("failures").gap == step.get("failures").gap != RestartingTest()


def test_the_json_form_is_json_and_keeps_everything() -> None:
    """It has no tuples, which JSON would turn into lists."""
    counts = {"candidate": ArmCounts(n=3, failures=1, slow=1), "control": ArmCounts(n=2, streams=1)}
    step = StepEvidence().add(counts, SETTINGS).suspend("slow").add(counts, SETTINGS)
    assert step.as_dict() == json.loads(json.dumps(step.as_dict()))
    assert StepEvidence.from_dict(step.as_dict()) == step


@pytest.mark.parametrize(
    ("read", "where"),
    [
        (ArmCounts.from_dict, "counts"),
        (SignalEvidence.from_dict, "signal"),
        (StepEvidence.from_dict, "evidence"),
        (Block.from_dict, "block"),
        (Tally.from_dict, "tally"),
        (RestartingTest.from_dict, "test"),
    ],
)
def test_malformed_json_is_named(read: object, where: str) -> None:
    """The message says which part of the document is wrong."""
    for data in ([], {}, None):
        with pytest.raises((TypeError, ValueError), match=rf"^{where} must be an? (JSON )?object"):
            read(data)


def test_sums_that_are_no_list_are_named() -> None:
    """With the type that was found."""
    data = {**StepEvidence().add({"control": ArmCounts(n=1)}, SETTINGS).as_dict()["signals"]["failures"]["gap"]}
    data["log_sums"] = "text"
    with pytest.raises(TypeError, match=r"gap\.log_sums must be a list of numbers, got str"):
        RestartingTest.from_dict(data, "gap")


@pytest.mark.parametrize(("phase", "cause"), [("serving", "slow"), ("suspended", None), ("suspended", "other")])
def test_a_cause_belongs_to_a_suspension(phase: str, cause: str | None) -> None:
    """A step that serves has none."""
    with pytest.raises(ValueError, match=rf"StepEvidence.cause must be a signal .*, got {cause!r}"):
        StepEvidence(phase=phase, cause=cause)
