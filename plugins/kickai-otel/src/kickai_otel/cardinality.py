"""Bounds the number of distinct values of metric attributes.

Each distinct value is a series that the SDK and the monitoring system keep. Model names and error classes come from
services and plugins, so nothing else bounds them.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

from kickai_otel.conventions import OTHER

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_LENGTH", "BoundedValues"]

MAX_LENGTH = 200
"""The maximum length of a value, in characters; longer ones are cut."""


class BoundedValues:
    """Remembers the first values of each attribute, and replaces all further ones.

    Safe to use from any thread and in forked processes: it takes no lock. Threads that meet the same new value at the
    same time may use several places for it, so the bound is never exceeded, but may be reached a little early.

    Args:
        limit: The number of distinct values of each attribute.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[str, tuple[dict[str, str], Iterator[int]]] = {}

    def bound(self, attribute: str, value: str) -> str:
        """Return the value, cut to `MAX_LENGTH`, or ``other`` if the attribute has reached its limit."""
        known, places = self._known.get(attribute) or self._known.setdefault(attribute, ({}, count()))
        kept = known.get(value)
        if kept is not None:
            return kept
        cut = value[:MAX_LENGTH]
        if cut != value:
            return self.bound(attribute, cut)
        if len(known) < self._limit and next(places) < self._limit:
            known[value] = value
            return value
        return OTHER
