"""Random draws from a seed."""

from itertools import combinations
from statistics import mean, median

from hypothesis import given
from hypothesis import strategies as st

from kickai_mock.draws import draw_lognormal, draw_shares

SEEDS = st.integers(-(2**70), 2**70)
NUMBERS = st.integers(0, 2**40)


@given(SEEDS, st.text(max_size=20), NUMBERS)
def test_shares_lie_strictly_between_0_and_1(seed, model, number):
    """Neither 0 nor 1 occurs, so that a rate of 0 never applies and a rate of 1 always does."""
    assert all(0.0 < share < 1.0 for share in draw_shares(seed, model, number))


def test_a_seed_gives_the_same_draws_in_every_release():
    """The draws are fixed, so that a drill is the same after an upgrade."""
    assert draw_shares(7, "a", 0) == (0.16922783939427688, 0.29243761631579035, 0.15492816075982196)
    assert draw_shares(7, "a", 1) == (0.8085495481798056, 0.5178271451920097, 0.09201658107976451)
    assert draw_shares(7, "b", 0) == (0.09592876917249715, 0.7235717370972518, 0.9219063923499177)


def test_shares_are_uniform_and_independent():
    """The mean of many draws is a half, and the three draws of a call are not correlated."""
    columns = list(zip(*(draw_shares(1, "a", number) for number in range(4000)), strict=True))

    for column in columns:
        assert abs(mean(column) - 0.5) < 0.02
    for one, other in combinations(columns, 2):
        assert abs(mean(a * b for a, b in zip(one, other, strict=True)) - 0.25) < 0.02


def test_a_lognormal_has_the_median_and_the_tails_of_its_parameters():
    """Half of the draws are below the median; with sigma 0.5, one in a hundred is above 3.2 medians or below 1/3.2."""
    draws = [draw_lognormal(*draw_shares(1, "a", number)[1:], 2.0, 0.5) for number in range(8000)]

    assert abs(median(draws) - 2.0) < 0.1
    assert 0.006 < mean(draw > 3.2 * 2.0 for draw in draws) < 0.014
    assert 0.006 < mean(draw < 2.0 / 3.2 for draw in draws) < 0.014


@given(st.floats(1e-16, 1 - 1e-12), st.floats(1e-16, 1 - 1e-12), st.floats(0, 1e6))
def test_a_lognormal_with_a_sigma_of_0_is_its_median(one, other, middle):
    """A sigma of 0 has no spread."""
    assert draw_lognormal(one, other, middle, 0.0) == middle
