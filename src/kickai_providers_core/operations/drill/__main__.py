"""Runs the drill: a rollout of some 20,000 requests by several processes, with an outage and a killed process.

It exits with 1 when a request was lost, a key took the wrong arm, or a figure of the report is not the drill's own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from kickai_providers_core.operations.drill.process import DrillError
from kickai_providers_core.operations.drill.steps import Drill


def main() -> int:
    """Run the drill, print what happens, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m kickai_providers_core.operations.drill", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="the number of requests (default: 20000)")
    parser.add_argument("--seed", type=int, default=7, help="the seed of the faults (default: 7)")
    parser.add_argument("--html", type=Path, help="write the report to this file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kickai-drill-") as folder:
        try:
            Drill(Path(folder), requests=options.requests, seed=options.seed, html=options.html).run()
        except DrillError as error:
            print(f"FAILED: {error}", file=sys.stderr)  # noqa: T201
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
