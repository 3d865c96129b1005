"""Measure what the framework costs, and hold it against its bounds.

``python benchmarks/bench.py``, or ``nox -s bench``, prints one table; the exit code is 1 when a bound is missed.
Needs ``kickai-providers-core`` and ``kickai-mock``.
"""

from __future__ import annotations

import argparse
import platform
import sys
from typing import TYPE_CHECKING

import crowd
import growth
import imports
import overhead
import peers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from timing import Figure


def figures(options: argparse.Namespace) -> Iterator[Figure]:
    """Measure one figure after the other."""
    rounds: int = options.rounds
    yield from overhead.healthy(rounds)
    yield from overhead.asynchronous(rounds)
    yield from overhead.troubled(rounds)
    yield from growth.size(rounds)
    yield from growth.use(rounds, 1_000_000 if options.full else 200_000)
    yield from crowd.at_once(max(5, rounds // 10))
    yield from imports.costs(max(5, rounds // 10))
    if options.peers:
        yield from peers.figures()


def line(figure: Figure) -> str:
    """Return a figure's line of the table."""
    bound = "" if figure.bound is None else f"≤ {figure.bound:g} {figure.unit}"
    verdict = "" if figure.bound is None else "pass" if figure.met else "FAIL"
    return f"{figure.name:60} {figure.value:7.2f} {figure.unit:2}  {bound:10} {verdict:5} {figure.detail}".rstrip()


def main() -> int:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=150, help="rounds of each comparison, in tickets")
    parser.add_argument("--full", action="store_true", help="serve 1,000,000 requests instead of 200,000")
    parser.add_argument(
        "--peers", action="store_true", help="do the same with other libraries, which are installed for it"
    )
    options = parser.parse_args()
    print(
        f"Python {platform.python_version()} on {platform.machine()}; medians over {options.rounds} rounds, in tickets"
    )
    missed = 0
    for figure in figures(options):
        print(line(figure), flush=True)
        missed += not figure.met
    print(f"{missed} missed" if missed else "every bound is kept")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
