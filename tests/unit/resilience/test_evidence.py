"""The statistics of the rollout guard: laws, exact values and bounds."""

from __future__ import annotations

import json
import math
import random
from itertools import pairwise
from statistics import NormalDist

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st

from kickai_providers_core.resilience.evidence import (
    BETTER_ODDS,
    FIRST_START,
    GAP_ODDS,
    WORSE_ODDS,
    Block,
    RestartingTest,
    Tally,
    add_logs,
    compute_log_block_ratios,
    compute_log_excess_ratios,
    compute_log_mean,
    compute_log_proof,
    compute_log_split_mismatch,
    compute_wilson_interval,
    count_more_needed,
    read_objects,
    split_alpha,
)

SMALL = st.integers(1, 8)
RATES = st.floats(0.001, 0.999)
ROUNDING = 1e-9


def binomial(k: int, n: int, rate: float) -> float:
    """Return the probability of ``k`` bad events in ``n`` requests."""
    return math.comb(n, k) * rate**k * (1 - rate) ** (n - k)


def mean_of_excess(n: int, rate: float, limit: float, odds: float) -> float:
    """Return the exact mean of the floor test's ratio for ``n`` requests."""
    ratios = [math.exp(compute_log_excess_ratios(Tally(k, n), limit, (odds,))[0]) for k in range(n + 1)]
    return sum(binomial(k, n, rate) * ratio for k, ratio in enumerate(ratios))


@given(SMALL, RATES, RATES, st.sampled_from(WORSE_ODDS))
def test_the_floor_ratio_is_an_e_value_for_every_rate_within_the_limit(
    n: int, one: float, other: float, odds: float
) -> None:
    """Its exact mean is at most 1, and 1 at the limit."""
    rate, limit = sorted((one, other))
    assert mean_of_excess(n, rate, limit, odds) <= 1 + ROUNDING
    assert mean_of_excess(n, limit, limit, odds) == pytest.approx(1)


@given(SMALL, RATES, RATES, st.sampled_from(BETTER_ODDS))
def test_the_proof_ratio_is_an_e_value_for_every_rate_beyond_the_limit(
    n: int, one: float, other: float, odds: float
) -> None:
    """The evidence test is the mirror image of the floor test."""
    limit, rate = sorted((one, other))
    assert mean_of_excess(n, rate, limit, odds) <= 1 + ROUNDING


@given(SMALL, SMALL, st.data(), RATES)
def test_the_two_arm_ratio_is_an_e_value_when_the_arms_are_exchangeable(
    mine: int, other: int, data: st.DataObject, limit: float
) -> None:
    """For any number of bad events in a block, the mean over all ways to spread them over the arms is at most 1."""
    bad = data.draw(st.integers(0, mine + other))
    means = [0.0] * len(GAP_ODDS)
    for x in range(max(0, bad - other), min(mine, bad) + 1):
        probability = math.comb(mine, x) * math.comb(other, bad - x) / math.comb(mine + other, bad)
        ratios = compute_log_block_ratios(Block(Tally(x, mine), Tally(bad - x, other)), limit)
        means = [mean + probability * math.exp(ratio) for mean, ratio in zip(means, ratios, strict=True)]
    assert max(means) <= 1 + ROUNDING


@given(SMALL, SMALL, st.integers(0, 8), RATES, RATES)
def test_the_two_arm_ratio_is_an_e_value_for_a_candidate_within_the_limit(
    mine: int, other: int, control_bad: int, one: float, another: float
) -> None:
    """A candidate that is worse than the control, but good enough, does not cause a rollback."""
    rate, limit = sorted((one, another))
    control = Tally(min(other, control_bad), other)
    means = [0.0] * len(GAP_ODDS)
    for x in range(mine + 1):
        ratios = compute_log_block_ratios(Block(Tally(x, mine), control), limit)
        means = [mean + binomial(x, mine, rate) * math.exp(ratio) for mean, ratio in zip(means, ratios, strict=True)]
    assert max(means) <= 1 + ROUNDING


def test_the_two_arm_ratio_has_its_formula() -> None:
    """The share of the traffic decides how much a failure of the candidate proves."""
    block = Block(Tally(2, 3), Tally(1, 7))
    ratio = compute_log_block_ratios(block, 0.05)[GAP_ODDS.index((8.0, 2.0))]
    assert math.exp(ratio) == pytest.approx(min(8**2 / 1.35**3, 2**2 * (10 / 13) ** 3))
    strict = compute_log_block_ratios(Block(Tally(2, 30), Tally(0, 70)), 0.05)[GAP_ODDS.index((8.0, 2.0))]
    assert strict == pytest.approx(2 * math.log(8) - 30 * math.log(1.35))
    unlimited = compute_log_block_ratios(block, 1e-6)[GAP_ODDS.index((8.0, 2.0))]
    assert math.exp(unlimited) == pytest.approx(2**2 * (10 / 13) ** 3)


def test_a_block_is_closed_when_both_arms_have_a_request() -> None:
    """Outcomes never close a block."""
    block = Block().add(Tally(3, 3), Tally())
    assert not block.is_closed
    assert not Block().add(Tally(), Tally(1, 1)).is_closed
    assert block.add(Tally(), Tally(0, 1)) == Block(Tally(3, 3), Tally(0, 1))
    assert block.add(Tally(), Tally(0, 1)).is_closed


def test_a_restarting_test_is_the_mixture_over_its_starts() -> None:
    """Its value equals the sum over all start times, computed without the recursion."""
    draw = random.Random(1)
    batches = [(draw.uniform(-1, 2), draw.randint(1, 50)) for _ in range(20)]
    test, seen, starts = RestartingTest(), 0, [(0, FIRST_START)]
    for index, (ratio, n) in enumerate(batches):
        test = test.add((ratio,), n)
        weight = (1 - FIRST_START) * (1 / (1 + seen / 100) - 1 / (1 + (seen + n) / 100))
        starts.append((index, weight))
        seen += n
    left = (1 - FIRST_START) / (1 + seen / 100)
    assert sum(weight for _, weight in starts) + left == pytest.approx(1)
    value = left + sum(weight * math.exp(sum(ratio for ratio, _ in batches[start:])) for start, weight in starts)
    assert math.exp(test.log_e) == pytest.approx(value)
    assert test.seen == seen
    assert RestartingTest().log_e == 0.0


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=20))
def test_a_restarting_test_keeps_its_value_while_nothing_is_learned(batches: list[int]) -> None:
    """The weights of all starts, past and to come, are 1 at any time."""
    test = RestartingTest()
    for n in batches:
        test = test.add((0.0, 0.0), n)
    assert test.log_e == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_the_floor_test_seldom_trips_at_the_floor() -> None:
    """Ville's inequality: of 300 streams of 1,000 requests, at most 5 % reach 1 / 0.05."""
    trips = 0
    for seed in range(300):
        draw, test = random.Random(seed), RestartingTest()
        for _ in range(100):
            bad = sum(draw.random() < 0.05 for _ in range(10))
            test = test.add(compute_log_excess_ratios(Tally(bad, 10), 0.05, WORSE_ODDS), 10)
            if test.log_e >= math.log(20):
                trips += 1
                break
    assert trips <= 15


def test_a_late_failure_needs_few_more_requests_than_an_early_one() -> None:
    """After 5,000 good answers, ten failures in a row are enough for an error rate of 1 in 1,000."""
    test = RestartingTest()
    for _ in range(500):
        test = test.add(compute_log_excess_ratios(Tally(0, 10), 0.05, WORSE_ODDS), 10)
    assert test.log_e < 0
    for _ in range(10):
        test = test.add(compute_log_excess_ratios(Tally(1, 1), 0.05, WORSE_ODDS), 1)
    assert test.log_e >= math.log(1000)


def test_sums_of_logarithms_do_not_overflow() -> None:
    """Evidence of thousands of failures stays finite."""
    assert add_logs(5000.0, 5000.0) == pytest.approx(5000 + math.log(2))
    assert compute_log_mean([5000.0, -5000.0]) == pytest.approx(5000 - math.log(2))
    assert compute_log_proof(Tally(100_000, 100_000), 0.08) < -1000


@pytest.mark.parametrize(
    ("tally", "needed"),
    [
        (Tally(), 46),
        (Tally(0, 40), 6),
        (Tally(0, 45), 1),
        (Tally(0, 46), 0),
        (Tally(5, 10), None),
        (Tally(8, 100), None),
    ],
)
def test_the_number_of_requests_that_a_proof_needs(tally: Tally, needed: int | None) -> None:
    """A rate at or beyond the limit never proves anything."""
    assert count_more_needed(tally, 0.08, 0.05) == needed


def test_a_proof_without_certainty_needs_no_request() -> None:
    """An error rate of 1 is reached before anything is known."""
    assert count_more_needed(Tally(), 0.08, 1.0) == 0


@given(st.integers(1, 500), st.integers(0, 20), st.sampled_from([0.05, 0.08, 0.3]), st.sampled_from([0.05, 1e-4]))
def test_the_estimate_is_the_first_number_that_suffices(total: int, bad: int, limit: float, alpha: float) -> None:
    """One request less at the same rate would not do."""
    tally = Tally(min(bad, total), total)
    needed = count_more_needed(tally, limit, alpha)

    def log_e(more: float) -> float:
        scale = 1 + more / total
        exact = [scale * (tally.bad * math.log(odds) - total * math.log1p((odds - 1) * limit)) for odds in BETTER_ODDS]
        return compute_log_mean(exact)

    if needed is None:
        assert log_e(1e6) < math.log(1 / alpha)
    else:
        assert log_e(needed) >= math.log(1 / alpha) - ROUNDING
        assert not needed or log_e(needed - 1) < math.log(1 / alpha)


def test_a_split_that_fits_its_share_is_no_mismatch() -> None:
    """The exact mean of the e-value under the share is 1."""
    for share in (0.01, 0.5, 0.8):
        mean = sum(binomial(k, 30, share) * math.exp(compute_log_split_mismatch(k, 30 - k, share)) for k in range(31))
        assert mean == pytest.approx(1)
    assert compute_log_split_mismatch(0, 0, 0.5) == pytest.approx(0)
    assert compute_log_split_mismatch(500, 500, 0.5) < 0
    assert compute_log_split_mismatch(0, 20, 0.5) > math.log(1000)
    assert compute_log_split_mismatch(600, 400, 0.5) > math.log(1000)


def test_error_rates_add_up() -> None:
    """All tests of all steps and roles share the total."""
    assert split_alpha(0.01, steps=5, tests=2) == pytest.approx(0.001)
    assert split_alpha(0.01, steps=5, tests=2, roles=10) == pytest.approx(0.0001)


def test_the_interval_is_wilsons() -> None:
    """Its bounds are where the score test just accepts, and it stays within 0 and 1."""
    low, high = compute_wilson_interval(9, 10)
    z = NormalDist().inv_cdf(0.975)
    for bound in (low, high):
        assert abs(0.9 - bound) / math.sqrt(bound * (1 - bound) / 10) == pytest.approx(z)
    assert compute_wilson_interval(0, 0) == (0.0, 1.0)
    assert compute_wilson_interval(0, 5)[0] == pytest.approx(0, abs=1e-12)
    assert compute_wilson_interval(5, 5)[1] == pytest.approx(1)
    # Here the formula without rounding gives exactly 0 and 1, and with rounding a little less and more.
    assert compute_wilson_interval(0, 61)[0] == 0
    assert compute_wilson_interval(9, 9)[1] == 1
    widths = [high - low for low, high in (compute_wilson_interval(9, 10, each) for each in (0.5, 0.9, 0.99))]
    assert all(one < other for one, other in pairwise(widths))


def test_values_survive_json() -> None:
    """The same value comes back."""
    test = RestartingTest().add((0.5, -0.25), 3)
    block = Block(Tally(1, 2), Tally(0, 4))
    assert RestartingTest.from_dict(json.loads(json.dumps(asdict(test)))) == test
    assert Block.from_dict(json.loads(json.dumps(asdict(block)))) == block


@pytest.mark.parametrize(
    ("read", "data", "kind", "message"),
    [
        (Tally.from_dict, [1, 2], TypeError, "tally must be a JSON object, got list"),
        (Tally.from_dict, {"bad": 1}, ValueError, r"bad, total, got missing \['total'\], unknown \[\]"),
        (Tally.from_dict, {"bad": 1, "total": 2, "x": 3}, ValueError, r"missing \[\], unknown \['x'\]"),
        (Tally.from_dict, {"bad": 3, "total": 2}, ValueError, "Tally.bad must be at most the total of 2, got 3"),
        (Tally.from_dict, {"bad": 1.5, "total": 2}, TypeError, "Tally.bad must be an integer"),
        (Block.from_dict, {"candidate": 1, "control": 2}, TypeError, "block.candidate must be a JSON object"),
        (RestartingTest.from_dict, {"seen": 1, "log_sums": "12"}, TypeError, "test.log_sums must be a list of numbers"),
        (RestartingTest.from_dict, {"seen": 1, "log_sums": [True]}, TypeError, "log_sums must be a number"),
        (RestartingTest.from_dict, {"seen": 1, "log_sums": [math.nan]}, ValueError, "must be a finite number"),
        (lambda data: read_objects(data, "here"), [], TypeError, "here must be a JSON object, got list"),
    ],
)
def test_damaged_json_is_an_error_that_names_the_place(read, data, kind, message) -> None:
    """A value never holds what its documentation excludes."""
    with pytest.raises(kind, match=message):
        read(data)
