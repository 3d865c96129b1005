"""The invented service is imported by its name, and the mutants' table is printed at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

REPORTS = pytest.StashKey[dict]()


@pytest.fixture(scope="session")
def reports(pytestconfig, tmp_path_factory):
    """Run the conformance tests on the good provider and on every mutant; return what came of each by name."""
    folder = tmp_path_factory.mktemp("sweep")
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, "-m", "kestrel.sweep", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    pytestconfig.stash[REPORTS] = found
    return found


def pytest_terminal_summary(terminalreporter, config):
    """Print how many tests and mutants there are, and which test found which mutant."""
    found = config.stash.get(REPORTS, None)
    if found is None:
        return
    from kestrel.wrong import MUTANTS

    from kickai_providers_core.testing.contract import standard_tests

    tests = standard_tests()
    line = f"{len(tests)} standard tests, {found['good']['count']} with their parameters; {len(MUTANTS)} mutants"
    terminalreporter.section(line)
    for mutant in MUTANTS.values():
        failed = found[mutant.name]["failed"]
        others = sorted(set(failed) - {mutant.found_by})
        terminalreporter.write_line(f"{mutant.name}: {mutant.fault}")
        terminalreporter.write_line(f"    {'found by' if mutant.found_by in failed else 'MISSED by'} {mutant.found_by}")
        if others:
            terminalreporter.write_line(f"    and by {', '.join(others)}")
    idle = sorted(set(tests) - {name for report in found.values() for name in report["failed"]})
    terminalreporter.write_line(f"{len(tests) - len(idle)} of {len(tests)} tests found at least one; no mutant is for:")
    terminalreporter.write_line(f"    {', '.join(idle)}")
