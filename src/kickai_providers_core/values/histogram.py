"""Histograms of durations: logarithmic buckets with a relative error of 1 %, which add up exactly.

The scheme is that of DDSketch (Masson, Rim, Lee, "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): bucket ``i`` holds the values in ``(GAMMA ** (i - 1), GAMMA ** i]``.
"""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from itertools import accumulate, pairwise
from math import ceil, log
from typing import TYPE_CHECKING, TypeVar

from kickai_providers_core.values.varint import decode_varints, encode_varints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ACCURACY",
    "Histogram",
    "add_counts",
    "add_up_packed",
    "find_bucket",
    "find_quantile",
    "get_value",
    "pack",
    "unpack",
]

ACCURACY = 0.01
"""The relative error of a quantile."""

GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
LOG_GAMMA = log(GAMMA)

SHORTEST_S = 1e-6
"""Shorter durations, in seconds, count as this one: no call takes less."""

FIRST = struct.Struct("<i")

EACH, BYTES, SHORTS = b"\0\1", b"\0\2", b"\0\3"
"""The two bytes after the first bucket in the forms that are fast to add up; see `pack`."""

HEADER_BYTES = FIRST.size + len(EACH)

BYTE = 2**8

ALIGNMENT = 64
"""The bucket that distances count from is a multiple of this, so that many histograms have the same one."""

MAX_ROWS = BYTE
"""The number of rows whose sums surely fit into twice the bytes of their counts."""

MAX_WIDTH = 10_000
"""The number of buckets up to which rows are added up as integers. All durations are in 3,000 buckets."""

Key = TypeVar("Key")

Histogram = dict[int, int]
"""The number of durations in each bucket. Two histograms add up bucket by bucket."""


def find_bucket(duration_s: float) -> int:
    """Return the bucket of a duration in seconds."""
    return ceil(log(duration_s if duration_s > SHORTEST_S else SHORTEST_S) / LOG_GAMMA)


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
    """Return a histogram as bytes, in the shortest form. All forms begin with a bucket, in four bytes.

    - For few durations: `EACH`, and the distance of each duration from that bucket, as a byte.
    - For many in few buckets: `BYTES` or `SHORTS`, and the counts of all buckets from the first to the last one.
    - For any other: the count of the first bucket, the distance to the next bucket, its count, and so on, as varints.
      No count is zero, so this form differs from the others.
    """
    buckets = sorted(bucket for bucket, count in counts.items() if count)
    if not buckets:
        return b""
    first, last = buckets[0], buckets[-1]
    base = first - first % ALIGNMENT
    durations, largest = sum(counts.values()), max(counts.values())
    numbers = [counts[first]]
    for previous, bucket in pairwise(buckets):
        numbers += [bucket - previous, counts[bucket]]
    varints = encode_varints(numbers)
    width, room = last - first + 1, len(varints) - len(EACH)
    if last - base < BYTE and durations <= min(width, room):
        return FIRST.pack(base) + EACH + bytes(bucket - base for bucket in buckets for _ in range(counts[bucket]))
    if largest < BYTE and width <= room:
        body = BYTES + bytes(counts.get(bucket, 0) for bucket in range(first, last + 1))
    elif largest < BYTE**2 and 2 * width <= room:
        body = SHORTS + struct.pack(f"<{width}H", *(counts.get(bucket, 0) for bucket in range(first, last + 1)))
    else:
        body = varints
    return FIRST.pack(first) + body


def unpack(data: bytes) -> Histogram:
    """Return the histogram that `pack` made.

    Raises:
        ValueError: The bytes are damaged.
    """
    if not data:
        return {}
    if len(data) <= FIRST.size:
        raise ValueError("a histogram must have a count for each bucket")
    (first,) = FIRST.unpack_from(data)
    form, body = data[FIRST.size : HEADER_BYTES], data[HEADER_BYTES:]
    if form[0]:
        numbers = decode_varints(form + body)
        if not len(numbers) % 2:
            raise ValueError("a histogram must have a count for each bucket")
        return dict(zip(accumulate([first, *numbers[1::2]]), numbers[::2], strict=True))
    if form == EACH:
        return {first + distance: count for distance, count in Counter(body).items()}
    counts = _unpack_counts(form, body)
    return {first + distance: count for distance, count in enumerate(counts) if count}


def add_up_packed(packed: Iterable[bytes]) -> Histogram:
    """Return the sum of histograms that `pack` made. This is several times faster than to unpack each of them.

    Raises:
        ValueError: The bytes are damaged.
    """
    by_header: dict[bytes, list[bytes]] = defaultdict(list)
    for data in packed:
        by_header[data[:HEADER_BYTES]].append(data[HEADER_BYTES:])
    total: Histogram = {}
    rows: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for header, bodies in by_header.items():
        form = header[FIRST.size :]
        if form == EACH:
            add_counts(total, unpack(header + b"".join(bodies)))
        elif form in {BYTES, SHORTS}:
            (first,) = FIRST.unpack_from(header)
            rows[form] += [(first, body) for body in bodies]
        else:
            for body in bodies:
                add_counts(total, unpack(header + body))
    for form, some in rows.items():
        add_counts(total, _add_up_rows(form, some))
    return total


def add_counts(total: dict[Key, int], counts: Mapping[Key, int]) -> None:
    """Add counts to a total by bucket, or by another key."""
    if not total:
        total.update(counts)
        return
    for key, count in counts.items():
        total[key] = total.get(key, 0) + count


def _unpack_counts(form: bytes, body: bytes) -> Sequence[int]:
    if form == BYTES:
        return body
    if form != SHORTS or len(body) % 2:
        raise ValueError("unknown form of a histogram")
    return struct.unpack(f"<{len(body) // 2}H", body)


def _add_up_rows(form: bytes, rows: Sequence[tuple[int, bytes]]) -> Histogram:
    """Return the sum of counts, each row with its first bucket.

    Each row becomes one large integer in which a count takes twice its bytes. Then one addition adds all counts of a
    row, and the sums of `MAX_ROWS` rows fit.
    """
    size = 1 if form == BYTES else 2
    first = min(start for start, _ in rows)
    width = max(start + len(body) // size for start, body in rows) - first
    total: Histogram = {}
    if width > MAX_WIDTH or any(len(body) % size for _, body in rows):
        for start, body in rows:
            add_counts(total, unpack(FIRST.pack(start) + form + body))
        return total
    for at in range(0, len(rows), MAX_ROWS):
        some = rows[at : at + MAX_ROWS]
        joined = b"".join((bytes(size * (start - first)) + body).ljust(size * width, b"\0") for start, body in some)
        wide = bytearray(2 * len(joined))
        for part in range(size):
            wide[part :: 2 * size] = joined[part::size]
        view, length = memoryview(wide), 2 * size * width
        added = sum(int.from_bytes(view[end - length : end], "little") for end in range(length, len(wide) + 1, length))
        counts = struct.unpack(f"<{width}{'H' if size == 1 else 'I'}", added.to_bytes(length, "little"))
        add_counts(total, {first + distance: count for distance, count in enumerate(counts) if count})
    return total
