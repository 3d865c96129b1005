"""The time that is left."""

from __future__ import annotations

import pytest

from kickai_providers_core.stores.expiry import find_left_s


@pytest.mark.parametrize(
    ("now_s", "left_s"),
    [
        (100.0, 50.0),
        (149.0, 1.0),
        (150.0, 0.0),
        (10_000.0, 0.0),
        (99.0, 0.0),  # the clock was at 100 when it began: the machine was started since
        (5.0, 0.0),
    ],
)
def test_the_time_that_is_left(now_s, left_s):
    """It is never more than the whole duration."""
    assert find_left_s(150.0, 50.0, now_s) == left_s


def test_rounding_errors_end_nothing():
    """The sum of two floats may be a little more than both."""
    now_s = 123_456.789_012_3
    assert find_left_s(now_s + 0.1, 0.1, now_s) == pytest.approx(0.1)
