"""The rollout guard: what each kind of evidence leads to."""

from __future__ import annotations

import json
import math
from functools import partial

import pytest
import rollout_simulation as simulation
from attrs import evolve, validators
from effort import count_examples
from hypothesis import given, settings
from hypothesis import strategies as st

from kickai_providers_core.resilience.evidence import RestartingTest
from kickai_providers_core.resilience.guard import ArmCounts, GuardSettings, StepEvidence, Verdict, judge
from kickai_providers_core.resilience.guard_settings import SIGNALS
from kickai_providers_core.resilience.step_evidence import SignalEvidence

DEFAULTS = GuardSettings()
EVERYTHING = GuardSettings(latency_limit_s=2.0, first_token_limit_s=1.0, max_refusal_share=0.04, feedback_floor=0.8)


def count(n: int, failures: int = 0, **others: int) -> ArmCounts:
    """Return counts in which each request has a key of its own."""
    return ArmCounts(n=n, failures=failures, **{"keys": n, **others})


def add(evidence: StepEvidence, mine: ArmCounts, other: ArmCounts, limits: GuardSettings = DEFAULTS) -> StepEvidence:
    """Return the evidence after a batch of both arms."""
    return evidence.add({"candidate": mine, "control": other}, limits)


def decide(evidence: StepEvidence, limits: GuardSettings = DEFAULTS, share: float = 0.5) -> Verdict:
    """Return the verdict for a ramp of five steps."""
    return judge(evidence, limits, share=share, steps=5)


def build_test(e: float) -> RestartingTest:
    """Return a test that has gone on for so long that its sum alone is its e-value."""
    return RestartingTest(10**9, (math.log(e),))


def suspend() -> StepEvidence:
    """Return the evidence with which a suspension begins: four failures of the candidate, one good answer."""
    verdict = decide(add(StepEvidence(), count(4, 4), count(1)))
    assert verdict.action == "suspend"
    return verdict.next_evidence


def test_no_traffic_holds() -> None:
    """Traffic of the control arm alone proves nothing about the candidate."""
    for evidence in (StepEvidence(), StepEvidence().add({"control": count(100)}, DEFAULTS)):
        verdict = decide(evidence)
        assert (verdict.action, verdict.reason, verdict.requests_needed) == ("hold", "no_traffic", None)
        assert verdict.next_evidence is evidence
        assert (verdict.message, verdict.numbers) == ("no first attempt of the candidate has been counted", {})


def test_a_share_of_zero_has_no_split_to_check() -> None:
    """Late answers of the candidate hold like any others."""
    verdict = decide(add(StepEvidence(), count(1), count(100)), share=0.0)
    assert (verdict.action, verdict.reason) == ("hold", "inconclusive")


def test_too_little_evidence_holds_and_says_how_much_is_missing() -> None:
    """The estimate is right when the rate stays the same."""
    evidence = add(StepEvidence(), count(30), count(30))
    verdict = decide(evidence)
    assert (verdict.action, verdict.reason, verdict.signal) == ("hold", "inconclusive", "failures")
    assert verdict.requests_needed == 16
    expected = "candidate 0 of 30 failed, not yet proven below 8.00%; about 16 more requests needed"
    assert verdict.message == expected
    assert verdict.numbers == {
        "candidate_bad": 0,
        "candidate_total": 30,
        "control_bad": 0,
        "control_total": 30,
        "limit": 0.05,
        "margin": 0.03,
    }
    assert decide(add(evidence, count(15), count(15))).action == "hold"
    assert decide(add(evidence, count(16), count(16))).action == "advance"


def test_a_rate_that_would_never_suffice_says_so() -> None:
    """Then there is no estimate."""
    verdict = decide(add(StepEvidence(), count(20, 2), count(20)))
    assert (verdict.action, verdict.requests_needed) == ("hold", None)
    assert verdict.message.endswith("; the present rate is not enough")


def test_proven_success_advances_and_begins_a_new_step() -> None:
    """The next step starts with no evidence at all."""
    verdict = decide(add(StepEvidence(), count(50), count(50)))
    assert (verdict.action, verdict.reason, verdict.is_final) == ("advance", "proven", False)
    assert verdict.message.startswith("candidate 0 of 50 failed, proven below 8.00%, e = ")
    assert verdict.numbers["e"] >= verdict.numbers["threshold"] == pytest.approx(20)
    assert verdict.next_evidence == StepEvidence()


def test_a_candidate_below_the_floor_is_suspended_with_its_evidence() -> None:
    """The verdict contains the figures as numbers and as text."""
    verdict = decide(add(StepEvidence(), count(10, 7), count(2)))
    assert (verdict.action, verdict.reason, verdict.signal, verdict.is_final) == (
        "suspend",
        "below_floor",
        "failures",
        False,
    )
    assert verdict.message.startswith("candidate 7 of 10 failed, limit 5.00%, e = ")
    assert verdict.message.endswith(" >= 1250")
    assert verdict.numbers["candidate_bad"] == 7
    assert verdict.numbers["candidate_total"] == 10
    assert (verdict.numbers["control_bad"], verdict.numbers["control_total"]) == (0, 2)
    assert (verdict.numbers["limit"], verdict.numbers["margin"]) == (0.05, 0.03)
    assert verdict.next_evidence.phase == "suspended"
    assert verdict.next_evidence.control == ArmCounts()


def test_without_a_control_arm_the_floor_is_final_at_once() -> None:
    """At a share of 100 % there is nothing to compare with."""
    verdict = decide(StepEvidence().add({"candidate": count(10, 7)}, DEFAULTS), share=1.0)
    assert (verdict.action, verdict.reason, verdict.is_final) == ("roll_back", "below_floor", True)


def test_failures_of_the_candidate_alone_are_final() -> None:
    """The two-arm test rolls back, and a suspension is not needed."""
    evidence = StepEvidence()
    for _ in range(6):
        evidence = add(evidence, count(1, 1), count(99))
    verdict = decide(evidence, share=0.01)
    assert (verdict.action, verdict.reason, verdict.is_final) == ("roll_back", "worse_than_control", True)
    assert verdict.message.startswith("candidate 6 of 6 failed, control 0 of 594 failed, e = ")
    assert verdict.message.endswith(" >= 1000")
    assert verdict.numbers["threshold"] == pytest.approx(1000)


@pytest.mark.parametrize(("e", "action"), [(999, "hold"), (1001, "roll_back"), (1999, "roll_back")])
def test_the_two_arm_test_rolls_back_at_its_error_rate(e: float, action: str) -> None:
    """Two tests of five steps share an error rate of 1 %."""
    tests = SignalEvidence(gap=build_test(e))
    assert decide(StepEvidence(signals={"failures": tests})).action == action


@pytest.mark.parametrize(("e", "action"), [(1249, "hold"), (1251, "suspend"), (2499, "suspend")])
def test_the_floor_test_suspends_at_its_error_rate(e: float, action: str) -> None:
    """Its first run uses four fifths of the error rate."""
    tests = SignalEvidence(candidate_floor=build_test(e))
    assert decide(StepEvidence(signals={"failures": tests})).action == action


def test_an_outage_for_one_signal_does_not_excuse_another() -> None:
    """A candidate that is slow is suspended while both arms fail."""
    both_fail = SignalEvidence(candidate_floor=build_test(1e9), is_shared_outage=True)
    signals = {"failures": both_fail, "slow": SignalEvidence(candidate_floor=build_test(1e9))}
    verdict = decide(StepEvidence(signals=signals), EVERYTHING)
    assert (verdict.action, verdict.signal) == ("suspend", "slow")


def recover(evidence: StepEvidence) -> Verdict:
    """Return the verdict after enough good answers of the control arm to prove it good."""
    return decide(add(evidence, ArmCounts(), count(200)))


def test_a_suspended_candidate_is_tried_again_when_the_control_arm_is_proven_good() -> None:
    """Both arms may have had a short outage. The candidate is judged by what follows, and the control arm as before."""
    verdict = recover(suspend())
    assert (verdict.action, verdict.reason, verdict.is_final) == ("restore", "control_has_recovered", False)
    assert verdict.message.startswith(
        "control 0 of 200 failed since the suspension, proven below 8.00%; the candidate is"
    )
    again = verdict.next_evidence
    tests = again.signals["failures"]
    assert (again.phase, tests.trials, tests.is_on_trial, tests.restarts) == ("serving", 1, True, 1)
    assert (tests.candidate_floor, tests.candidate_proof.total) == (RestartingTest(), 0)
    assert tests.gap.seen > 0
    assert decide(add(again, count(46), count(46))).action == "advance"
    second = decide(add(again, count(10, 10), count(1)))
    assert (second.action, second.numbers["threshold"]) == ("suspend", pytest.approx(10_000))
    assert recover(second.next_evidence).is_final


def test_a_candidate_that_is_proven_good_is_tried_again_after_the_next_suspension() -> None:
    """That is a second outage; but a candidate that fails again and again is rolled back in the end."""
    evidence = suspend()
    for trial in range(1, 6):
        verdict = recover(evidence)
        assert (verdict.action, verdict.next_evidence.signals["failures"].trials) == ("restore", trial)
        assert verdict.next_evidence.signals["failures"].is_on_trial
        good = add(verdict.next_evidence, count(200), count(200))
        assert not good.signals["failures"].is_on_trial
        verdict = decide(add(good, count(60, 60), ArmCounts()))
        assert verdict.action == "suspend"
        evidence = verdict.next_evidence
    assert recover(evidence).action == "finalize"


def test_the_suspension_of_a_candidate_on_trial_becomes_final_when_the_control_arm_is_proven_good() -> None:
    """Until then it holds at a share of 0, and late answers of the candidate change nothing."""
    evidence = decide(add(recover(suspend()).next_evidence, count(10, 10), count(1))).next_evidence
    verdict = decide(add(evidence, count(3, 3), count(50)))
    assert (verdict.action, verdict.reason) == ("hold", "control_unproven")
    assert verdict.message.startswith("suspended; control 0 of 50 failed, not yet proven below 8.00%; about ")
    assert (
        verdict.next_evidence.signals["failures"].block
        == add(evidence, ArmCounts(), count(50)).signals["failures"].block
    )
    needed = verdict.requests_needed or 0
    assert decide(add(verdict.next_evidence, ArmCounts(), count(needed - 1))).action == "hold"
    final = decide(add(verdict.next_evidence, ArmCounts(), count(needed)))
    assert (final.action, final.reason, final.is_final) == ("finalize", "control_is_good", True)
    facts = f"control 0 of {50 + needed} failed since the suspension, proven below 8.00%, e = "
    assert final.message.startswith(facts)
    assert final.message.endswith(" >= 1000")
    assert final.numbers["e"] >= final.numbers["threshold"] == pytest.approx(1000)
    assert final.next_evidence == StepEvidence()


def test_a_suspension_ends_when_the_control_arm_fails_too() -> None:
    """The step goes on; its floor test waits until the control arm is proven good again, and then starts afresh."""
    verdict = decide(add(suspend(), ArmCounts(), count(3, 3)))
    assert (verdict.action, verdict.reason, verdict.is_final) == ("restore", "shared_outage", False)
    assert verdict.message == "control 3 of 3 failed since the suspension, so both arms share an outage"
    assert verdict.next_evidence.phase == "serving"
    assert verdict.next_evidence.signals["failures"].is_shared_outage
    evidence = add(verdict.next_evidence, count(5, 5), count(5, 5))
    held = decide(evidence)
    assert (held.action, held.reason) == ("hold", "shared_outage")
    expected = (
        "candidate 5 of 5 failed, not yet proven below 8.00%; control 5 of 5 failed, "
        "so the floor test waits for the control arm to recover; the present rate is not enough"
    )
    assert held.message == expected
    assert decide(evidence, share=1.0).action == "roll_back"
    recovered = add(evidence, count(40), count(60))
    assert recovered.signals["failures"].restarts == 1
    assert not recovered.signals["failures"].is_shared_outage
    assert decide(add(recovered, count(46), count(46))).action == "advance"
    again = decide(add(recovered, count(10, 10), count(1)))
    assert (again.action, again.numbers["threshold"]) == ("suspend", pytest.approx(10_000))


def test_an_outage_that_the_control_arm_shows_first_suspends_nothing() -> None:
    """With a small share, the control arm notices an outage before the candidate does."""
    verdict = decide(add(StepEvidence(), count(4, 4), count(16, 16)), share=0.2)
    assert (verdict.action, verdict.reason) == ("hold", "shared_outage")


def test_an_outage_of_the_control_arm_is_no_reason_to_wait_when_there_is_none() -> None:
    """At a share of 100 % the candidate is judged alone."""
    verdict = decide(add(StepEvidence(), count(4), count(16, 16)), share=1.0)
    assert (verdict.action, verdict.reason) == ("hold", "inconclusive")
    assert "control" not in verdict.message


def test_restarts_of_the_floor_test_share_its_error_rate() -> None:
    """However many outages there are, the parts add up to less than the whole."""
    parts = []
    for restarts in range(200):
        tests = evolve(add(StepEvidence(), count(500, 500), count(1)).signals["failures"], restarts=restarts)
        parts.append(1 / decide(StepEvidence(signals={"failures": tests})).numbers["threshold"])
    assert 0.99 * 0.001 < sum(parts) <= 0.001


def test_a_split_that_does_not_fit_holds() -> None:
    """Otherwise the step would have advanced. Keys count, not requests."""
    evidence = add(StepEvidence(), count(200, keys=10), count(50, keys=90))
    verdict = decide(evidence)
    assert (verdict.action, verdict.reason, verdict.signal) == ("hold", "split_mismatch", None)
    assert verdict.message.startswith("candidate 10 of 100 keys, share 50.00%, e = ")
    assert verdict.numbers["e"] >= 1000
    assert verdict.numbers == {"e": verdict.numbers["e"], "share": 0.5}
    assert decide(evidence, share=1.0).action == "advance"
    assert decide(add(StepEvidence(), count(200, keys=0), count(50, keys=0))).action == "advance"


@pytest.mark.parametrize(("keys", "reason"), [(28, "split_mismatch"), (29, "inconclusive")])
def test_a_split_does_not_fit_when_its_e_value_is_a_thousand(keys: int, reason: str) -> None:
    """Of 100 keys in two equal arms, 28 are too few and 29 are not."""
    assert decide(add(StepEvidence(), count(keys), count(100 - keys))).reason == reason


@pytest.mark.parametrize(
    ("signal", "bad", "good"),
    [
        ("slow", {"slow": 6}, {}),
        ("refusals", {"refusals": 6}, {}),
        ("first_token", {"streams": 6, "slow_first_token": 6}, {"streams": 6}),
        ("feedback", {"feedback": 6, "bad_feedback": 6}, {"feedback": 6}),
    ],
)
def test_each_limit_suspends(signal: str, bad: dict[str, int], good: dict[str, int]) -> None:
    """The same tests judge latency, time to first token, refusals and feedback, if they have a limit."""
    evidence = StepEvidence()
    for _ in range(3):
        evidence = add(evidence, count(6, **bad), count(1), EVERYTHING)
    verdict = decide(evidence, EVERYTHING)
    assert (verdict.action, verdict.signal) == ("suspend", signal)
    unlimited = StepEvidence()
    for _ in range(3):
        unlimited = add(unlimited, count(6, **bad), count(1))
    assert decide(unlimited).action == "hold"
    fine = add(StepEvidence(), count(6, **good), count(1), EVERYTHING)
    assert decide(fine, EVERYTHING).action == "hold"


def test_only_required_signals_hold_a_ramp() -> None:
    """A ramp advances without streams and feedback, but not without proof of its latency."""
    limits = evolve(EVERYTHING, max_refusal_share=None)
    assert decide(add(StepEvidence(), count(60), count(60), limits), limits).action == "advance"
    verdict = decide(add(StepEvidence(), count(60, slow=4), count(60), limits), limits)
    assert (verdict.action, verdict.signal) == ("hold", "slow")


def test_removing_the_limit_that_suspended_restores() -> None:
    """A suspension for latency ends when latency is no longer judged."""
    evidence = add(StepEvidence(), count(20, slow=20), count(1), EVERYTHING)
    suspended = decide(evidence, EVERYTHING).next_evidence
    verdict = decide(suspended)
    assert (verdict.action, verdict.reason) == ("restore", "no_longer_judged")
    assert verdict.message == "the limit of slow, which suspended the candidate, was removed"
    assert verdict.next_evidence.phase == "serving"


def test_a_huge_e_value_is_reported_as_a_number() -> None:
    """It is cut where a float would overflow."""
    numbers = decide(add(StepEvidence(), count(5000, 5000), count(1))).numbers
    assert json.loads(json.dumps(numbers)) == numbers


@settings(max_examples=count_examples(40))
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 4), max_size=15))
def test_evidence_survives_json_at_any_time(batches: list[tuple[int, int, int, int]]) -> None:
    """A process that reads the evidence from a store decides as the one that wrote it."""
    evidence = StepEvidence()
    for n, failures, others, slow in batches:
        mine = count(n, min(n, failures), slow=min(slow, n - min(n, failures)))
        evidence = add(evidence, mine, count(others, min(others, slow)), EVERYTHING)
        read = StepEvidence.from_dict(json.loads(json.dumps(evidence.as_dict())))
        assert read == evidence
        verdict = decide(evidence, EVERYTHING)
        assert decide(read, EVERYTHING) == verdict
        evidence = verdict.next_evidence


@settings(max_examples=40)
@given(st.integers(1, 10), st.integers(0, 10))
def test_what_arrives_in_one_batch_or_in_two_has_the_same_counts(n: int, failures: int) -> None:
    """Counts are additive."""
    one = count(n, min(n, failures))
    assert (one + one).tally("failures").total == 2 * n
    both = add(add(StepEvidence(), one, one), one, one)
    assert both.candidate == both.control == one + one


def change(data: dict, path: str, value: object) -> dict:
    """Return JSON with one value replaced."""
    *parents, last = path.split("/")
    copy = json.loads(json.dumps(data))
    place = copy
    for name in parents:
        place = place[name]
    place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "kind", "message"),
    [
        ("phase", "paused", ValueError, "StepEvidence.phase must be 'serving' or 'suspended'"),
        ("cause", "failures", ValueError, "StepEvidence.cause must be a signal if, and only if, suspended"),
        ("candidate/n", -1, ValueError, "ArmCounts.n must be at least 0, got -1"),
        ("candidate/slow", 99, ValueError, "the bad events of slow must be at most"),
        ("control", 5, TypeError, "evidence.control must be a JSON object"),
        ("signals", [], TypeError, "evidence.signals must be a JSON object"),
        ("signals/cost", {}, ValueError, "evidence.signals must be 'failures'"),
        ("signals/failures", {}, ValueError, "evidence.signals.failures must be an object with the fields"),
        ("signals/failures/gap", None, TypeError, "evidence.signals.failures.gap must be a JSON object"),
        ("signals/failures/restarts", "1", TypeError, "SignalEvidence.restarts must be an integer"),
        ("extra", 1, ValueError, r"unknown \['extra'\]"),
    ],
)
def test_damaged_evidence_is_an_error_that_names_the_place(path, value, kind, message) -> None:
    """Nothing is guessed."""
    good = add(StepEvidence(), count(4), count(4)).as_dict()
    with pytest.raises(kind, match=message):
        StepEvidence.from_dict(change(good, path, value))


def test_attempts_are_counted_against_the_limits() -> None:
    """A failure has no latency, and an answer exactly at a limit is not slow."""
    one = partial(ArmCounts.from_attempt, EVERYTHING, failed=False)
    assert one(latency_s=2.0, first_token_s=1.0) == ArmCounts(n=1, streams=1)
    assert one(latency_s=2.1, first_token_s=1.1, refused=True, is_new_key=True) == ArmCounts(
        n=1, slow=1, streams=1, slow_first_token=1, refusals=1, keys=1
    )
    assert one() == ArmCounts(n=1)
    failed = ArmCounts.from_attempt(EVERYTHING, failed=True, latency_s=9.0, refused=True, is_new_key=True)
    assert failed == ArmCounts(n=1, failures=1, keys=1)
    unlimited = ArmCounts.from_attempt(DEFAULTS, failed=False, latency_s=9.0, first_token_s=9.0)
    assert unlimited == ArmCounts(n=1, streams=1)


def test_settings_name_their_signals() -> None:
    """Failures are always judged."""
    assert [signal.name for signal in DEFAULTS.signals] == ["failures"]
    assert tuple(signal.name for signal in EVERYTHING.signals) == SIGNALS
    assert [(signal.limit, signal.is_required, signal.words) for signal in EVERYTHING.signals] == [
        (0.05, True, "failed"),
        (0.05, True, "slower than 2 s"),
        (0.05, False, "had their first token after 1 s"),
        (0.04, True, "refused or truncated"),
        (0.2, False, "judged negative"),
    ]
    assert EVERYTHING.find("slow") == EVERYTHING.signals[1]
    assert DEFAULTS.find("slow") is None


@pytest.mark.parametrize(
    ("fields", "kind", "message"),
    [
        ({"floor": 1.0}, ValueError, "GuardSettings.floor must be between 0.01 and 0.9999"),
        (
            {"floor": 0.02, "margin": 0.03},
            ValueError,
            "GuardSettings.margin must be less than 0.02, since the limit of failures",
        ),
        (
            {"floor": 0.5, "margin": 0.5},
            ValueError,
            "margin must be less than 0.5, since the limit of failures is 0.5, got 0.5$",
        ),
        ({"alpha": 0}, ValueError, "GuardSettings.alpha"),
        ({"latency_limit_s": "2"}, TypeError, "GuardSettings.latency_limit_s must be a number"),
        ({"feedback_floor": 0.02}, ValueError, "less than 0.02, since the limit of feedback is 0.98"),
    ],
)
def test_settings_that_make_no_sense_are_errors(fields, kind, message) -> None:
    """The message names the field and what is allowed."""
    with pytest.raises(kind, match=message):
        GuardSettings(**fields)


@pytest.mark.parametrize(("share", "steps"), [(1.5, 5), (-0.1, 5), (0.5, 0)])
def test_a_share_or_a_ramp_that_cannot_be_is_an_error(share: float, steps: int) -> None:
    """It is the caller's mistake."""
    with pytest.raises(ValueError, match="must be"):
        judge(StepEvidence(), DEFAULTS, share=share, steps=steps)


def compute(run: simulation.Run, seeds: range) -> list[float | None]:
    """Run a simulation in this process; without validation, it takes half the time."""
    with validators.disabled():
        return [run(seed) for seed in seeds]


@pytest.mark.parametrize(("rate", "bar"), [(0.0, 5), (0.5, 15), (0.8, 80)])
def test_a_bad_candidate_is_caught_early(rate: float, bar: int) -> None:
    """The medians of the full simulation hold in a small one too."""
    traffic = simulation.Traffic(shares=(0.5,), candidate=rate, batch=1)
    run = partial(simulation.count_until, {"suspend", "roll_back"}, traffic)
    assert simulation.median_row("", run, 9, compute, bar).is_met


@pytest.mark.parametrize("length", [5, 10, 20, 50])
def test_a_good_candidate_survives_short_shared_outages(length: int) -> None:
    """Although they are over before the control arm shows them."""
    outage = simulation.Outage(start=0, length=length, rate=0.2)
    traffic = simulation.Traffic(shares=(0.8,), candidate=0.97, batch=20, requests=3500, outages=(outage,))
    run = partial(simulation.is_rolled_back_after_short_outages, traffic)
    assert simulation.rate_row("", run, 3, compute).is_met


@pytest.mark.parametrize(("rate", "bar"), [(0.0, 15), (0.5, 60), (0.8, 300)])
def test_a_bad_candidate_is_rolled_back_for_good(rate: float, bar: int) -> None:
    """It is tried again once, and not for ever."""
    traffic = simulation.Traffic(shares=(0.5,), candidate=rate, batch=1, requests=4000)
    run = partial(simulation.count_until, {"finalize", "roll_back"}, traffic)
    assert simulation.median_row("", run, 5, compute, bar).is_met


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_a_good_candidate_survives_two_shared_outages(share: float) -> None:
    """Neither the outages nor their ends lead to a final rollback."""
    outage = simulation.Outage(start=0, length=0, rate=0.2)
    traffic = simulation.Traffic(shares=(share,), candidate=0.97, outages=(outage,))
    run = partial(simulation.is_rolled_back_after_outages, traffic)
    assert simulation.rate_row("", run, 2, compute).is_met


def test_a_candidate_at_the_floor_survives_a_ramp() -> None:
    """Although the control arm is five times better, and a window guard would have rolled it back."""
    traffic = simulation.Traffic(shares=simulation.RAMP, candidate=0.95)
    assert simulation.rate_row("", partial(simulation.is_rolled_back, traffic), 2, compute).is_met
    steady = evolve(traffic, shares=(0.5,))
    assert all(simulation.is_tripped_naively(steady, seed) for seed in range(4))
