"""Histograms of durations: logarithmic buckets with a relative error of 1 %, which add up exactly.

The scheme is that of DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): bucket ``i`` holds the values in ``(GAMMA ** (i - 1), GAMMA ** i]``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from kickai_providers_core.values.varint import decode_varints, encode_varints

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACCURACY", "Histogram", "find_bucket", "find_quantile", "get_value", "pack", "unpack"]

ACCURACY = 0.01
"""The relative error of a quantile."""

GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
LOG_GAMMA = math.log(GAMMA)

SHORTEST_S = 1e-6
"""Shorter durations, in seconds, count as this one: no call takes less."""

Histogram = dict[int, int]
"""The number of durations in each bucket. Two histograms add up bucket by bucket."""


def find_bucket(duration_s: float) -> int:
    """Return the bucket of a duration in seconds."""
    return math.ceil(math.log(max(duration_s, SHORTEST_S)) / LOG_GAMMA)


def get_value(bucket: int) -> float:
    """Return the duration in seconds that represents a bucket, within `ACCURACY` of every value in it."""
    return float(2 * GAMMA**bucket / (GAMMA + 1))


def find_quantile(counts: Mapping[int, int], quantile: float) -> float | None:
    """Return a quantile in seconds; None for an empty histogram.

    Args:
        counts: The number of durations in each bucket.
        quantile: From 0 to 1; 0.5 is the median.
    """
    total = sum(counts.values())
    if not total:
        return None
    rank, seen = quantile * (total - 1), 0
    for bucket in sorted(counts):
        seen += counts[bucket]
        if seen > rank:
            return get_value(bucket)
    return get_value(max(counts))


def pack(counts: Mapping[int, int]) -> bytes:
    """Return a histogram as bytes, mostly two for each bucket that is not empty."""
    numbers, previous = [], 0
    for bucket in sorted(counts):
        if counts[bucket]:
            step = bucket - previous
            numbers += [2 * step if step >= 0 else -2 * step - 1, counts[bucket]]
            previous = bucket
    return encode_varints(numbers)


def unpack(data: bytes) -> Histogram:
    """Return the histogram that `pack` made.

    Raises:
        ValueError: The bytes are damaged.
    """
    numbers = decode_varints(data)
    if len(numbers) % 2:
        raise ValueError("a histogram must have a count for each bucket")
    counts: Histogram = {}
    bucket = 0
    for step, count in zip(numbers[::2], numbers[1::2], strict=True):
        bucket += -(step + 1) // 2 if step % 2 else step // 2
        counts[bucket] = count
    return counts
