"""Confidence intervals for shares and means, with the standard library alone."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from kickai_providers_core.values.histogram import get_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIDENCE", "find_mean_interval", "find_share_interval"]

CONFIDENCE = 0.95
"""How often an interval contains the true value."""

Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def find_share_interval(successes: int, total: int) -> tuple[float, float] | None:
    """Return the interval of a share; None without observations.

    This is Wilson's score interval (E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", JASA 22, 1927). Unlike the normal approximation, it holds for small numbers and shares near 0 and 1.

    Args:
        successes: From 0 to ``total``.
        total: The number of observations.
    """
    if not total:
        return None
    share, square = successes / total, Z * Z
    center = (share + square / (2 * total)) / (1 + square / total)
    half = Z / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total * total))
    return max(0.0, center - half), min(1.0, center + half)


def find_mean_interval(mean: float, histogram: Mapping[int, int]) -> tuple[float, float] | None:
    """Return the interval of a mean of durations in seconds; None for fewer than two.

    The normal approximation, with the variance of the histogram.

    Args:
        mean: The exact mean.
        histogram: The durations.
    """
    total = sum(histogram.values())
    if total < 2:  # noqa: PLR2004  one value has no variance
        return None
    squares = sum(count * (get_value(bucket) - mean) ** 2 for bucket, count in histogram.items())
    half = Z * math.sqrt(squares / (total - 1) / total)
    return max(0.0, mean - half), mean + half
