"""Run the conformance tests on the good provider and on every mutant: ``python -m kestrel.sweep FOLDER``.

What came of each is left in the folder as JSON. Each mutant has a process of its own, forked from one that has imported
everything, and is given the tests that called, on the good provider, something which the mutant does differently:
the others cannot tell the two apart.
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

import kickai_providers_core.testing.contract  # noqa: F401 - so that no child has to import it
from kestrel import wrong
from kestrel.client import Client
from kestrel.plugin import KestrelPlugin

HERE = Path(__file__).parent
SUITE = HERE / "suite.py"
GOOD = "good"

AT_ONCE = 3 * (os.cpu_count() or 1)
"""Processes: most of a run is waiting for timeouts to run out."""

OPTIONS = ("-q", "-c", os.devnull, "--assert=plain", "-p", "no:cacheprovider", "-p", "no:unraisableexception")
ORDINARY = {"__module__", "__qualname__", "__doc__", "__static_attributes__", "__firstlineno__", "__annotations__"}


class Recorder:
    """Counts the tests, keeps the names of those that failed, and what of the provider each of them called."""

    def __init__(self, chosen=None):
        self.chosen = chosen
        self.count = 0
        self.failed = defaultdict(list)
        self.called = defaultdict(set)
        self.now = ""

    def pytest_collection_modifyitems(self, items):
        """Leave out what was not chosen."""
        if self.chosen is not None:
            items[:] = [item for item in items if item.name in self.chosen]

    def pytest_runtest_logstart(self, nodeid):
        """Note which test it is."""
        self.now = nodeid.rpartition("::")[2]

    def pytest_runtest_logreport(self, report):
        """Look at the end of one phase of a test."""
        self.count += report.when == "call"
        if report.failed:
            name, _, parameters = self.now.partition("[")
            self.failed[name].append(parameters.rstrip("]"))

    def listen(self, frame, event, _):
        """Note a call of the provider's code; a profile function."""
        if event == "call" and frame.f_code.co_filename.startswith(str(HERE)):
            self.called[self.now].add(frame.f_code.co_name)


def examine(name, folder, chosen=None):
    """Run the tests on one provider, in this process."""
    os.environ["KESTREL_MUTANT"] = name
    log = os.open(folder / f"{name}.log", os.O_CREAT | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    recorder = Recorder(chosen)
    if name == GOOD:
        threading.setprofile(recorder.listen)
        sys.setprofile(recorder.listen)
    pytest.main([*OPTIONS, "--rootdir", str(HERE), str(SUITE)], plugins=[recorder])
    called = {test: sorted(names) for test, names in recorder.called.items()}
    told = {"count": recorder.count, "failed": recorder.failed, "called": called}
    (folder / f"{name}.json").write_text(json.dumps(told))


def chosen_for(mutant, called):
    """Return the tests that may see a mutant's fault; None for all."""
    good = Client if issubclass(mutant.kind, Client) else KestrelPlugin
    different = {}
    for kind in mutant.kind.__mro__[: mutant.kind.__mro__.index(good)]:
        different |= {name: value for name, value in vars(kind).items() if name not in ORDINARY}
    known = {name: value for name, value in different.items() if hasattr(good, name)}
    if not mutant.kind.__module__.startswith(wrong.__name__) or not all(
        isinstance(value, FunctionType) for value in known.values()
    ):
        return None
    if any(name.startswith("__") and name != "__init__" for name in known):
        return None
    return {test for test, names in called.items() if known.keys() & set(names)}


def fork(name, folder, chosen=None):
    """Examine a provider in a process of its own; return its number."""
    child = os.fork()
    if not child:
        examine(name, folder, chosen)
        os._exit(0)
    return child


def main(folder):
    """Examine the good provider, and then every mutant, some at a time."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.freeze()  # so that collecting in a child does not copy what it shares
    os.waitpid(fork(GOOD, folder), 0)
    called = json.loads((folder / f"{GOOD}.json").read_text())["called"]
    running, left = set(), list(wrong.MUTANTS.values())
    while running or left:
        if left and len(running) < AT_ONCE:
            mutant = left.pop(0)
            running.add(fork(mutant.name, folder, chosen_for(mutant, called)))
        else:
            running.discard(os.wait()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
