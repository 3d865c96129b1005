"""Run the conformance tests on every mutant: ``python -m kestrel.run_mutants FOLDER``.

The results are JSON files in the folder. The tests are collected once; then each mutant has its own process, forked
from this one. It runs the tests that are meant to find it, each until it fails, and one that it must pass.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from kestrel import mutants

HERE = Path(__file__).parent
SUITE = HERE / "mutant_suite.py"
SMOKE = "test_a_good_answer_arrives"
"""A test that a mutant passes: its fault does not break everything."""

PROCESSES = 5 * (os.cpu_count() or 1)
"""How many mutants run at the same time. Four fifths of a run wait for timeouts to expire."""

OPTIONS = ("-qs", "-c", os.devnull, "--assert=plain", "-p", "no:cacheprovider", "-p", "no:unraisableexception")


class Recorder:
    """A pytest plugin that records the tests that fail."""

    def __init__(self):
        self.failed = defaultdict(list)
        self.current = ""

    def pytest_runtest_logstart(self, nodeid):
        """Record which test runs."""
        self.current = nodeid.rpartition("::")[2]

    def pytest_runtest_logreport(self, report):
        """Record the result of one phase of a test."""
        if report.failed:
            name, _, parameters = self.current.partition("[")
            self.failed[name].append(parameters.rstrip("]"))
            print(f"\n{report.nodeid}\n{report.longreprtext}")


class MutantRun:
    """A pytest plugin that runs the collected tests on every provider, each in its own process."""

    def __init__(self, folder):
        self.folder = folder

    def pytest_runtestloop(self, session):
        """Run every mutant, several at a time."""
        self.session = session
        gc.collect()
        gc.freeze()  # a collection in a child would copy the memory that it shares
        running, waiting = set(), list(mutants.MUTANTS.values())
        while running or waiting:
            if waiting and len(running) < PROCESSES:
                mutant = waiting.pop(0)
                running.add(self.fork(mutant, {*mutant.found_by_all, SMOKE}))
            else:
                running.discard(os.wait()[0])
        for mutant in mutants.MUTANTS.values():
            self.repeat_surprises(mutant)
        return True

    def fork(self, mutant, selected):
        """Run the selected tests on a mutant in a new process; return its id."""
        child = os.fork()
        if not child:
            self.run_tests(mutant, selected)
            os._exit(0)
        return child

    def run_tests(self, mutant, selected):
        """Run the selected tests on a mutant, in this process; write the results."""
        log = os.open(self.folder / f"{mutant.name}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        recorder = Recorder()
        self.session.config.pluginmanager.register(recorder)
        items = [item for item in self.session.items if {item.name, item.originalname} & selected]
        items[0].cls.plugin = mutant.plugin
        for item, following in zip(items, [*items[1:], None], strict=True):
            if item.originalname not in recorder.failed:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        self.write(mutant.name, {"failed": recorder.failed})
        sys.stdout.flush()

    def repeat_surprises(self, mutant):
        """Repeat the tests with an unexpected result: a busy machine may fail a test once, a mutant always does."""
        failed = self.read(mutant.name)["failed"]
        surprises = find_surprises(failed, mutant.found_by_all)
        if surprises:
            os.waitpid(self.fork(mutant, surprises), 0)
            others = {test: cases for test, cases in failed.items() if test not in surprises}
            self.write(mutant.name, {"failed": {**others, **self.read(mutant.name)["failed"]}})

    def read(self, name):
        """Return the results of one provider."""
        return json.loads((self.folder / f"{name}.json").read_text())

    def write(self, name, results):
        """Write the results of one provider."""
        (self.folder / f"{name}.json").write_text(json.dumps(results))


def find_surprises(failed, expected):
    """Return the tests whose result was not expected: the failed ones, but for those meant to fail, and vice versa."""
    return set(failed) ^ set(expected)


def main(folder):
    """Collect the tests, and run them on the mutants."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main([*OPTIONS, "--rootdir", str(HERE), str(SUITE)], plugins=[MutantRun(folder)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
