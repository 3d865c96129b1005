"""Histograms of durations: logarithmic buckets with a relative error of 1 %, which add up exactly.

The scheme is that of DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): bucket ``i`` holds the values in ``(GAMMA ** (i - 1), GAMMA ** i]``.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

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

PAIR = struct.Struct("<iQ")


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
    """Return a histogram as bytes, 12 for each bucket that is not empty."""
    return b"".join(PAIR.pack(bucket, counts[bucket]) for bucket in sorted(counts) if counts[bucket])


def unpack(data: bytes) -> Histogram:
    """Return the histogram that `pack` made.

    Raises:
        ValueError: The bytes are damaged.
    """
    if len(data) % PAIR.size:
        raise ValueError(f"a histogram takes a multiple of {PAIR.size} bytes, got {len(data)}")
    return dict(PAIR.iter_unpack(data))
