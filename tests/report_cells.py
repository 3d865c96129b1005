"""Cells for tests of the report: a plain recorder of requests, which counts as the monitor does."""

from __future__ import annotations

from collections import Counter

from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.metrics import Cell, CellKey, find_size_class

START_S = 1_793_700_000
"""A whole minute and hour in November 2026, in seconds since 1970."""

QWEN = "Qwen/Qwen2.5-7B-Instruct:together"
FLASH = "gemini-3.5-flash-lite"


class Recorder:
    """Adds up requests and attempts; `cells` returns them in order of time."""

    def __init__(self) -> None:
        self._cells: dict[CellKey, Cell] = {}

    def cell(self, provider="", model="", *, role="", arm="", at_s=0) -> Cell:
        """Return the cell of a target, a role, an arm and a minute."""
        minute = START_S + at_s - (START_S + at_s) % 60
        key = CellKey(start_s=minute, provider=provider, model=model, role=role, arm=arm)
        return self._cells.setdefault(key, Cell(counters=Counter()))

    @property
    def cells(self) -> list[tuple[CellKey, Cell]]:
        """The cells in order of time."""
        return sorted(self._cells.items(), key=lambda item: item[0])

    def answer(
        self, provider="huggingface", model=QWEN, count=1, *, latency_s=0.5, tokens=(1000, 500), first=None, **place
    ) -> None:
        """Count answered requests, each with its attempt; ``first`` is the provider and reason of a fallback."""
        cell = self.cell(provider, model, **place)
        cell.counters["requests.success"] += count
        cell.counters["requests.latency_us"] += round(latency_s * 1e6) * count
        bucket = find_bucket(latency_s)
        cell.latency[bucket] = cell.latency.get(bucket, 0) + count
        if first is not None:
            cell.counters[f"fallback.{'.'.join(first)}"] += count
        cell.counters["attempts.success"] += count
        cell.counters["attempts.latency_us"] += round(latency_s * 1e6) * count
        if tokens is not None:
            self.use(provider, model, count, tokens=tokens, **place)

    def use(self, provider, model, count=1, *, tokens=(1000, 500), cached=0, reasoning=0, **place) -> None:
        """Count the reported tokens of attempts."""
        counters = self.cell(provider, model, **place).counters
        size_class = find_size_class(tokens[0])
        counters[f"usage.{size_class}"] += count
        for name, number in zip(("input", "output", "cached", "reasoning"), (*tokens, cached, reasoning), strict=True):
            counters[f"tokens.{name}.{size_class}"] += number * count

    def fail(self, error="ChainExhaustedError", count=1, **place) -> None:
        """Count requests that nobody answered."""
        counters = self.cell(**place).counters
        counters["requests.error"] += count
        counters[f"requests.error.{error}"] += count

    def fail_attempt(self, provider, model, error, count=1, *, estimated=None, **place) -> None:
        """Count failed attempts, with the estimated tokens of each."""
        counters = self.cell(provider, model, **place).counters
        counters["attempts.error"] += count
        counters[f"attempts.error.{error}"] += count
        if estimated is not None:
            size_class = find_size_class(estimated)
            counters[f"estimated.{size_class}"] += count
            counters[f"tokens.estimated.{size_class}"] += estimated * count
