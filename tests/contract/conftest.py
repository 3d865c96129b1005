"""Makes the package kestrel importable, runs the mutants once for all tests, and prints which test found which."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

FOLDER = pytest.StashKey[Path]()


@pytest.fixture(scope="session")
def make_once(tmp_path_factory):
    """Return a function that fills a folder once, and returns it to all processes of a parallel run."""

    def make(name, fill):
        base = tmp_path_factory.getbasetemp()
        folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
        with folder.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "done").exists():
                folder.mkdir(exist_ok=True)
                fill(folder)
                (folder / "done").touch()
        return folder

    return make


@pytest.fixture(scope="session")
def reports(pytestconfig, make_once):
    """Run the conformance tests on every mutant; return the results by name."""
    folder = make_once("mutants", run_mutants)
    pytestconfig.stash[FOLDER] = folder
    if hasattr(pytestconfig, "workeroutput"):
        pytestconfig.workeroutput["mutants"] = str(folder)
    return read_reports(folder)


def run_mutants(folder):
    """Run the mutants in a new process, from which theirs are forked."""
    environment = {**os.environ, "PYTHONPATH": str(HERE)}
    command = [sys.executable, "-m", "kestrel.run_mutants", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def read_reports(folder):
    """Return the results of each provider by its name."""
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    """Take the place of the results from a process of a parallel run."""
    if "mutants" in getattr(node, "workeroutput", {}):
        node.config.stash[FOLDER] = Path(node.workeroutput["mutants"])


def pytest_terminal_summary(terminalreporter, config):
    """Print the number of tests and mutants, and which test found which mutant."""
    folder = config.stash.get(FOLDER, None)
    if folder is None:
        return
    from kestrel.mutants import MUTANTS

    from kickai_providers_core.testing.contract import standard_tests

    reports, tests = read_reports(folder), standard_tests()
    terminalreporter.section(f"{len(tests)} standard tests, {len(MUTANTS)} mutants")
    for mutant in MUTANTS.values():
        failed = set(reports[mutant.name]["failed"])
        terminalreporter.write_line(f"{mutant.name}: {mutant.fault}")
        terminalreporter.write_line(f"    {'found by' if mutant.found_by in failed else 'MISSED by'} {mutant.found_by}")
        if others := sorted(failed - {mutant.found_by}):
            terminalreporter.write_line(f"    and by {', '.join(others)}")
    idle = sorted(set(tests) - {name for report in reports.values() for name in report["failed"]})
    terminalreporter.write_line(f"{len(tests) - len(idle)} of {len(tests)} tests found a mutant; none is meant for:")
    terminalreporter.write_line(f"    {', '.join(idle)}")
