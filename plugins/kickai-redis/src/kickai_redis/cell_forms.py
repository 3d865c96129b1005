"""The forms that cells have in the server.

A batch is added to the *open* cells of its minutes: one hash for each minute, with a field for each counter and bucket
of each series, so that the server can increment them. They take much space. A large batch, as after an outage, is added
in the packed form instead, which takes the server a fiftieth of the time. Compacting turns them into *packed* cells:
one hash for each period, with one field for each series, as few bytes as in an SQLite file.

A series (provider, model, role and arm) and a counter are numbers in both forms; see `Dictionaries`.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen
from kickai_providers_core.values.histogram import pack, unpack
from kickai_providers_core.values.metrics import Cell, CellKey
from kickai_providers_core.values.varint import decode_varints, encode_varints

from kickai_redis.errors import DamagedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "OPEN",
    "VERSION",
    "Dictionaries",
    "NumberedSums",
    "decode_period",
    "encode_batch_cell",
    "encode_series",
    "pack_sums",
]

OPEN = 0
"""The level of the open cells; see `kickai_redis.key_names.Level`."""

VERSION = b"version"
"""The field of a hash that changes with each change of the others."""

CARRY = 2**62
"""What a field in upper case counts: the server's integers have 64 bits, and counts have no limit."""

COUNTER, LATENCY, FIRST_TOKEN = "clf"

PACKED = "p"
"""The kind of a field of open cells that has a packed cell."""

LENGTHS = struct.Struct("<II")


@define
class NumberedSums:
    """The sums of one cell.

    Attributes:
        counters: By the number of the counter.
        latency: By bucket.
        first_token: By bucket.
    """

    counters: dict[int, int] = Factory(dict)
    latency: dict[int, int] = Factory(dict)
    first_token: dict[int, int] = Factory(dict)

    def add(self, other: NumberedSums) -> None:
        """Add the sums of another cell."""
        parts = zip(
            (self.counters, self.latency, self.first_token),
            (other.counters, other.latency, other.first_token),
            strict=True,
        )
        for mine, theirs in parts:
            for number, count in theirs.items():
                mine[number] = mine.get(number, 0) + count


def encode_series(key: CellKey) -> str:
    """Return what the cells of one provider, model, role and arm have in common."""
    return json.dumps([key.provider, key.model, key.role, key.arm], separators=(",", ":"))


def encode_batch_cell(cell: Cell) -> Iterator[tuple[str, int]]:
    """Yield the fields of a cell, with the names of counters, and what to add to each."""
    for kind, counts in ((COUNTER, cell.counters), (LATENCY, cell.latency), (FIRST_TOKEN, cell.first_token)):
        for name, count in counts.items():
            carried, rest = divmod(count, CARRY)
            if rest:
                yield f"{kind}{name}", rest
            if carried:
                yield f"{kind.upper()}{name}", carried


def pack_sums(sums: NumberedSums) -> bytes:
    """Return sums as bytes."""
    counters = encode_varints(number for pair in sums.counters.items() if pair[1] for number in pair)
    latency = pack(sums.latency)
    return LENGTHS.pack(len(counters), len(latency)) + counters + latency + pack(sums.first_token)


def _unpack_sums(data: bytes) -> NumberedSums:
    counters_end, latency_size = LENGTHS.unpack_from(data)
    body = data[LENGTHS.size :]
    numbers = decode_varints(body[:counters_end])
    return NumberedSums(
        dict(zip(numbers[::2], numbers[1::2], strict=True)),
        unpack(body[counters_end : counters_end + latency_size]),
        unpack(body[counters_end + latency_size :]),
    )


def decode_period(level: int, flat: Sequence[bytes]) -> tuple[bytes, dict[int, NumberedSums]]:
    """Return the version of a hash, and the sums of its cells by the number of their series.

    Args:
        level: Which form it has.
        flat: Its fields and values by turns; empty if it does not exist.

    Raises:
        DamagedError: It is damaged.
    """
    values = dict(zip(flat[::2], flat[1::2], strict=True))
    version = values.pop(VERSION, b"")
    try:
        if level == OPEN:
            return version, _decode_open(values)
        return version, {int(series): _unpack_sums(data) for series, data in values.items()}
    except (ValueError, KeyError, struct.error) as error:
        raise DamagedError("a cell of the metrics") from error


def _decode_open(values: Mapping[bytes, bytes]) -> dict[int, NumberedSums]:
    found: dict[int, NumberedSums] = {}
    for field, value in values.items():
        series, _, name = field.decode().partition(" ")
        sums = found.setdefault(int(series), NumberedSums())
        if not name:  # says that the cell exists
            continue
        if name[0] == PACKED:
            sums.add(_unpack_sums(value))
            continue
        kind, number = name[0].lower(), int(name[1:])
        counts = {COUNTER: sums.counters, LATENCY: sums.latency, FIRST_TOKEN: sums.first_token}[kind]
        counts[number] = counts.get(number, 0) + int(value) * (1 if name[0] == kind else CARRY)
    return found


@frozen
class Dictionaries:
    """What the numbers of series and counters stand for.

    Attributes:
        series: By number, with the period of an example.
        counters: By number.
    """

    series: Mapping[int, CellKey] = Factory(dict)
    counters: Mapping[int, str] = Factory(dict)

    @classmethod
    def decode(cls, series: Sequence[bytes], counters: Sequence[bytes]) -> Dictionaries:
        """Return the dictionaries of two hashes from texts to numbers, as the server gives them.

        Raises:
            DamagedError: They are damaged.
        """
        try:
            return cls(
                {int(number): _decode_series(text) for text, number in zip(series[::2], series[1::2], strict=True)},
                {int(number): name.decode() for name, number in zip(counters[::2], counters[1::2], strict=True)},
            )
        except (ValueError, TypeError) as error:
            raise DamagedError("the names of the metrics") from error

    def has(self, series: int, sums: NumberedSums) -> bool:
        """Return whether all numbers of a cell are known."""
        return series in self.series and all(number in self.counters for number in sums.counters)

    def get_cell(self, sums: NumberedSums) -> Cell:
        """Return a cell with the names of its counters."""
        names = self.counters
        return Cell(
            counters={names[number]: count for number, count in sums.counters.items()},
            latency=sums.latency,
            first_token=sums.first_token,
        )


def _decode_series(text: bytes) -> CellKey:
    provider, model, role, arm = json.loads(text)
    return CellKey(start_s=0, provider=provider, model=model, role=role, arm=arm)
