"""The standard tests of stores find faulty stores, and work for the store of a plugin."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from heron.mutants import CASES

from kickai_providers_core.testing import StoreContract
from kickai_providers_core.testing.store_contract.processes import run_workers, start_workers
from kickai_providers_core.testing.store_contract.spec import StoreSpec

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def results():
    """Run the test that is meant for each mutant in another process, and return the outcome of each class and test."""
    nodes = [f"{HERE}/heron/mutants.py::{name}::{test}" for name, test in CASES]
    options = ("-q", "-rA", "-p", "no:cacheprovider", "-o", "python_classes=Mutant*", "--override-ini=addopts=")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *nodes],
        check=False,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S+?::(\w+)::(\w+)", done.stdout, re.MULTILINE)
    return {(name, test): outcome for outcome, name, test in found}, done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(("name", "test"), CASES, ids=[test for _, test in CASES])
def test_a_faulty_store_fails_the_test_meant_for_it(results, name, test):
    """The correct store, from which the mutants differ, passes all tests (`test_stores.py`)."""
    outcomes, output = results
    assert outcomes.get((name, test)) == "FAILED", output[-3000:]


class Heron(StoreSpec):
    """The store of a plugin."""

    plugin = "heron.plugin"
    namespace = "mine"

    def create_url(self, folder):
        """Return an address with a password."""
        return f"heron://user:canary@localhost{folder}"


def test_processes_share_the_store_of_a_plugin(tmp_path):
    """Each of them imports the plugin and opens the store by its address."""
    heron = Heron()
    url = heron.create_url(tmp_path)
    assert run_workers([heron.describe_task(url, "take_permits", name) for name in "ab"])
    store = heron.open(url)
    assert store.leases.take_permits("calls", "c", amount=1, limit=100, window_s=60) is None
    assert "canary" not in repr(store) + repr(store.check())
    store.close()
    assert (tmp_path / "mine.db").exists()


def test_every_line_of_a_killed_process_is_returned(tmp_path):
    """Also those that were read ahead with an earlier line: what was acknowledged must be known."""
    heron = Heron()
    url = heron.create_url(tmp_path)
    with start_workers([heron.describe_task(url, "add_batches_for_ever", "p")]) as [worker]:
        first = [int(worker.read_line())]
        time.sleep(1)  # so that several lines are waiting
        first.append(int(worker.read_line()))
        rest = [int(line) for line in worker.kill()]
    store = heron.open(url)
    [writer] = store.metrics.read_writers()
    store.close()
    assert [*first, *rest] == list(range(1, len(first + rest) + 1))
    assert len(first + rest) in {writer.last_number, writer.last_number - 1}


def test_a_standard_test_cannot_be_overridden():
    """It can be named as a known failure, with a reason."""
    with pytest.raises(TypeError, match="test_one_holder_at_a_time must not be overridden or removed"):
        type("Mine", (StoreContract,), {"test_one_holder_at_a_time": None})
    for name, reason in (("test_unknown", "because"), ("test_one_holder_at_a_time", " ")):
        with pytest.raises(TypeError, match=f"expected_failures: {name} must be a standard test with a reason"):
            type("Mine", (StoreContract,), {"expected_failures": {name: reason}})


def test_no_standard_test_hides_another():
    """Two parts of the contract with a test of the same name would run only one of them."""
    names = [name for part in StoreContract.__bases__ for name in vars(part) if name.startswith("test_")]
    assert len(names) == len(set(names))


def test_a_subclass_says_how_to_create_a_store(tmp_path):
    """The error names what is missing."""
    with pytest.raises(TypeError, match=r"StoreSpec must define create_url\(folder\)"):
        StoreSpec().create_url(tmp_path)


def test_what_a_subclass_gives_is_documented():
    """The page on stores describes each attribute and method."""
    page = (HERE.parents[1] / "docs" / "stores.md").read_text(encoding="utf-8")
    names = ("plugin", "namespace", "is_shared", "expected_failures", "create_url", "open_with_clocks", "open")
    assert [name for name in names if f"`{name}" not in page] == []
