"""Confidence intervals for the shares and means of a report."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from kickai_providers_core.resilience.evidence import compute_wilson_interval
from kickai_providers_core.values.histogram import get_value

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CONFIDENCE", "find_mean_interval", "find_share_interval"]

CONFIDENCE = 0.95
"""How often an interval contains the true value."""

Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def find_share_interval(successes: int, total: int) -> tuple[float, float] | None:
    """Return the interval of a share; None without observations.

    Args:
        successes: From 0 to ``total``.
        total: The number of observations.
    """
    if not total:
        return None
    return compute_wilson_interval(successes, total, CONFIDENCE)


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
