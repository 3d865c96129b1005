"""Chance from a seed."""

from statistics import mean, median

from hypothesis import given
from hypothesis import strategies as st

from kickai_mock.draws import lognormal, shares

SEEDS = st.integers(-(2**70), 2**70)
NUMBERS = st.integers(0, 2**40)


@given(SEEDS, st.text(max_size=20), NUMBERS)
def test_shares_lie_strictly_between_none_and_all(seed, model, number):
    """Neither 0 nor 1 occurs, so that a rate of 0 never strikes and a rate of 1 always does."""
    assert all(0.0 < share < 1.0 for share in shares(seed, model, number))


def test_a_seed_means_the_same_in_every_release():
    """The draws are pinned: a drill that is repeated after an upgrade is the same drill."""
    assert shares(7, "a", 0) == (0.686185310886248, 0.17625018184447472)
    assert shares(7, "a", 1) == (0.008195670395574894, 0.9101113886952207)
    assert shares(7, "b", 0) == (0.9330709412142965, 0.08106247788210219)


def test_shares_are_even_and_the_two_of_a_call_are_independent():
    """Of many draws, the mean is a half, and the one says nothing of the other."""
    draws = [shares(1, "a", number) for number in range(4000)]
    firsts, seconds = zip(*draws, strict=True)

    assert abs(mean(firsts) - 0.5) < 0.02
    assert abs(mean(seconds) - 0.5) < 0.02
    assert abs(mean(a * b for a, b in draws) - 0.25) < 0.02


def test_a_lognormal_has_the_median_and_the_tail_that_its_parameters_say():
    """Half of the draws are below the median, and with sigma 0.5 one in a hundred is above 3.2 medians."""
    draws = [lognormal(shares(1, "a", number)[1], 2.0, 0.5) for number in range(4000)]

    assert abs(median(draws) - 2.0) < 0.1
    assert 0.005 < mean(draw > 3.2 * 2.0 for draw in draws) < 0.015


@given(st.floats(1e-16, 1 - 1e-12), st.floats(0, 1e6))
def test_without_a_spread_a_lognormal_is_its_median(share, middle):
    """A sigma of 0 draws nothing."""
    assert lognormal(share, middle, 0.0) == middle
