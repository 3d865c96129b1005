"""How much space the metrics take, and how short the transactions of a reader are."""

from __future__ import annotations

import random
from contextlib import contextmanager

from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

ROLES, MODELS = 10, 4
REQUESTS_OF_A_CELL = 17
"""A day of 1440 minutes, 10 roles and 4 models has 57,600 cells, and so nearly a million requests."""

MINUTES = 144
"""A tenth of a day."""

NAMES = (
    *("requests", "successes", "attempts", "fallbacks", "streams", "latency_us"),
    *(f"tokens.{kind}.0" for kind in ("input", "output", "cached", "reasoning")),
    *("error.RateLimitedError", "skip.suspended", "cost.reported_nano_usd", "fallback.quota", "finish.length"),
)


def make_cells(minute, rng):
    """Return the cells of a busy minute."""
    cells = {}
    for role in range(ROLES):
        for model in range(MODELS):
            histograms = [{}, {}]
            for histogram, scale in zip(histograms, (0.5, -1.0), strict=True):
                for _ in range(REQUESTS_OF_A_CELL):
                    bucket = find_bucket(rng.lognormvariate(scale, 0.6))
                    histogram[bucket] = histogram.get(bucket, 0) + 1
            key = CellKey(start_s=60 * minute, provider="huggingface", model=f"org/m-{model}", role=f"role {role}")
            counters = {name: rng.randrange(1, 20_000) for name in NAMES}
            cells[key] = Cell(counters=counters, latency=histograms[0], first_token=histograms[1])
    return cells


def test_a_day_of_a_million_requests_takes_less_than_20_mb(tmp_path):
    """Tested with a tenth of a day; and the reader takes a new transaction for each thousand cells."""
    store, rng = SqliteStore(tmp_path / "kickai.db", timeout_s=60), random.Random(1)
    for number in range(1, MINUTES // 12 + 1):
        cells = {}
        for minute in range(12 * (number - 1), 12 * number):
            cells |= make_cells(minute, rng)
        store.metrics.add(MetricsBatch(process="p", number=number, cells=cells))
    assert (tmp_path / "kickai.db").stat().st_size < 20_000_000 / 10

    transactions = []
    read = store._database.read

    @contextmanager
    def count_rows():
        with read() as connection:
            transactions.append(1)
            yield connection

    store._database.read = count_rows
    cells = list(store.metrics.read())
    assert len(cells) == MINUTES * ROLES * MODELS
    assert len(transactions) >= len(cells) // 1000
    store.metrics.compact(4 * 86_400.0, 400)
    del store._database.read
    assert sum(1 for _ in store.metrics.read()) == -(-MINUTES // 60) * ROLES * MODELS
    store.close()
