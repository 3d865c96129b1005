"""Metrics: what requests did, added up for each minute, provider, model, role and arm."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from attrs import Factory, field, frozen

from kickai_providers_core.values.validation import Number, Text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kickai_providers_core.values.histogram import Histogram

__all__ = [
    "HEARTBEAT_S",
    "SILENCE_S",
    "SIZE_BOUNDS",
    "SIZE_CLASSES",
    "Cell",
    "CellKey",
    "MetricsBatch",
    "find_size_class",
]

SIZE_BOUNDS = (32_000, 100_000, 128_000, 199_999, 200_000, 256_000, 272_000, 512_000, 524_288)
"""Where the classes of input sizes end, in tokens. Vendors change their prices at these sizes, so the price of a
class of requests is the sum of their prices."""

SIZE_CLASSES = (*map(str, SIZE_BOUNDS), "larger")
"""The classes of input sizes, by their upper bounds; ``<k>`` in the name of a counter is one of them. Names that hold
the bounds keep their meaning when a later version has other bounds."""

HEARTBEAT_S = 60.0
"""Seconds after which a process that has nothing to write writes an empty batch, to say that it is alive."""

SILENCE_S = 3 * HEARTBEAT_S
"""Seconds after which a process that has neither written nor said that it ends counts as killed."""

NOT_NEGATIVE = Number(integer=True, minimum=0)


def find_size_class(input_tokens: int) -> str:
    """Return the class of an input size in tokens; a bound is in the lower class."""
    return SIZE_CLASSES[bisect_left(SIZE_BOUNDS, input_tokens)]


@frozen(kw_only=True, order=True, slots=False)  # a report copies many of them with evolve_trusted
class CellKey:
    """What the requests and attempts of one cell have in common.

    Attributes:
        start_s: The beginning of the period, in seconds since 1970; a multiple of ``span_s``.
        span_s: The length of the period in seconds: 60, later 3,600, later 86,400.
        provider: The instance; empty for requests that no provider answered.
        model: The model that answered, or was called; empty when unknown.
        role: The role; empty for none.
        arm: ``candidate``, ``control`` or ``shadow``; empty without a rollout.
    """

    start_s: int = field(validator=NOT_NEGATIVE)
    span_s: int = field(default=60, validator=Number(integer=True, minimum=60))
    provider: str = field(default="", validator=Text(empty=True))
    model: str = field(default="", validator=Text(empty=True))
    role: str = field(default="", validator=Text(empty=True))
    arm: str = field(default="", validator=Text(empty=True))


@frozen(kw_only=True)
class Cell:
    """The sums of one cell.

    Attributes:
        counters: Integers from 0, by name; docs/metrics.md lists the names.
        latency: The durations of successful whole answers, from the start of the request to its end.
        first_token: The times from the start of a streamed attempt to its first chunk.
    """

    counters: Mapping[str, int] = Factory(dict)
    latency: Histogram = Factory(dict)
    first_token: Histogram = Factory(dict)


@frozen(kw_only=True)
class MetricsBatch:
    """The cells that one process adds at once.

    Attributes:
        process: The random name of the process; a forked child has its own.
        number: 1 for the first batch of the process, 2 for the next, and so on. A store adds each number once.
        cells: The sums since the previous batch.
        is_final: Whether the process writes no further batch.
    """

    process: str = field(validator=Text())
    number: int = field(validator=Number(integer=True, minimum=1))
    cells: Mapping[CellKey, Cell]
    is_final: bool = False
