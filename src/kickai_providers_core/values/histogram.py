"""Histograms of durations: logarithmic buckets with a relative error of 1 %, which add up exactly.

The scheme is that of DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): bucket ``i`` holds the values in ``(GAMMA ** (i - 1), GAMMA ** i]``.
"""

from __future__ import annotations

import math
import struct
from itertools import accumulate, pairwise
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

FIRST = struct.Struct("<i")

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
    """Return a histogram as bytes, mostly two for each bucket that is not empty.

    The form is the first bucket, in four bytes, and its count, the distance to the next bucket, its count, and so on,
    as varints.
    """
    buckets = sorted(bucket for bucket, count in counts.items() if count)
    if not buckets:
        return b""
    numbers = [counts[buckets[0]]]
    for previous, bucket in pairwise(buckets):
        numbers += [bucket - previous, counts[bucket]]
    return FIRST.pack(buckets[0]) + encode_varints(numbers)


def unpack(data: bytes) -> Histogram:
    """Return the histogram that `pack` made.

    Raises:
        ValueError: The bytes are damaged.
    """
    if not data:
        return {}
    numbers = decode_varints(data[FIRST.size :])
    if len(data) < FIRST.size or not len(numbers) % 2:
        raise ValueError("a histogram must have a count for each bucket")
    return dict(zip(accumulate([*FIRST.unpack(data[: FIRST.size]), *numbers[1::2]]), numbers[::2], strict=True))
