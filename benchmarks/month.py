"""A report on a month, from a store that gets 1,000,000 requests a day: minutes for two days, and hours before."""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from timing import Figure

from kickai_providers_core.stores.sqlite import SqliteStore
from kickai_providers_core.values.histogram import find_bucket
from kickai_providers_core.values.metrics import Cell, CellKey, MetricsBatch

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["measure_month"]

REPORT_MAX_S = 2.0
DAY_MAX_MB = 20.0

RUNS = 5
KEEP_DAYS = 400

ROLES = tuple(f"role {number}" for number in range(10))
MODELS = (
    ("huggingface", "Qwen/Qwen2.5-7B-Instruct:together"),
    ("huggingface", "meta-llama/Llama-3.1-8B-Instruct"),
    ("gemini", "gemini-2.5-flash"),
    ("gemini", "gemini-2.5-flash-lite"),
)
NAMES = (
    *("requests.success", "requests.latency_us", "requests.streamed", "attempts.success", "attempts.latency_us"),
    *("attempts.error", "attempts.error.RateLimitedError", "attempts.retry", "skips.suspended"),
    *("fallback.huggingface.suspended", "usage.32000"),
    *(f"tokens.{kind}.32000" for kind in ("input", "output", "cached", "reasoning")),
)

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400
REQUESTS_OF_A_CELL = 17
"""A day of 1440 minutes, 10 roles and 4 models has 57,600 cells, and so nearly a million requests."""

SAMPLES = 200
"""Different cells of each length; each one that is written is one of them."""

SETTINGS = """\
[store]
url = "sqlite:///month.db"
"""


def measure_month(now_s: float | None = None) -> Iterator[Figure]:
    """Measure the size of a day in a store, and the CPU time of ``kickai report --since 30d --json``."""
    now = int(time.time() if now_s is None else now_s)
    first_minute = (now - 2 * DAY_S) // HOUR_S * HOUR_S
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "kickai.toml").write_text(SETTINGS)
        path = folder / "month.db"
        writer = _Writer(path)
        writer.write(range(first_minute, first_minute + DAY_S, MINUTE_S), MINUTE_S)
        day_mb = path.stat().st_size / 1e6
        writer.write(range(first_minute + DAY_S, now, MINUTE_S), MINUTE_S)
        writer.write(range(now // HOUR_S * HOUR_S - 30 * DAY_S, first_minute, HOUR_S), HOUR_S)
        writer.close(now)
        _time_report(folder)  # compiles the modules, which takes a second or two
        times = [_time_report(folder) for _ in range(RUNS)]
    yield Figure(name="a day of 1,000,000 requests in SQLite", value=day_mb, bound=DAY_MAX_MB, unit="MB")
    yield Figure(
        name="kickai report on a month of such days, CPU time",
        value=min(times),
        bound=REPORT_MAX_S,
        unit="s",
        detail=f"{RUNS} runs: {', '.join(f'{each:.2f}' for each in times)}",
    )


class _Writer:
    """Writes cells like those of a busy application."""

    def __init__(self, path: Path) -> None:
        self._store = SqliteStore(path, timeout_s=60)
        self._random = random.Random(1)  # noqa: S311  not for secrets
        self._number = 0

    def write(self, starts: range, span_s: int) -> None:
        """Write the cells of periods that begin at ``starts``."""
        requests = REQUESTS_OF_A_CELL * span_s // MINUTE_S
        samples = [self._make_cell(requests) for _ in range(SAMPLES)]
        for first in range(0, len(starts), 60):
            cells = {
                CellKey(start_s=start_s, span_s=span_s, provider=provider, model=model, role=role): cell
                for start_s in starts[first : first + 60]
                for role in ROLES
                for (provider, model), cell in zip(MODELS, self._random.sample(samples, len(MODELS)), strict=True)
            }
            self._add(cells)

    def close(self, now_s: int) -> None:
        """Say that no batch follows, and add up what each process adds up every hour."""
        self._add({}, is_final=True)
        self._store.metrics.compact(now_s, KEEP_DAYS)
        self._store.close()

    def _add(self, cells: dict[CellKey, Cell], *, is_final: bool = False) -> None:
        self._number += 1
        self._store.metrics.add(MetricsBatch(process="p", number=self._number, cells=cells, is_final=is_final))

    def _make_cell(self, requests: int) -> Cell:
        counters = {name: self._random.randrange(1, 1000 * requests) for name in NAMES}
        counters["requests.success"] = requests
        latency, first_token = dict[int, int](), dict[int, int]()
        for histogram, scale in ((latency, 0.5), (first_token, -1.0)):
            for _ in range(requests):
                bucket = find_bucket(self._random.lognormvariate(scale, 0.6))
                histogram[bucket] = histogram.get(bucket, 0) + 1
        return Cell(counters=counters, latency=latency, first_token=first_token)


def _time_report(folder: Path) -> float:
    """Return the CPU time of the whole command in seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "KICKAI"))}
    command = [sys.executable, "-c", "from kickai_providers_core.cli import main; main()"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(  # noqa: S603  our own command
        [*command, "report", "--since", "30d", "--json"],
        cwd=folder,
        env=environment | {"PYTHONPYCACHEPREFIX": str(folder / "compiled")},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
