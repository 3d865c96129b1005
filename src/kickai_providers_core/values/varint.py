"""Integers in as few bytes as they need: seven bits a byte, the lowest first, as in Protocol Buffers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["decode_varints", "encode_varints"]

MORE = 0x80
"""The bit of a byte that says that another one follows."""

MAX_BYTES = 19
"""The longest integer: 2 ** 133, far beyond any sum."""


def encode_varints(numbers: Iterable[int]) -> bytes:
    """Return integers of at least 0 as bytes."""
    data = bytearray()
    for number in numbers:
        rest = number
        while rest >= MORE:
            data.append(rest & (MORE - 1) | MORE)
            rest >>= 7
        data.append(rest)
    return bytes(data)


def decode_varints(data: bytes) -> list[int]:
    """Return the integers that `encode_varints` encoded.

    Raises:
        ValueError: The bytes are damaged.
    """
    if data.isascii():  # no integer has a second byte, as in most histograms
        return list(data)
    numbers, number, shift = [], 0, 0
    for byte in data:
        number |= (byte & (MORE - 1)) << shift
        if byte & MORE:
            shift += 7
            if shift >= 7 * MAX_BYTES:
                raise ValueError(f"an integer must take at most {MAX_BYTES} bytes")
        else:
            numbers.append(number)
            number, shift = 0, 0
    if shift:
        raise ValueError("the last integer is incomplete")
    return numbers
