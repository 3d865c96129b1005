"""Counters as bytes, in a form that is fast to read: a report reads a hundred thousand cells.

The form is a letter for the size of the counts, the number of counters, their ids as a byte each, and the counts, as
`struct` packs them. When a number does not fit, the letter is ``V``, and pairs of ids and counts follow as varints.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from typing import TYPE_CHECKING

from kickai_providers_core.values.histogram import add_counts
from kickai_providers_core.values.varint import decode_varints, encode_varints

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["add_up_counters", "pack_counters", "unpack_counters"]

SIZES = (("B", 2**8), ("H", 2**16), ("I", 2**32), ("Q", 2**64))
"""The letters of `struct` for unsigned integers, each with the first number that is too large."""

LETTERS = {letter: struct.calcsize(f"<{letter}") for letter, _ in SIZES}
"""The bytes of a count by its letter."""

BYTE = 2**8


def pack_counters(counts: Mapping[int, int]) -> bytes:
    """Return the counts, from 0, by the ids of their counters, as bytes."""
    largest = max(counts.values(), default=0)
    letter = next((letter for letter, end in SIZES if largest < end), "V")
    if letter == "V" or len(counts) >= BYTE or max(counts, default=0) >= BYTE:
        return b"V" + encode_varints(number for pair in counts.items() for number in pair)
    return struct.pack(
        f"<cB{len(counts)}B{len(counts)}{letter}", letter.encode(), len(counts), *counts, *counts.values()
    )


def unpack_counters(data: bytes) -> dict[int, int]:
    """Return the counts that `pack_counters` packed.

    Raises:
        ValueError: The bytes are damaged.
    """
    letter = data[:1].decode("ascii", "replace")
    if letter == "V":
        numbers = decode_varints(data[1:])
        return dict(zip(numbers[::2], numbers[1::2], strict=True))
    if letter not in LETTERS or len(data) < 2:  # noqa: PLR2004  the letter and the number of counters
        raise ValueError("unknown form of counters")
    number = data[1]
    try:
        counts = struct.unpack(f"<{number}{letter}", data[2 + number :])
    except struct.error as error:
        raise ValueError("incomplete counters") from error
    return dict(zip(data[2 : 2 + number], counts, strict=True))


def add_up_counters(packed: Iterable[bytes]) -> dict[int, int]:
    """Return the sums of counts that `pack_counters` packed. This is several times faster than to unpack each of them.

    Raises:
        ValueError: The bytes are damaged.
    """
    by_header: dict[bytes, list[bytes]] = defaultdict(list)
    for data in packed:
        end = 2 + data[1] if len(data) > 1 else 2
        by_header[data[:end]].append(data[end:])
    total: dict[int, int] = {}
    for header, bodies in by_header.items():
        letter, ids = header[:1].decode("ascii", "replace"), header[2:]
        size = LETTERS.get(letter)
        if size is None or not ids or set(map(len, bodies)) != {size * len(ids)}:
            found = [unpack_counters(header + body) for body in bodies]
        else:
            counts = struct.unpack(f"<{len(ids) * len(bodies)}{letter}", b"".join(bodies))
            found = [{each: sum(counts[at :: len(ids)])} for at, each in enumerate(ids)]
        for sums in found:
            add_counts(total, sums)
    return total
