"""The conformance tests find each mutant, and the right test does."""

from __future__ import annotations

import os

import pytest
from kestrel.mutants import MUTANTS
from kestrel.run_mutants import SMOKE, find_surprises

from kickai_providers_core.plugin_api import hookspecs
from kickai_providers_core.testing.contract import standard_tests

full = pytest.mark.skipif("KIT_FULL" not in os.environ, reason="only nox -s kit-full runs all tests on all mutants")


def test_there_are_enough_tests_and_mutants():
    """The kit has at least 120 tests, and at least 150 mutants prove them."""
    assert len(standard_tests()) >= 120
    assert len(MUTANTS) >= 150


@full
def test_the_correct_provider_fails_nothing(reports):
    """The provider from which the mutants differ passes all tests."""
    assert reports["correct"]["failed"] == {}
    assert reports["correct"]["count"] > 800


@pytest.mark.slow
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_a_mutant_is_found_by_the_test_meant_for_it(reports, mutant):
    """Each mutant fails the test for its fault, and works otherwise."""
    failed = set(reports[mutant.name]["failed"])
    assert mutant.found_by in failed
    assert SMOKE not in failed - {mutant.found_by} - mutant.also


@full
@pytest.mark.parametrize("mutant", MUTANTS.values(), ids=MUTANTS)
def test_no_other_test_mistakes_a_mutant(reports, mutant):
    """A mutant fails no tests but the one for its fault, and those that inevitably notice it too."""
    failed = set(reports[mutant.name]["failed"])
    assert failed - {mutant.found_by} <= mutant.also


def test_most_tests_have_a_mutant():
    """At least nine of ten standard tests are meant to find a mutant, or inevitably do."""
    found = {name for mutant in MUTANTS.values() for name in (mutant.found_by, *mutant.also)}
    idle = sorted(set(standard_tests()) - found)
    assert len(idle) <= len(standard_tests()) / 10, idle


@full
def test_every_hook_is_called_by_a_test(reports):
    """The standard tests call every hook of the plugin API, except the one for stores, which `StoreContract` calls."""
    called = {name for names in reports["correct"]["called"].values() for name in names}
    assert {name for name in vars(hookspecs) if name.startswith("kickai_")} - called == {"kickai_open_store"}


def test_mutants_name_tests_that_exist():
    """The mutants refer to existing standard tests."""
    named = {name for mutant in MUTANTS.values() for name in (mutant.found_by, *mutant.also)}
    assert named <= set(standard_tests())


def test_unexpected_results_are_repeated():
    """A test is repeated when it fails unexpectedly, or when it misses its mutant."""
    assert find_surprises({"test_a": []}) == {"test_a"}
    assert find_surprises({"test_a": [], "test_b": []}, "test_a", {"test_b"}) == set()
    assert find_surprises({"test_b": [], "test_c": []}, "test_a", {"test_b"}) == {"test_a", "test_c"}
