"""Run the conformance tests on every mutant: ``python -m kestrel.run_mutants FOLDER [full]``.

The results are JSON files in the folder. The tests are collected once; then each mutant has its own process, forked
from this one. It runs the test that is meant to find it, until that fails, and one that it must pass.

With ``full`` the correct provider runs all tests, and each mutant all those that called, on the correct provider, a
function that the mutant changes: all other tests see no difference.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
from collections import defaultdict
from pathlib import Path
from types import FunctionType

import pytest

from kestrel import mutants
from kestrel.client import Client
from kestrel.plugin import KestrelPlugin

HERE = Path(__file__).parent
SUITE = HERE / "mutant_suite.py"
CORRECT = "correct"
SMOKE = "test_a_good_answer_arrives"
"""A test that a mutant passes: its fault does not break everything."""

PROCESSES = 5 * (os.cpu_count() or 1)
"""How many mutants run at the same time. Four fifths of a run wait for timeouts to expire."""

OPTIONS = ("-qs", "-c", os.devnull, "--assert=plain", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
ORDINARY = {"__module__", "__qualname__", "__doc__", "__static_attributes__", "__firstlineno__", "__annotations__"}


class Recorder:
    """A pytest plugin that counts the tests, and records the failed ones and the functions that each test called."""

    def __init__(self):
        self.count = 0
        self.failed = defaultdict(list)
        self.called = defaultdict(set)
        self.current = ""

    def pytest_runtest_logstart(self, nodeid):
        """Record which test runs."""
        self.current = nodeid.rpartition("::")[2]

    def pytest_runtest_logreport(self, report):
        """Record the result of one phase of a test."""
        self.count += report.when == "call"
        if report.failed:
            name, _, parameters = self.current.partition("[")
            self.failed[name].append(parameters.rstrip("]"))
            print(f"\n{report.nodeid}\n{report.longreprtext}")

    def profile(self, frame, event, _):
        """Record a call of the provider's code."""
        if event == "call" and frame.f_code.co_filename.startswith(str(HERE)):
            self.called[self.current].add(frame.f_code.co_name)


class MutantRun:
    """A pytest plugin that runs the collected tests on every provider, each in its own process."""

    def __init__(self, folder, *, is_full):
        self.folder = folder
        self.is_full = is_full

    def pytest_runtestloop(self, session):
        """Run every mutant, several at a time; before that the correct provider, in a full run."""
        self.session = session
        gc.collect()
        gc.freeze()  # a collection in a child would copy the memory that it shares
        called = {}
        if self.is_full:
            os.waitpid(self.fork(CORRECT), 0)
            self.repeat_surprises(CORRECT)
            called = self.read(CORRECT)["called"]
        running, waiting = set(), list(mutants.MUTANTS.values())
        while running or waiting:
            if waiting and len(running) < PROCESSES:
                mutant = waiting.pop(0)
                running.add(self.fork(mutant.name, self.select(mutant, called)))
            else:
                running.discard(os.wait()[0])
        for mutant in mutants.MUTANTS.values():
            self.repeat_surprises(mutant.name, mutant.found_by, mutant.also)
        return True

    def select(self, mutant, called):
        """Return the names of the tests that a mutant runs; None for all."""
        return select_tests(mutant, called) if self.is_full else {mutant.found_by, SMOKE}

    def fork(self, name, selected=None):
        """Run the tests on one provider in a new process; return its id."""
        child = os.fork()
        if not child:
            self.run_tests(name, selected)
            os._exit(0)
        return child

    def run_tests(self, name, selected):
        """Run the selected tests on one provider, in this process; write the results."""
        log = os.open(self.folder / f"{name}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        recorder = Recorder()
        self.session.config.pluginmanager.register(recorder)
        items = [item for item in self.session.items if selected is None or {item.name, item.originalname} & selected]
        if name == CORRECT:
            threading.setprofile(recorder.profile)
            sys.setprofile(recorder.profile)
        else:
            items[0].cls.plugin = mutants.MUTANTS[name].plugin
        for item, following in zip(items, [*items[1:], None], strict=True):
            if self.is_full or item.originalname not in recorder.failed:
                item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
        sys.setprofile(None)
        called = {test: sorted(names) for test, names in recorder.called.items()}
        self.write(name, {"count": recorder.count, "failed": recorder.failed, "called": called})
        sys.stdout.flush()

    def repeat_surprises(self, name, *expected):
        """Repeat the tests with an unexpected result: a busy machine may fail a test once, a mutant always does."""
        results = self.read(name)
        surprises = find_surprises(results["failed"], *expected)
        if surprises:
            os.waitpid(self.fork(name, surprises), 0)
            others = {test: cases for test, cases in results["failed"].items() if test not in surprises}
            self.write(name, {**results, "failed": {**others, **self.read(name)["failed"]}})

    def read(self, name):
        """Return the results of one provider."""
        return json.loads((self.folder / f"{name}.json").read_text())

    def write(self, name, results):
        """Write the results of one provider."""
        (self.folder / f"{name}.json").write_text(json.dumps(results))


def select_tests(mutant, called):
    """Return the tests that may notice a mutant's fault; None for all."""
    correct = Client if issubclass(mutant.kind, Client) else KestrelPlugin
    changed = {}
    for kind in mutant.kind.__mro__[: mutant.kind.__mro__.index(correct)]:
        changed |= {name: value for name, value in vars(kind).items() if name not in ORDINARY}
    overridden = {name: value for name, value in changed.items() if hasattr(correct, name)}
    if not mutant.kind.__module__.startswith(mutants.__name__) or not all(
        isinstance(value, FunctionType) for value in overridden.values()
    ):
        return None
    if any(name.startswith("__") and name != "__init__" for name in overridden):
        return None
    return {test for test, names in called.items() if overridden.keys() & set(names)}


def find_surprises(failed, found_by=None, also=()):
    """Return the tests whose result was not expected: the failed ones, but for those meant to fail, and vice versa."""
    expected = {found_by} if found_by else set()
    return (set(failed) - expected - set(also)) | (expected - set(failed))


def main(folder, *, is_full):
    """Collect the tests, and run them on the providers."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    pytest.main([*OPTIONS, "--rootdir", str(HERE), str(SUITE)], plugins=[MutantRun(folder, is_full=is_full)])


if __name__ == "__main__":
    main(Path(sys.argv[1]), is_full="full" in sys.argv[2:])
