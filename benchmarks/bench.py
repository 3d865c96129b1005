"""Measure the overhead of the core, and compare it with its bounds.

``python benchmarks/bench.py``, or ``nox -s bench``, prints one table. The exit code is 1 when a bound is
exceeded. It needs ``kickai-providers-core[cli,report]`` and ``kickai-mock``.
"""

from __future__ import annotations

import argparse
import platform
import sys
from typing import TYPE_CHECKING

import crowd
import growth
import imports
import month
import overhead
import peers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from timing import Figure


def measure(options: argparse.Namespace) -> Iterator[Figure]:
    """Yield the figures, one after the other."""
    rounds: int = options.rounds
    yield from overhead.measure_healthy_calls(rounds)
    yield from overhead.measure_store(rounds)
    yield from overhead.measure_async_calls(rounds)
    yield from overhead.measure_fallbacks(rounds)
    yield from growth.measure_size(rounds)
    yield from growth.measure_use(rounds, 1_000_000 if options.full else 200_000)
    yield from crowd.measure_concurrency(max(5, rounds // 10))
    yield from imports.measure_imports(max(5, rounds // 10))
    yield from month.measure_month()
    if options.peers:
        yield from peers.measure_peers()


def format_line(figure: Figure) -> str:
    """Return a line of the table."""
    bound = "" if figure.bound is None else f"≤ {figure.bound:g} {figure.unit}"
    verdict = "" if figure.bound is None else "pass" if figure.is_met else "FAIL"
    return f"{figure.name:60} {figure.value:7.2f} {figure.unit:2}  {bound:10} {verdict:5} {figure.detail}".rstrip()


def main() -> int:
    """Measure and print everything; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=150, help="rounds of each comparison")
    parser.add_argument("--full", action="store_true", help="serve 1,000,000 requests instead of 200,000")
    parser.add_argument("--peers", action="store_true", help="measure other libraries too; installs them")
    options = parser.parse_args()
    print(f"Python {platform.python_version()} on {platform.machine()}; medians of {options.rounds} rounds")
    exceeded = 0
    for figure in measure(options):
        print(format_line(figure), flush=True)
        exceeded += not figure.is_met
    print(f"{exceeded} above their bounds" if exceeded else "all within their bounds")
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
